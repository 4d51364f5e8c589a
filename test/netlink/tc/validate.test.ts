// A filter that the kernel would not take or keep as it is asked for is refused before it is sent.
import { describe, expect, test } from 'vitest'
import {
  type Action,
  type Actions,
  actionList,
  limitByIndex,
  limitRate,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import { policer, policerByIndex } from '../../../src/netlink/tc/actions/police.ts'
import { newFilter, newFlower } from '../../../src/netlink/tc/filter.ts'
import type { Flower } from '../../../src/netlink/tc/kinds/flower.ts'
import { filterInfo, type TcRequest } from '../../../src/netlink/tc/msg.ts'
import { checkFilter, innerEtherType } from '../../../src/netlink/tc/validate.ts'

const ip = { TCA_FLOWER_KEY_ETH_TYPE: 0x0800 }
const tcp = { ...ip, TCA_FLOWER_KEY_IP_PROTO: 6 }
const pedit = peditRewrite({ ethDst: '02:00:00:00:00:01' }, 3)
const p = { index: 0, capab: 0, refcnt: 0, bindcnt: 0 }
const refusal =
  (flower: Flower, protocol = flower.TCA_FLOWER_KEY_ETH_TYPE ?? 3) =>
  () =>
    newFlower({ ifindex: 1, priority: 1, protocol }, flower)
const withActions = (list: Actions) => refusal({ ...tcp, TCA_FLOWER_ACT: list })
const withAction = (action: Action) => withActions(actionList([action]))
const mirred = (part: object): Action => ({
  TCA_ACT_KIND: 'mirred',
  TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { ...p, action: 4, eaction: 1, ifindex: 3, ...part } },
})
const vlan = (v_action: number, options: object): Action => ({
  TCA_ACT_KIND: 'vlan',
  TCA_ACT_OPTIONS: { TCA_VLAN_PARMS: { ...p, action: 3, v_action }, ...options },
})

const limit = { bytesPerSecond: 125_000, burst: 20_000, mtu: 65535, conform: 3 }
const { TCA_POLICE_RATE: _table, ...withoutTable } = policer(limit)

describe('checkFilter() takes', () => {
  const vlanTag = { TCA_FLOWER_KEY_ETH_TYPE: 0x8100, TCA_FLOWER_KEY_VLAN_ID: 5 }
  test.each<[string, Flower]>([
    ['no condition at all', {}],
    ['MAC addresses without EtherType', { TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:01' }],
    [
      'ports of their protocol',
      { ...tcp, TCA_FLOWER_KEY_TCP_DST: 80, TCA_FLOWER_KEY_TCP_SRC: 9, TCA_FLOWER_KEY_TCP_SRC_MASK: 0xff00 },
    ],
    ['a flag with its mask', { ...ip, TCA_FLOWER_KEY_FLAGS: 0, TCA_FLOWER_KEY_FLAGS_MASK: 1 }],
    ['a range of ports', { ...tcp, TCA_FLOWER_KEY_PORT_DST_MIN: 1, TCA_FLOWER_KEY_PORT_DST_MAX: 2 }],
    [
      'a VLAN with what is in it',
      { ...vlanTag, TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x0800, TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1' },
    ],
    ['a number of VLANs', { ...ip, TCA_FLOWER_KEY_NUM_OF_VLANS: 1, TCA_FLOWER_KEY_VLAN_ID: 5 }],
    ['ICMP of both families', { ...ip, TCA_FLOWER_KEY_IP_PROTO: 1, TCA_FLOWER_KEY_ICMPV4_TYPE: 3 }],
    ['ARP', { TCA_FLOWER_KEY_ETH_TYPE: 0x0806, TCA_FLOWER_KEY_ARP_OP: 1 }],
    ['flags that a request may have', { TCA_FLOWER_FLAGS: 18 }],
    [
      'a policer, and one that is known by its index',
      { TCA_FLOWER_ACT: actionList([limitRate(limit), limitByIndex(7)]) },
    ],
    ['32 actions', { TCA_FLOWER_ACT: actionList(Array.from({ length: 32 }, () => verdict(3))) }],
    [
      'all actions of ours',
      {
        ...tcp,
        TCA_FLOWER_ACT: actionList([
          rewrite(pedit),
          updateChecksums(9),
          vlan(1, {}),
          redirectTo(3, new Uint8Array(16)),
        ]),
      },
    ],
    [
      'mirroring that goes on',
      { TCA_FLOWER_ACT: actionList([mirred({ action: 3, eaction: 2 }), redirectTo(3)]) },
    ],
    [
      'an action that we do not know',
      { TCA_FLOWER_ACT: actionList([{ TCA_ACT_KIND: 'nat', TCA_ACT_OPTIONS: new Uint8Array(4) }]) },
    ],
  ])('%s', (_, flower) => {
    expect(refusal(flower)).not.toThrow()
  })

  test('filters of kinds that it does not know', () => {
    expect(() => checkFilter({ TCA_KIND: 'bpf', TCA_OPTIONS: new Uint8Array(4) })).not.toThrow()
  })
})

describe('checkFilter() refuses', () => {
  const needsType = 'needs TCA_FLOWER_KEY_ETH_TYPE: without it the kernel matches every frame'
  test.each<[Flower, string]>([
    [{ TCA_FLOWER_KEY_IP_PROTO: 6 }, `TCA_FLOWER_KEY_IP_PROTO ${needsType}`],
    [{ TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1' }, `TCA_FLOWER_KEY_IPV4_DST ${needsType}`],
    [{ TCA_FLOWER_KEY_TCP_DST: 80 }, `TCA_FLOWER_KEY_TCP_DST ${needsType}`],
    [{ TCA_FLOWER_KEY_FLAGS: 0, TCA_FLOWER_KEY_FLAGS_MASK: 1 }, `TCA_FLOWER_KEY_FLAGS ${needsType}`],
    [{ TCA_FLOWER_KEY_VLAN_ID: 5 }, `TCA_FLOWER_KEY_VLAN_ID ${needsType}`],
    [
      { ...ip, TCA_FLOWER_KEY_TCP_DST: 80 },
      'TCA_FLOWER_KEY_TCP_DST needs TCA_FLOWER_KEY_IP_PROTO 6, not none',
    ],
    [
      { ...ip, TCA_FLOWER_KEY_IP_PROTO: 17, TCA_FLOWER_KEY_TCP_DST: 80 },
      'TCA_FLOWER_KEY_TCP_DST needs TCA_FLOWER_KEY_IP_PROTO 6, not 17',
    ],
    [
      { ...tcp, TCA_FLOWER_KEY_UDP_SRC: 53 },
      'TCA_FLOWER_KEY_UDP_SRC needs TCA_FLOWER_KEY_IP_PROTO 17, not 6',
    ],
    [{ ...tcp, TCA_FLOWER_KEY_SCTP_SRC: 53 }, 'needs TCA_FLOWER_KEY_IP_PROTO 132'],
    [
      { ...ip, TCA_FLOWER_KEY_IP_PROTO: 1, TCA_FLOWER_KEY_PORT_DST_MIN: 1, TCA_FLOWER_KEY_PORT_DST_MAX: 2 },
      'IP_PROTO 6 or 17 or 132, not 1',
    ],
    [
      { ...ip, TCA_FLOWER_KEY_IPV6_DST: 'fd00::1' },
      'TCA_FLOWER_KEY_IPV6_DST needs EtherType 0x86dd, not 0x0800',
    ],
    [
      { TCA_FLOWER_KEY_ETH_TYPE: 0x86dd, TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1' },
      'needs EtherType 0x0800, not 0x86dd',
    ],
    [
      { TCA_FLOWER_KEY_ETH_TYPE: 0x0806, TCA_FLOWER_KEY_IP_PROTO: 6 },
      'needs EtherType 0x0800 or 0x86dd, not 0x0806',
    ],
    [{ ...ip, TCA_FLOWER_KEY_ARP_OP: 1 }, 'TCA_FLOWER_KEY_ARP_OP needs EtherType 0x0806'],
    [
      { ...ip, TCA_FLOWER_KEY_IP_PROTO: 58, TCA_FLOWER_KEY_ICMPV6_TYPE: 1 },
      'TCA_FLOWER_KEY_ICMPV6_TYPE needs EtherType 0x86dd',
    ],
    [
      { ...ip, TCA_FLOWER_KEY_VLAN_ID: 5 },
      'TCA_FLOWER_KEY_VLAN_ID needs a VLAN protocol in the EtherType before it',
    ],
    [
      { TCA_FLOWER_KEY_ETH_TYPE: 0x8100, TCA_FLOWER_KEY_CVLAN_ID: 5 },
      'TCA_FLOWER_KEY_CVLAN_ID needs a VLAN protocol',
    ],
    [
      { TCA_FLOWER_KEY_ETH_TYPE: 0x8100, TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1' },
      'needs EtherType 0x0800, not 0x0000',
    ],
    [{ ...ip, TCA_FLOWER_KEY_FLAGS: 1 }, 'TCA_FLOWER_KEY_FLAGS needs TCA_FLOWER_KEY_FLAGS_MASK'],
    [
      { ...ip, TCA_FLOWER_KEY_IPV4_DST_MASK: '255.0.0.0' },
      'TCA_FLOWER_KEY_IPV4_DST_MASK is given without TCA_FLOWER_KEY_IPV4_DST',
    ],
    [
      { ...ip, TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1', TCA_FLOWER_KEY_IPV4_DST_MASK: '0.0.0.0' },
      'TCA_FLOWER_KEY_IPV4_DST_MASK is zero',
    ],
    [
      { TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:01', TCA_FLOWER_KEY_ETH_DST_MASK: '00:00:00:00:00:00' },
      'ETH_DST_MASK is zero',
    ],
    [{ ...tcp, TCA_FLOWER_KEY_TCP_DST: 1, TCA_FLOWER_KEY_TCP_DST_MASK: 0 }, 'TCP_DST_MASK is zero'],
    [
      { ...tcp, TCA_FLOWER_KEY_PORT_DST_MIN: 5, TCA_FLOWER_KEY_PORT_DST_MAX: 5 },
      'TCA_FLOWER_KEY_PORT_DST_MIN must be less than _MAX: 5, 5',
    ],
    [
      { ...tcp, TCA_FLOWER_KEY_PORT_SRC_MAX: 5 },
      'TCA_FLOWER_KEY_PORT_SRC_MIN must be less than _MAX: none, 5',
    ],
    [{ TCA_FLOWER_FLAGS: 3 }, 'TCA_FLOWER_FLAGS has both SKIP_HW and SKIP_SW'],
    [{ TCA_FLOWER_FLAGS: 4 }, 'TCA_FLOWER_FLAGS 4 has bits that only the kernel sets'],
    [{ TCA_FLOWER_FLAGS: 32 }, 'has bits that only the kernel sets'],
    [{ '#120': new Uint8Array(4) }, 'flower: attribute #120 is unknown here'],
  ])('flower %j', (flower, message) => {
    expect(refusal(flower)).toThrow(RangeError)
    expect(refusal(flower)).toThrow(message)
  })

  test('a protocol other than the EtherType', () => {
    expect(refusal(ip, 0x86dd)).toThrow('tcm_info says protocol 0x86dd, TCA_FLOWER_KEY_ETH_TYPE 0x0800')
    expect(refusal(ip, 3)).toThrow(RangeError)
  })

  test.each<[TcRequest, string]>([
    [{ TCA_OPTIONS: {} }, 'TCA_KIND is missing'],
    [{ TCA_KIND: 'flower' }, 'TCA_OPTIONS must be the attributes of flower'],
    [
      { TCA_KIND: 'matchall', TCA_OPTIONS: new Uint8Array(4) },
      'TCA_OPTIONS must be the attributes of matchall',
    ],
    [
      { TCA_KIND: 'flower', TCA_OPTIONS: {}, '#50': new Uint8Array() },
      'filter: attribute #50 is unknown here',
    ],
    [{ TCA_KIND: 'matchall', TCA_OPTIONS: { TCA_MATCHALL_FLAGS: 3 } }, 'TCA_MATCHALL_FLAGS has both'],
    [
      { TCA_KIND: 'matchall', TCA_OPTIONS: { TCA_MATCHALL_ACT: [[2, verdict(2)]] } },
      'number 2 is in place 1',
    ],
  ])('message %j', (value, message) => {
    expect(() => newFilter({ tcm_info: filterInfo(1, 3), ...value })).toThrow(message)
  })

  test.each<[string, Actions, string]>([
    ['none', [], 'need 1 to 32 actions, got 0'],
    ['33', actionList(Array.from({ length: 33 }, () => verdict(3))), 'need 1 to 32 actions, got 33'],
    ['that begin with 2', [[2, verdict(2)]], 'actions must be numbered 1, 2, 3 ...: number 2 is in place 1'],
    ['that begin with 0', [[0, verdict(2)]], 'number 0 is in place 1'],
    [
      'with a gap',
      [
        [1, verdict(3)],
        [3, verdict(2)],
      ],
      'number 3 is in place 2',
    ],
    [
      'in another order',
      [
        [2, verdict(3)],
        [1, verdict(2)],
      ],
      'number 2 is in place 1',
    ],
  ])('actions: %s', (_, list, message) => {
    expect(withActions(list)).toThrow(message)
  })

  test.each<[Action, string]>([
    [{ TCA_ACT_OPTIONS: {} }, 'action 1: TCA_ACT_KIND is missing'],
    [{ TCA_ACT_KIND: 'gact' }, 'action 1: TCA_ACT_OPTIONS is missing'],
    [{ TCA_ACT_KIND: 'gact', TCA_ACT_OPTIONS: {} }, 'action 1: TCA_GACT_PARMS is missing'],
    [
      { TCA_ACT_KIND: 'gact', TCA_ACT_OPTIONS: new Uint8Array(4) },
      'TCA_ACT_OPTIONS must be the attributes of gact',
    ],
    [{ ...verdict(2), TCA_ACT_COOKIE: new Uint8Array() }, 'TCA_ACT_COOKIE must have 1 to 16 bytes, not 0'],
    [{ ...verdict(2), TCA_ACT_COOKIE: new Uint8Array(17) }, 'TCA_ACT_COOKIE must have 1 to 16 bytes, not 17'],
    [{ ...verdict(2), '#20': new Uint8Array() }, 'action 1: attribute #20 is unknown here'],
    [
      { TCA_ACT_KIND: 'gact', TCA_ACT_OPTIONS: { '#9': new Uint8Array() } },
      'action 1: attribute #9 is unknown here',
    ],
    [updateChecksums(0), 'csum with no flag does nothing'],
    [mirred({ action: 3 }), 'a redirect must end with TC_ACT_STOLEN, not 3'],
    [mirred({ eaction: 3, action: 0 }), 'a redirect must end with TC_ACT_STOLEN, not 0'],
    [mirred({ ifindex: 0 }), 'mirred needs a device'],
    [
      {
        TCA_ACT_KIND: 'pedit',
        TCA_ACT_OPTIONS: { TCA_PEDIT_PARMS: { ...p, action: 3, flags: 0, keys: [] } },
      },
      'the form that no NIC takes',
    ],
    [
      rewrite({ TCA_PEDIT_PARMS_EX: { ...p, action: 3, flags: 0, keys: [] } }),
      'TCA_PEDIT_KEYS_EX must have as many entries as there are keys: none for 0',
    ],
    [
      rewrite({ ...pedit, TCA_PEDIT_KEYS_EX: pedit.TCA_PEDIT_KEYS_EX?.slice(1) ?? [] }),
      'as many entries as there are keys: 1 for 2',
    ],
    [
      rewrite({
        ...pedit,
        TCA_PEDIT_KEYS_EX: [
          { TCA_PEDIT_KEY_EX_HTYPE: 1 },
          { TCA_PEDIT_KEY_EX_HTYPE: 1, TCA_PEDIT_KEY_EX_CMD: 0 },
        ],
      }),
      'needs HTYPE and CMD',
    ],
    [limitByIndex(0), 'police without a rate limits nothing'],
    [{ TCA_ACT_KIND: 'police', TCA_ACT_OPTIONS: withoutTable }, 'TCA_POLICE_RATE is missing'],
    [limitRate({ ...limit, mtu: 0 }), 'police needs an mtu'],
    [vlan(2, {}), 'TCA_VLAN_PUSH_VLAN_ID belongs to push and modify'],
    [vlan(1, { TCA_VLAN_PUSH_VLAN_ID: 5 }), 'TCA_VLAN_PUSH_VLAN_ID belongs to push and modify'],
  ])('action %j', (action, message) => {
    expect(withAction(action)).toThrow(RangeError)
    expect(withAction(action)).toThrow(message)
  })
})

test('a 64-bit rate that the kernel would not look at', () => {
  const options = { ...policerByIndex(7), TCA_POLICE_RATE64: 5_000_000_000n }
  const action: Action = { TCA_ACT_KIND: 'police', TCA_ACT_OPTIONS: options }
  expect(withAction(action)).toThrow('TCA_POLICE_RATE64 counts only beside a rate')
})

test.each<[Flower, number | undefined]>([
  [{}, undefined],
  [{ TCA_FLOWER_KEY_ETH_TYPE: 0x0800 }, 0x0800],
  [{ TCA_FLOWER_KEY_ETH_TYPE: 0x8100 }, undefined],
  [{ TCA_FLOWER_KEY_ETH_TYPE: 0x8100, TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x86dd }, 0x86dd],
  [{ TCA_FLOWER_KEY_ETH_TYPE: 0x88a8, TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x8100 }, undefined],
  [
    {
      TCA_FLOWER_KEY_ETH_TYPE: 0x88a8,
      TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x8100,
      TCA_FLOWER_KEY_CVLAN_ETH_TYPE: 0x0800,
    },
    0x0800,
  ],
])('innerEtherType() of %j is %s', (flower, inner) => {
  expect(innerEtherType(flower)).toBe(inner)
})
