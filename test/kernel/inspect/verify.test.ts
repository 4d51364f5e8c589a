// CHECK finds the things of an ADD by number, whatever they are called by now.
import { expect, test } from 'vitest'
import type { Reach } from '../../../src/kernel/inspect/verifier.ts'
import { verify } from '../../../src/kernel/inspect/verify.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import type { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { Op } from '../../../src/ops/op.ts'
import { answering } from '../answers.ts'

/** Everything is asked of one socket. */
function reachBy(socket: NetlinkSocket): Reach {
  return {
    socket: () => socket,
    open: () => socket,
    netfilter: () => socket,
    nft: () => () => ({ status: 0, stdout: '', stderr: '' }),
    inside: <T>(_: unknown, action: () => T) => action(),
    guard: () => ['no such filter'],
    link: () => undefined,
    rates: () => {
      throw new TypeError('nobody asks for rates')
    },
  }
}

/** The differences of a clsact on interface 2, which was "pf0" and now has this name, with this qdisc or none. */
function found(name: string | undefined, qdisc: string | undefined) {
  const { socket } = answering(({ type, payload }) => {
    if (type === RTM.RTM_GETLINK) {
      const { ifi_index, IFLA_IFNAME } = linkMessage.decode(payload)
      if (name === undefined || (ifi_index !== 2 && IFLA_IFNAME !== name)) return { errno: 19 }
      return {
        messages: [
          { type: RTM.RTM_NEWLINK, payload: linkMessage.encode({ ifi_index: 2, IFLA_IFNAME: name }) },
        ],
      }
    }
    if (qdisc === undefined) return {}
    const stored = { tcm_ifindex: 2, tcm_parent: 0xfffffff1, tcm_handle: 0xffff0000, TCA_KIND: qdisc }
    return { messages: [{ type: RTM.RTM_NEWQDISC, payload: tcMessage.encode(stored) }] }
  })
  const reach = reachBy(socket)
  const op: Op = { do: 'clsact.add', side: 'host', link: 'pf0', ifindex: 2 }
  return verify(reach, [{ op }]).map((one) => one.found)
}

test('a clsact is found by the ifindex of its interface, even after a rename', () => {
  expect(found('pf0', 'clsact')).toEqual([])
  expect(found('renamed', 'clsact')).toEqual([])
  expect(found('renamed', undefined)).toEqual(['neither clsact nor ingress'])
  expect(found(undefined, undefined)).toEqual(['no such interface'])
})

test('a filter that is gone is found at its place in the list, though all filters are asked for together', () => {
  const { socket } = answering(() => ({ errno: 2 }))
  const cookie = '76660101aabbccdd0011223344556677'
  const rule = {
    link: 'pf0',
    ifindex: 2,
    prio: 10,
    address: '10.1.0.1',
    proto: 'tcp',
    port: 80,
    cookie,
  } as const
  const done = [
    { op: { do: 'neigh.use', side: 'host', link: 'pf0', address: '10.1.0.2' } },
    { op: { do: 'steer.add', rule, offload: 'require' }, handle: 7, where: 'nic' },
  ] as const
  expect(verify(reachBy(socket), done)).toEqual([{ at: 1, found: 'no such filter' }])
})
