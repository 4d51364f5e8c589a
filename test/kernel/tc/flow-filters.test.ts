// A flow filter goes into the NIC or into software as the config wants it, and one that the kernel stored otherwise is
// taken away.
import { describe, expect, test } from 'vitest'
import { failure } from '../../../src/cni/failure.ts'
import { flowFilterDifferences } from '../../../src/kernel/tc/flow-filter-spec.ts'
import { findOwnFilters } from '../../../src/kernel/tc/own-filters.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import { compareEcho } from '../../../src/netlink/tc/compare.ts'
import { actionsOf, flowerOf, placeOf } from '../../../src/netlink/tc/filter.ts'
import type { Flower } from '../../../src/netlink/tc/kinds/flower.ts'
import { CLSACT_INGRESS, type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { fixture, payloadOf } from '../../netlink/fixtures.ts'
import { addFilter, change, pf, prefix, removeFilter, spec, withClsact } from '../flow-filter.ts'
import { conditions, inHw, notInHw, Sched, skipHw, skipSw } from '../sched.ts'

describe('a new flow filter', () => {
  test('is in hardware with skip_sw when the NIC accepts it', () => {
    const sched = withClsact(true)
    expect(addFilter(sched.socket, pf, spec, 'prefer')).toEqual({ where: 'nic', handle: 1 })
    expect(flowerOf(sched.filters[0] as Tc)?.TCA_FLOWER_FLAGS).toBe(skipSw | inHw)
    expect(findOwnFilters(sched.open, prefix)).toEqual([
      {
        ifindex: pf,
        prio: 10,
        handle: 1,
        protocol: 0x0800,
        kind: 'flower',
        cookie: spec.cookie,
        packets: 0n,
        inHw: true,
      },
    ])
  })

  test('has skip_hw, and the driver’s reason, when the NIC refuses it', () => {
    const sched = withClsact()
    expect(addFilter(sched.socket, pf, spec, 'prefer')).toEqual({
      where: 'host',
      refusal: 'EOPNOTSUPP: driver has no flow tables',
      handle: 1,
    })
    expect(sched.filters).toHaveLength(1)
    expect(flowerOf(sched.filters[0] as Tc)?.TCA_FLOWER_FLAGS).toBe(skipHw | notInHw)
  })

  test('is in software alone with off', () => {
    const sched = withClsact(true)
    expect(addFilter(sched.socket, pf, spec, 'off')).toEqual({ where: 'host', handle: 1 })
    expect(sched.count(RTM.RTM_NEWTFILTER)).toBe(1)
  })

  test('is an error with require when the NIC refuses it, and nothing stays', () => {
    const sched = withClsact()
    expect(() => addFilter(sched.socket, pf, spec, 'require')).toThrow(
      'EOPNOTSUPP: driver has no flow tables',
    )
    expect(sched.filters).toEqual([])
  })

  test('is tried once when its key is taken', () => {
    const sched = withClsact()
    addFilter(sched.socket, pf, spec, 'off')
    expect(() => addFilter(sched.socket, pf, { ...spec, cookie: 'f'.repeat(32) }, 'prefer')).toThrow(
      `tcp 10.1.0.1 port 8080 is taken by a filter of priority 10 on "pf0" with cookie ${spec.cookie}`,
    )
    expect(sched.count(RTM.RTM_NEWTFILTER)).toBe(2)
    expect(sched.filters).toHaveLength(1)
  })

  test('without a port names its address when the key is taken', () => {
    const sched = withClsact()
    const { proto: _, port: __, ...rule } = spec
    addFilter(sched.socket, pf, rule, 'off')
    expect(() => addFilter(sched.socket, pf, { ...rule, cookie: 'f'.repeat(32) }, 'off')).toThrow(
      `ip 10.1.0.1 is taken by a filter of priority 10 on "pf0" with cookie ${spec.cookie}`,
    )
  })

  test('with the condition on fragments has a key of its own, by which it is removed', () => {
    const sched = withClsact()
    const whole: FlowFilter = { ...spec, fragments: 'none' }
    for (const rule of [whole, spec]) addFilter(sched.socket, pf, rule, 'off')
    const fragmentsOf = () =>
      sched.filters.map((filter) => {
        const { TCA_FLOWER_KEY_FLAGS: flags, TCA_FLOWER_KEY_FLAGS_MASK: mask } = flowerOf(filter) ?? {}
        return [flags, mask]
      })
    expect(fragmentsOf()).toEqual([
      [0, 1],
      [undefined, undefined],
    ])
    removeFilter(sched.socket, pf, spec)
    expect(fragmentsOf()).toEqual([[0, 1]])
    removeFilter(sched.socket, pf, whole)
    expect(fragmentsOf()).toEqual([])
  })

  test('with the condition on fragments is another one than without, for CHECK too, both ways', () => {
    for (const [made, other] of [
      [spec, { ...spec, fragments: 'none' }],
      [{ ...spec, fragments: 'none' }, spec],
    ] as const) {
      const sched = withClsact(true)
      addFilter(sched.socket, pf, made, 'require')
      const stored = sched.filters[0] as Tc
      expect(flowFilterDifferences(pf, made, true, stored)).toEqual([])
      expect(flowFilterDifferences(pf, other, true, stored).join()).toContain('TCA_FLOWER_KEY_FLAGS')
    }
  })

  test('is refused with the kernel’s words without a qdisc', () => {
    expect(() => addFilter(new Sched().socket, pf, spec, 'prefer')).toThrow(
      "EINVAL: Parent Qdisc doesn't exists",
    )
  })

  test.each<[string, (filter: Tc) => Tc, RegExp]>([
    [
      'a condition',
      (filter) => change(filter, { TCA_FLOWER_KEY_TCP_DST: undefined }),
      /TCA_FLOWER_KEY_TCP_DST/,
    ],
    [
      'an action',
      (filter) => change(filter, { TCA_FLOWER_ACT: flowerOf(filter)?.TCA_FLOWER_ACT?.slice(0, 1) }),
      /number of actions/,
    ],
    [
      'being in hardware',
      (filter) => change(filter, { TCA_FLOWER_FLAGS: skipSw | notInHw }),
      /in_hw: missing/,
    ],
    ['the wish for hardware', (filter) => change(filter, { TCA_FLOWER_FLAGS: inHw }), /flags/],
  ])('is removed again when the kernel loses %s', (_, spoil, words) => {
    const sched = withClsact(true)
    sched.spoil = spoil
    const error = thrownBy(() => addFilter(sched.socket, pf, spec, 'require'))
    expect((error as Error).message).toMatch(words)
    expect(failure(error).code).toBe(102)
    expect(sched.filters).toEqual([])
  })
})

describe('the request', () => {
  const asked = (change_: Partial<FlowFilter>) => {
    const sched = withClsact()
    addFilter(sched.socket, pf, { ...spec, ...change_ }, 'off')
    return sched.filters[0] as Tc
  }

  test('has the keys of TCP over IPv4', () => {
    expect(placeOf(asked({}))).toMatchObject({
      ifindex: pf,
      parent: CLSACT_INGRESS,
      chain: 0,
      priority: 10,
      protocol: 0x0800,
    })
    expect(conditions(asked({}))).toEqual({
      TCA_FLOWER_KEY_ETH_TYPE: 0x0800,
      TCA_FLOWER_KEY_IP_PROTO: 6,
      TCA_FLOWER_KEY_IPV4_DST: '10.1.0.1',
      TCA_FLOWER_KEY_TCP_DST: 8080,
    })
  })

  test('has the keys of UDP over IPv6', () => {
    const filter = asked({ address: '2001:db8::1', proto: 'udp', prio: 11 })
    expect(placeOf(filter)).toMatchObject({ priority: 11, protocol: 0x86dd })
    expect(conditions(filter)).toEqual({
      TCA_FLOWER_KEY_ETH_TYPE: 0x86dd,
      TCA_FLOWER_KEY_IP_PROTO: 17,
      TCA_FLOWER_KEY_IPV6_DST: '2001:db8::1',
      TCA_FLOWER_KEY_UDP_DST: 8080,
    })
  })

  test('has the keys of a VLAN', () => {
    const filter = asked({ vlan: 100, prio: 12 })
    expect(placeOf(filter)).toMatchObject({ priority: 12, protocol: 0x8100 })
    expect(conditions(filter)).toMatchObject({
      TCA_FLOWER_KEY_ETH_TYPE: 0x8100,
      TCA_FLOWER_KEY_VLAN_ID: 100,
      TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x0800,
    })
  })

  test('rewrites both MACs, then redirects to the same interface; each action has the cookie', () => {
    const cookie = new Uint8Array(Buffer.from(spec.cookie, 'hex'))
    const actions = actionsOf(asked({}))
    expect(actions.map(({ TCA_ACT_KIND: kind }) => kind)).toEqual(['pedit', 'mirred'])
    expect(actions.map(({ TCA_ACT_COOKIE: own }) => own)).toEqual([cookie, cookie])
    expect(actions[1]).toMatchObject({
      TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { ifindex: pf, eaction: 1, action: 4 } },
    })
  })

  // Bits of linux/tc_act/tc_csum.h: IPv4 header 1, TCP 8, UDP 16.
  test.each<[string, Partial<FlowFilter>, Parameters<typeof peditRewrite>[0], number]>([
    ['what comes by TCP and IPv4', {}, { ipDst: '10.1.0.5', portDst: 80, proto: 6 }, 1 | 8],
    [
      'what leaves by UDP and IPv4',
      { proto: 'udp', side: 'src' },
      { ipSrc: '10.1.0.5', portSrc: 80, proto: 17 },
      1 | 16,
    ],
    [
      'what leaves by TCP and IPv6',
      { address: 'fd00::1', side: 'src' },
      { ipSrc: 'fd00::5', portSrc: 80, proto: 6 },
      8,
    ],
    [
      'what comes by UDP and IPv6',
      { address: 'fd00::1', proto: 'udp' },
      { ipDst: 'fd00::5', portDst: 80, proto: 17 },
      16,
    ],
  ])('translates %s, and updates the checksums', (_, change_, words, sums) => {
    const { dstMac: _dst, srcMac: _src, ...bare } = spec
    const to = { address: change_.address === undefined ? '10.1.0.5' : 'fd00::5', port: 80 }
    const sched = withClsact()
    addFilter(sched.socket, pf, { ...bare, ...change_, to }, 'off')
    const [pedit, csum, ...rest] = actionsOf(sched.filters[0] as Tc)
    expect(pedit?.TCA_ACT_OPTIONS).toEqual(peditRewrite(words, 3))
    expect(csum).toMatchObject({
      TCA_ACT_KIND: 'csum',
      TCA_ACT_OPTIONS: { TCA_CSUM_PARMS: { update_flags: sums } },
    })
    expect(rest.map(({ TCA_ACT_KIND: kind }) => kind)).toEqual(['mirred'])
  })

  test('equals the request of tc for the same filter', () => {
    // flower-steer is a capture of tc filter add ... pedit of both MACs, redirect.
    const theirs = tcMessage.decode(payloadOf('flower-steer'))
    const flow = flowerOf(theirs) as Flower
    const ours = asked({
      address: flow.TCA_FLOWER_KEY_IPV4_DST ?? '',
      port: flow.TCA_FLOWER_KEY_TCP_DST ?? 0,
      prio: theirs.tcm_info >>> 16,
    })
    const place = {
      tcm_ifindex: theirs.tcm_ifindex,
      tcm_handle: theirs.tcm_handle,
      tcm_info: theirs.tcm_info,
    }
    const rest = compareEcho(theirs, { ...ours, ...place })
    expect(
      rest.filter((line) => !/cookie|flags|pedit|mirred/i.test(line)),
      fixture('flower-steer').command,
    ).toEqual([])
  })
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new TypeError('nothing was thrown')
}
