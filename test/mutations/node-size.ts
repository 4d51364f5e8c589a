import type { Mutation } from './mutation.ts'

/** Mistakes by which a call pays for what others have on the node, or misses it. */
export const nodeSize: readonly Mutation[] = [
  {
    id: 'kernel-size-sockets',
    file: 'src/kernel/inspect/listening-sockets.ts',
    mistake: 'An ADD reads all sockets of the node.',
    old: 'const onPorts = ports.length > mostPorts ? undefined : ports',
    now: 'const onPorts = ports.length > 0 ? undefined : ports',
    test: ['native/offload/node-size.test.ts', 'ask for as much on a full node as on an empty one'],
    tier: 'quick',
  },
  {
    id: 'kernel-size-own-chains',
    file: 'src/kernel/foreign-nat/chains.ts',
    mistake: 'An ADD reads our own chains, one for each pod, in search of those of others.',
    old: 'const others = tables.filter((message) => !isOurs(message))',
    now: 'const others = tables.filter((message) => message.length > 0)',
    test: ['native/offload/node-size.test.ts', 'ask for as much on a full node as on an empty one'],
    tier: 'quick',
  },
  {
    id: 'netlink-transaction-refusal',
    file: 'src/netlink/socket.ts',
    mistake: 'A refusal in the middle of a transaction is taken for its last answer.',
    old: 'if (i >= loud) open--',
    now: 'open--',
    test: ['netlink/transaction.test.ts', 'the first refusal is thrown'],
    tier: 'quick',
  },
  {
    id: 'netlink-masks-passed-over',
    file: 'src/netlink/tc/compare.ts',
    mistake: 'A condition that the kernel stores under another mask passes for the one that was asked for.',
    old: '  return isSame(mask, shown) || (mask === undefined && isSame(shown, fullMask(name, key)))',
    now: '  return true',
    test: ['netlink/tc/compare.test.ts', 'compares bits that the mask leaves'],
    tier: 'quick',
  },
  {
    id: 'kernel-ports-of-others',
    file: 'src/kernel/nftables/map-elements.ts',
    mistake: 'One look at the port map gives every port the same owner.',
    old: 'cookie: comment.slice(0, cookieLength), opened: hits',
    now: 'cookie: comment.slice(0, 8), opened: hits',
    test: ['kernel/nftables/reservations.test.ts', 'of all owners come with their cookies'],
    tier: 'quick',
  },
]
