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
]
