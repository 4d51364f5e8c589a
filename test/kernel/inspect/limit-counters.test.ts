// Counters of shapers, ifbs and policers are read from what the kernel lists.
import { expect, test } from 'vitest'
import type { CountingReach } from '../../../src/kernel/inspect/limit-counters.ts'
import { measure } from '../../../src/kernel/inspect/measure.ts'
import { fromHex } from '../../../src/lib/hex.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import {
  type Action,
  actionList,
  actionMessage,
  limitRate,
  redirectTo,
} from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import { TCA_CLS_FLAGS } from '../../../src/netlink/tc/kinds/flower.ts'
import { CLSACT_INGRESS, filterInfo, tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { Stats } from '../../../src/netlink/tc/stats.ts'
import { tbfOptions } from '../../../src/netlink/tc/tbf.ts'
import type { Op } from '../../../src/ops/op.ts'
import { type Answer, answering } from '../answers.ts'

const cookie = '76660102aabbccdd0011223344556677'
const numbers = { bytesPerSecond: 125_000, burst: 20_000 }
const stats: Stats = [
  ['TCA_STATS_BASIC', { bytes: 1000n, packets: 10 }],
  ['TCA_STATS_BASIC_HW', { bytes: 700n, packets: 7 }],
  ['TCA_STATS_QUEUE', { qlen: 2, backlog: 120, drops: 3, requeues: 0, overlimits: 5 }],
]
const [software, hardware] = [
  { packets: 3n, bytes: 300n },
  { packets: 7n, bytes: 700n },
]

const counted = (op: Op, answers: Partial<Record<number, Answer>>) => {
  const route = () => answering(({ type }) => answers[type] ?? {}).socket
  const found = measure({ route } as unknown as CountingReach, op, true)
  return found?.kind === 'counters' ? found.counters : undefined
}

const qdisc = (part: object = {}): Answer => ({
  messages: [
    {
      type: RTM.RTM_NEWQDISC,
      payload: tcMessage.encode({
        ...{ tcm_ifindex: 3, tcm_handle: 0x76660000, tcm_parent: 0xffffffff, TCA_KIND: 'tbf' },
        TCA_OPTIONS: tbfOptions({ ...numbers, limit: 40_000 }),
        TCA_STATS2: stats.filter(([name]) => name !== 'TCA_STATS_BASIC_HW'),
        ...part,
      }),
    },
  ],
})

const filter = (priority: number, action: Action): Answer => ({
  messages: [
    {
      type: RTM.RTM_NEWTFILTER,
      payload: tcMessage.encode({
        ...{ tcm_ifindex: 3, tcm_handle: 1, tcm_parent: CLSACT_INGRESS, tcm_info: filterInfo(priority, 3) },
        TCA_KIND: 'matchall',
        TCA_OPTIONS: {
          TCA_MATCHALL_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_IN_HW,
          TCA_MATCHALL_ACT: actionList([{ ...action, TCA_ACT_STATS: stats }]),
        },
      }),
    },
  ],
})

const policer = limitRate({ ...numbers, mtu: 65_535, conform: TC_ACT.TC_ACT_PIPE, index: 9 }, fromHex(cookie))

test('a shaper counts sent, dropped and waiting packets', () => {
  const op: Op = { do: 'shaper.add', shaper: { side: 'pod', link: 'net1', ifindex: 3, ...numbers, limit: 1 } }
  expect(counted(op, { [RTM.RTM_GETQDISC]: qdisc() })).toEqual({
    ...{ inHw: false, hardware: { packets: 0n, bytes: 0n }, software: { packets: 10n, bytes: 1000n } },
    ...{ dropped: 3n, overLimit: 5n, waiting: { packets: 2n, bytes: 120n } },
  })
  expect(counted(op, { [RTM.RTM_GETQDISC]: qdisc({ tcm_handle: 0x10000 }) })).toBeUndefined()
})

test('an interface without an ifindex is found by name, and may be gone', () => {
  const op: Op = { do: 'shaper.add', shaper: { side: 'host', link: 'vfr0', ...numbers, limit: 1 } }
  expect(counted(op, { [RTM.RTM_GETLINK]: { errno: 19 } })).toBeUndefined()
  const ifb: Op = { do: 'ifb.add', side: 'host', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 }
  expect(counted(ifb, { [RTM.RTM_GETLINK]: { errno: 19 } })).toBeUndefined()
})

test('an IFB counts sent and dropped packets', () => {
  const counts = new BigUint64Array([1n, 12n, 100n, 1200n, 0n, 0n, 4n, 5n])
  const link = {
    type: RTM.RTM_NEWLINK,
    payload: linkMessage.encode({
      ifi_index: 3,
      IFLA_IFNAME: 'vfr0',
      IFLA_STATS64: new Uint8Array(counts.buffer),
    }),
  }
  const op: Op = { do: 'ifb.add', side: 'host', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 }
  expect(counted(op, { [RTM.RTM_GETLINK]: { messages: [link] } })).toMatchObject({
    ...{ software: { packets: 12n, bytes: 1200n }, dropped: 9n },
  })
})

test('an IFB redirect and a policer count hardware and software apart', () => {
  const detour: Op = {
    do: 'detour.add',
    detour: { side: 'host', link: 'veth0', ifindex: 3, through: 'vfr0', cookie },
  }
  const redirect = filter(60_000, redirectTo(9, fromHex(cookie)))
  expect(counted(detour, { [RTM.RTM_GETTFILTER]: redirect })).toEqual({
    ...{ inHw: true, hardware, software, dropped: 3n },
  })
  const police: Op = {
    do: 'police.add',
    police: { link: 'rep0', ifindex: 3, ...numbers, cookie },
    offload: 'require',
  }
  expect(counted(police, { [RTM.RTM_GETTFILTER]: filter(1, policer) })).toEqual({
    ...{ inHw: true, hardware, software, dropped: 3n, conformed: 7n },
  })
  expect(counted(police, { [RTM.RTM_GETTFILTER]: redirect })).toBeUndefined()
})

test('a shared policer is counted by its index', () => {
  const op = (index: number): Op => ({
    do: 'limiter.add',
    limiter: { index, ...numbers, cookie },
    offload: 'require',
  })
  const stored = { ...policer, TCA_ACT_STATS: stats, TCA_ACT_IN_HW_COUNT: 1 }
  const answer = {
    messages: [
      { type: RTM.RTM_NEWACTION, payload: actionMessage.encode({ TCA_ROOT_TAB: actionList([stored]) }) },
    ],
  }
  expect(counted(op(9), { [RTM.RTM_GETACTION]: answer })).toMatchObject({
    inHw: true,
    conformed: 7n,
    hardware,
  })
  expect(counted(op(10), { [RTM.RTM_GETACTION]: answer })).toBeUndefined()
})
