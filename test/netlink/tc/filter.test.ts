// Messages of filters have the bytes that tc sends.
import { describe, expect, test } from 'vitest'
import { NLM_F } from '../../../src/netlink/message.ts'
import {
  type Action,
  actionList,
  actionMessage,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import {
  actionsOf,
  deleteFilter,
  dumpFilters,
  type FilterPlace,
  flowerOf,
  getFilter,
  matchallOf,
  newFlower,
  newMatchall,
  placeOf,
} from '../../../src/netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS } from '../../../src/netlink/tc/kinds/flower.ts'
import { BLOCK_IFINDEX, CLSACT_EGRESS, CLSACT_INGRESS, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { deleteClsact, newClsact } from '../../../src/netlink/tc/qdisc.ts'
import { captured, essence, payloadOf } from '../fixtures.ts'

const { TC_ACT_OK, TC_ACT_PIPE, TC_ACT_SHOT, TC_ACT_GOTO_CHAIN } = TC_ACT
const cookie = new Uint8Array(Buffer.from('00112233445566778899aabbccddeeff', 'hex'))
const drop = actionList([verdict(TC_ACT_SHOT)])
const pass = actionList([verdict(TC_ACT_OK)])
const p = { index: 0, capab: 0, refcnt: 0, bindcnt: 0 }
const ip: FilterPlace = { ifindex: 1, priority: 1, protocol: 0x0800 }
const ipTail = (flags: number) => ({ TCA_FLOWER_FLAGS: flags, TCA_FLOWER_KEY_ETH_TYPE: 0x0800 })
const vlan = (options: NonNullable<Action['TCA_ACT_OPTIONS']>): Action => ({
  TCA_ACT_KIND: 'vlan',
  TCA_ACT_OPTIONS: options,
})
const mirror = { ...p, action: TC_ACT_PIPE, eaction: 2, ifindex: 1 }

/** Captures whose request ours makes byte for byte. */
const cases: [name: string, place: FilterPlace, options: Flower][] = [
  [
    'flower-steer',
    ip,
    {
      ...{
        TCA_FLOWER_KEY_IP_PROTO: 6,
        TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1',
        TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.255',
      },
      TCA_FLOWER_KEY_TCP_DST: 8080,
      TCA_FLOWER_ACT: actionList([
        rewrite(peditRewrite({ ethDst: '02:00:00:00:00:05', ethSrc: '02:00:00:00:00:01' }, TC_ACT_PIPE)),
        redirectTo(1, cookie),
      ]),
      ...ipTail(TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW),
    },
  ],
  [
    'flower-minimal',
    { ifindex: 1, parent: CLSACT_EGRESS, priority: 3, protocol: 3 },
    { TCA_FLOWER_ACT: drop, TCA_FLOWER_FLAGS: 0 },
  ],
  [
    'flower-masks',
    { ...ip, handle: 0x12345, chain: 5 },
    {
      ...{ TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:01', TCA_FLOWER_KEY_ETH_DST_MASK: 'ff:ff:ff:ff:ff:ff' },
      ...{ TCA_FLOWER_KEY_ETH_SRC: '02:00:00:00:00:00', TCA_FLOWER_KEY_ETH_SRC_MASK: 'ff:ff:ff:00:00:00' },
      ...{ TCA_FLOWER_KEY_IPV4_SRC: '10.0.0.0', TCA_FLOWER_KEY_IPV4_SRC_MASK: '255.0.0.0' },
      ...{ TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1', TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.255' },
      ...{
        TCA_FLOWER_KEY_IP_TOS: 0x10,
        TCA_FLOWER_KEY_IP_TOS_MASK: 0xfc,
        TCA_FLOWER_KEY_IP_TTL: 64,
        TCA_FLOWER_KEY_IP_TTL_MASK: 255,
      },
      ...{ TCA_FLOWER_ACT: pass, ...ipTail(TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW) },
    },
  ],
  [
    'flower-nofrag',
    ip,
    {
      ...{
        TCA_FLOWER_KEY_IP_PROTO: 17,
        TCA_FLOWER_KEY_UDP_DST: 53,
        TCA_FLOWER_ACT: pass,
        TCA_FLOWER_FLAGS: 16,
      },
      ...{ TCA_FLOWER_KEY_FLAGS: 0, TCA_FLOWER_KEY_FLAGS_MASK: 1, TCA_FLOWER_KEY_ETH_TYPE: 0x0800 },
    },
  ],
  [
    'flower-port-range',
    ip,
    {
      ...{ TCA_FLOWER_KEY_IP_PROTO: 6, TCA_FLOWER_KEY_PORT_DST_MIN: 8000, TCA_FLOWER_KEY_PORT_DST_MAX: 8010 },
      ...{
        TCA_FLOWER_KEY_PORT_SRC_MIN: 1024,
        TCA_FLOWER_KEY_PORT_SRC_MAX: 65535,
        TCA_FLOWER_ACT: pass,
        ...ipTail(0),
      },
    },
  ],
  [
    'flower-tcp-flags',
    ip,
    {
      TCA_FLOWER_KEY_IP_PROTO: 6,
      TCA_FLOWER_KEY_TCP_FLAGS: 2,
      TCA_FLOWER_KEY_TCP_FLAGS_MASK: 18,
      TCA_FLOWER_ACT: pass,
      ...ipTail(0),
    },
  ],
  [
    'flower-icmp',
    ip,
    {
      ...{ TCA_FLOWER_KEY_IP_PROTO: 1, TCA_FLOWER_KEY_ICMPV4_TYPE: 3, TCA_FLOWER_KEY_ICMPV4_TYPE_MASK: 255 },
      ...{ TCA_FLOWER_KEY_ICMPV4_CODE: 4, TCA_FLOWER_KEY_ICMPV4_CODE_MASK: 255, TCA_FLOWER_CLASSID: 0x10005 },
      ...{ TCA_FLOWER_ACT: pass, ...ipTail(0) },
    },
  ],
  [
    'flower-vlan',
    { ...ip, protocol: 0x8100 },
    {
      ...{ TCA_FLOWER_KEY_VLAN_ID: 100, TCA_FLOWER_KEY_VLAN_PRIO: 5, TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x0800 },
      ...{ TCA_FLOWER_KEY_IP_PROTO: 6, TCA_FLOWER_KEY_TCP_DST: 80 },
      TCA_FLOWER_ACT: actionList([
        vlan({ TCA_VLAN_PARMS: { ...p, action: TC_ACT_PIPE, v_action: 1 } }),
        redirectTo(1),
      ]),
      ...{ TCA_FLOWER_FLAGS: 0, TCA_FLOWER_KEY_ETH_TYPE: 0x8100 },
    },
  ],
  [
    'flower-qinq',
    { ...ip, protocol: 0x88a8 },
    {
      ...{
        TCA_FLOWER_KEY_VLAN_ID: 100,
        TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x8100,
        TCA_FLOWER_KEY_CVLAN_ID: 5,
        TCA_FLOWER_KEY_CVLAN_ETH_TYPE: 0x86dd,
      },
      ...{ TCA_FLOWER_KEY_IP_PROTO: 17, TCA_FLOWER_KEY_UDP_DST: 53, TCA_FLOWER_ACT: pass },
      ...{ TCA_FLOWER_FLAGS: 0, TCA_FLOWER_KEY_ETH_TYPE: 0x88a8 },
    },
  ],
  [
    'flower-vlan-push',
    ip,
    {
      ...{ TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:01', TCA_FLOWER_KEY_ETH_DST_MASK: 'ff:ff:ff:ff:ff:ff' },
      TCA_FLOWER_ACT: actionList([
        vlan({
          TCA_VLAN_PARMS: { ...p, action: TC_ACT_PIPE, v_action: 2 },
          ...{
            TCA_VLAN_PUSH_VLAN_ID: 100,
            TCA_VLAN_PUSH_VLAN_PROTOCOL: 0x88a8,
            TCA_VLAN_PUSH_VLAN_PRIORITY: 3,
          },
        }),
        vlan({ TCA_VLAN_PARMS: { ...p, action: TC_ACT_PIPE, v_action: 3 }, TCA_VLAN_PUSH_VLAN_ID: 7 }),
        { TCA_ACT_KIND: 'mirred', TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: mirror } },
        verdict(TC_ACT_GOTO_CHAIN | 3),
      ]),
      ...ipTail(0),
    },
  ],
  [
    'flower-ct-state',
    ip,
    {
      ...{
        TCA_FLOWER_KEY_CT_STATE: 10,
        TCA_FLOWER_KEY_CT_STATE_MASK: 42,
        TCA_FLOWER_KEY_CT_ZONE: 5,
        TCA_FLOWER_KEY_CT_ZONE_MASK: 65535,
      },
      ...{ TCA_FLOWER_KEY_CT_MARK: 1, TCA_FLOWER_KEY_CT_MARK_MASK: 255, TCA_FLOWER_ACT: pass, ...ipTail(0) },
    },
  ],
  [
    'flower-arp',
    { ...ip, protocol: 0x0806 },
    {
      ...{
        TCA_FLOWER_KEY_ARP_OP: 1,
        TCA_FLOWER_KEY_ARP_OP_MASK: 255,
        TCA_FLOWER_KEY_ARP_TIP: '10.0.0.1',
        TCA_FLOWER_KEY_ARP_TIP_MASK: '255.255.255.255',
      },
      ...{
        TCA_FLOWER_KEY_ARP_SHA: '02:00:00:00:00:01',
        TCA_FLOWER_KEY_ARP_SHA_MASK: 'ff:ff:ff:ff:ff:ff',
        TCA_FLOWER_ACT: pass,
      },
      ...{ TCA_FLOWER_FLAGS: 0, TCA_FLOWER_KEY_ETH_TYPE: 0x0806 },
    },
  ],
  [
    'flower-block',
    { ifindex: BLOCK_IFINDEX, parent: 7, priority: 1, protocol: 0x0800 },
    {
      TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1',
      TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.255',
      TCA_FLOWER_ACT: drop,
      ...ipTail(0),
    },
  ],
]

describe('newFlower() sends what tc sends, and reads it', () => {
  test.each(cases)('%s', (name, place, options) => {
    expect(essence(newFlower(place, options, false))).toEqual(captured(name))
    const theirs = tcMessage.decode(payloadOf(name))
    expect(flowerOf(theirs)).toEqual(options)
    expect(placeOf(theirs)).toEqual({ parent: CLSACT_INGRESS, chain: 0, handle: 0, ...place })
    expect(actionsOf(theirs)).toEqual(options.TCA_FLOWER_ACT?.map(([, action]) => action))
  })

  test('asks for an echo unless told otherwise', () => {
    const { NLM_F_ECHO, NLM_F_CREATE, NLM_F_EXCL } = NLM_F
    expect(newFlower(ip, { TCA_FLOWER_ACT: drop }).flags).toBe(NLM_F_ECHO | NLM_F_CREATE | NLM_F_EXCL)
  })
})

describe('rewrites with their checksums', () => {
  const byPlace = (pedit: ReturnType<typeof peditRewrite>) =>
    (pedit.TCA_PEDIT_PARMS_EX?.keys ?? [])
      .map((key, i) => ({ ...key, ...pedit.TCA_PEDIT_KEYS_EX?.[i] }))
      .sort((a, b) => (a.TCA_PEDIT_KEY_EX_HTYPE ?? 0) - (b.TCA_PEDIT_KEY_EX_HTYPE ?? 0) || a.off - b.off)

  test.each([
    [
      'flower-nat',
      peditRewrite({ ipDst: '10.1.0.5', ttl: 63, proto: 6, portDst: 80 }, TC_ACT_PIPE),
      updateChecksums(1 | 8),
    ],
    [
      'flower-nat-v6-udp',
      peditRewrite({ ipSrc: 'fd00::1', ttl: 63, proto: 17, portSrc: 5353 }, TC_ACT_PIPE),
      updateChecksums(16),
    ],
  ])('%s has the keys that ours has, in another order', (name, ours, csum) => {
    const [pedit, sums, redirect] = actionsOf(tcMessage.decode(payloadOf(name)))
    expect(byPlace(pedit?.TCA_ACT_OPTIONS as typeof ours)).toEqual(byPlace(ours))
    expect(sums).toEqual(csum)
    expect(redirect).toEqual(redirectTo(1))
  })
})

describe('other requests', () => {
  test('matchall', () => {
    const options = { TCA_GACT_PARMS: { ...p, action: 0 }, TCA_GACT_PROB: { ptype: 2, pval: 3, paction: 2 } }
    const action = { TCA_ACT_KIND: 'gact', TCA_ACT_OPTIONS: options }
    const request = newMatchall(
      { ifindex: 1, priority: 1, protocol: 3 },
      { TCA_MATCHALL_ACT: actionList([action]), TCA_MATCHALL_FLAGS: 2 },
    )
    expect(essence(request)).toEqual(captured('matchall'))
    expect(matchallOf(tcMessage.decode(payloadOf('matchall')))?.TCA_MATCHALL_ACT).toEqual([[1, action]])
  })

  test.each([
    ['qdisc-clsact', newClsact(1)],
    ['qdisc-del', deleteClsact(1)],
  ])('%s', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test('filter-dump', () => {
    const request = dumpFilters(1, { chain: 5, terse: true })
    expect(tcMessage.decode(request.payload)).toEqual(tcMessage.decode(payloadOf('filter-dump')))
  })

  test('filter-get and filter-del name one filter', () => {
    const place = { ...ip, handle: 0x12345 }
    const value = {
      tcm_family: 0,
      tcm_ifindex: 1,
      tcm_handle: 0x12345,
      tcm_parent: CLSACT_INGRESS,
      tcm_info: 65544,
      TCA_KIND: 'flower',
    }
    expect(tcMessage.decode(getFilter(place, 'flower').payload)).toEqual(value)
    expect(tcMessage.decode(deleteFilter({ ...place, chain: 5 }, 'flower').payload)).toEqual({
      ...value,
      TCA_CHAIN: 5,
    })
    expect(tcMessage.decode(payloadOf('filter-get'))).toMatchObject(value)
    expect(tcMessage.decode(payloadOf('filter-del'))).toMatchObject({ ...value, TCA_CHAIN: 5 })
  })

  test.each([{ handle: 0 }, { priority: 0 }, {}])(
    'deleteFilter() refuses a place that names several: %j',
    (part) => {
      expect(() => deleteFilter({ ...ip, ...part }, 'flower')).toThrow('the kernel would delete all of them')
    },
  )

  test('action-add', () => {
    const flags = { value: 1, selector: 1 }
    const parms = { ...p, index: 9, action: 4, eaction: 1, ifindex: 1 }
    const action = {
      TCA_ACT_KIND: 'mirred',
      TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: parms },
      TCA_ACT_COOKIE: Uint8Array.of(1, 2),
      TCA_ACT_FLAGS: flags,
    }
    expect(actionMessage.encode({ TCA_ROOT_TAB: actionList([action]) })).toEqual(payloadOf('action-add'))
  })
})
