// A filter that the kernel stored is compared with the one that was asked for.
import { describe, expect, test } from 'vitest'
import {
  type Action,
  actionList,
  redirectTo,
  rewrite,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import { compareEcho } from '../../../src/netlink/tc/compare.ts'
import { flowerOf, newFlower, newMatchall } from '../../../src/netlink/tc/filter.ts'
import type { Flower } from '../../../src/netlink/tc/kinds/flower.ts'
import { type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { fixture, payloadOf } from '../fixtures.ts'

const cookie = new Uint8Array(Buffer.from('00112233445566778899aabbccddeeff', 'hex'))
const pedit = peditRewrite({ ethDst: '02:00:00:00:00:05', ethSrc: '02:00:00:00:00:01' }, 3)
/** Changes a tree at a path. */
const change = (filter: Tc, path: readonly (string | number)[], value: unknown): Tc => {
  const copy = structuredClone(filter)
  const last = path.at(-1) as string
  const parent = path
    .slice(0, -1)
    .reduce((node, key) => node[key as keyof typeof node], copy as object) as Record<string, unknown>
  if (value === undefined) delete parent[last]
  else parent[last] = value
  return copy
}

const actionsIn = (filter: Tc) => flowerOf(filter)?.TCA_FLOWER_ACT ?? []

describe('compareEcho() with what a real kernel dumped', () => {
  const stored = tcMessage.decode(fixture('answer-filter-dump').messages[1]?.payload ?? new Uint8Array())
  const ifindex = stored.tcm_ifindex
  const options: Flower = {
    TCA_FLOWER_KEY_ETH_TYPE: 0x0800,
    TCA_FLOWER_KEY_IP_PROTO: 6,
    TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1',
    TCA_FLOWER_KEY_TCP_DST: 8080,
    TCA_FLOWER_ACT: actionList([rewrite(pedit), redirectTo(ifindex, cookie)]),
  }
  const asked = (part: Flower = {}) =>
    tcMessage.decode(newFlower({ ifindex, priority: 1, protocol: 0x0800 }, { ...options, ...part }).payload)
  const path = ['TCA_OPTIONS', 'TCA_FLOWER_ACT']

  test('finds nothing where the kernel only added', () => {
    expect(compareEcho(asked(), stored)).toEqual([])
    expect(compareEcho(asked({ TCA_FLOWER_KEY_IPV4_DST_MASK: '255.255.255.255' }), stored)).toEqual([])
    expect(compareEcho(asked({ TCA_FLOWER_FLAGS: 16 }), stored)).toEqual([])
    expect(compareEcho({ ...asked(), tcm_handle: 1 }, stored)).toEqual([])
    expect(compareEcho({ ...asked(), tcm_info: 8 }, stored)).toEqual([])
  })

  test.each<[Tc, string]>([
    [
      change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_TCP_DST'], undefined),
      'TCA_FLOWER_KEY_TCP_DST: asked 8080, kernel has nothing',
    ],
    [
      change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_TCP_DST'], 8081),
      'TCA_FLOWER_KEY_TCP_DST: asked 8080, kernel has 8081',
    ],
    [
      change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_ETH_TYPE'], undefined),
      'TCA_FLOWER_KEY_ETH_TYPE: asked 2048, kernel has nothing',
    ],
    [
      change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_UDP_DST'], 1),
      'TCA_FLOWER_KEY_UDP_DST: asked nothing, kernel has 1',
    ],
    [
      change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_IPV4_DST_MASK'], '255.0.0.0'),
      'TCA_FLOWER_KEY_IPV4_DST: asked 10.0.0.1, kernel has 10.0.0.0 with mask 255.0.0.0',
    ],
    [change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_FLAGS'], 10), 'flags: asked 0, kernel has 2'],
    [change(stored, ['tcm_info'], 0x20008), 'priority: asked 1, kernel has 2'],
    [change(stored, ['tcm_info'], 0x1dd86), 'protocol: asked 2048, kernel has 34525'],
    [change(stored, ['tcm_parent'], 0xfffffff3), 'tcm_parent: asked 4294967282, kernel has 4294967283'],
    [change(stored, ['TCA_CHAIN'], 3), 'TCA_CHAIN: asked 0, kernel has 3'],
    [change(stored, ['TCA_KIND'], 'bpf'), 'TCA_KIND: asked flower, kernel has bpf'],
    [change(stored, ['TCA_OPTIONS'], undefined), 'TCA_OPTIONS: the kernel has none'],
    [change(stored, [...path], []), 'number of actions: asked 2, kernel has 0'],
    [change(stored, path, actionsIn(stored).slice(0, 1)), 'number of actions: asked 2, kernel has 1'],
    [
      change(stored, [...path, 1, 1, 'TCA_ACT_COOKIE'], undefined),
      'action 2 (mirred) TCA_ACT_COOKIE: asked 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff, kernel has nothing',
    ],
    [
      change(stored, [...path, 1, 1, 'TCA_ACT_KIND'], 'gact'),
      'action 2 (mirred) TCA_ACT_KIND: asked mirred, kernel has gact',
    ],
    [
      change(stored, [...path, 1, 1, 'TCA_ACT_OPTIONS', 'TCA_MIRRED_PARMS', 'ifindex'], 99),
      `action 2 (mirred) TCA_MIRRED_PARMS: asked {action 4, eaction 1, ifindex ${ifindex}}, kernel has {action 4, eaction 1, ifindex 99}`,
    ],
    [
      change(stored, [...path, 0, 1, 'TCA_ACT_OPTIONS', 'TCA_PEDIT_PARMS_EX', 'keys', 0, 'val'], 3),
      'action 1 (pedit) TCA_PEDIT_PARMS_EX',
    ],
    [
      change(stored, [...path, 0, 1, 'TCA_ACT_OPTIONS', 'TCA_PEDIT_KEYS_EX'], undefined),
      'action 1 (pedit) TCA_PEDIT_KEYS_EX',
    ],
  ])('finds %#', (other, message) => {
    const differences = compareEcho(asked(), other)
    expect(differences).toHaveLength(1)
    expect(differences[0]).toContain(message)
  })

  test('compares an index, flags and statistics wishes only where they were asked for', () => {
    const redirect = redirectTo(ifindex, cookie)
    const withIndex = structuredClone(redirect) as {
      TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { index: number } }
    }
    withIndex.TCA_ACT_OPTIONS.TCA_MIRRED_PARMS.index = 77
    const list = (action: Action) => asked({ TCA_FLOWER_ACT: actionList([rewrite(pedit), action]) })
    expect(compareEcho(list(withIndex), stored)[0]).toMatch(/asked .*index 77.*kernel has .*index 1\b/)
    expect(compareEcho(list({ ...redirect, TCA_ACT_FLAGS: { value: 1, selector: 1 } }), stored)).toEqual([
      'action 2 (mirred) TCA_ACT_FLAGS: asked 1, kernel has 0',
    ])
    expect(compareEcho(list({ ...redirect, TCA_ACT_FLAGS: { value: 0, selector: 1 } }), stored)).toEqual([])
  })

  test('compares bits that the mask leaves', () => {
    const wanted = asked({ TCA_FLOWER_KEY_IPV4_DST: '10.9.9.9', TCA_FLOWER_KEY_IPV4_DST_MASK: '255.0.0.0' })
    const masked = change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_IPV4_DST_MASK'], '255.0.0.0')
    expect(compareEcho(wanted, masked)).toEqual([])
    expect(
      compareEcho(wanted, change(masked, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_IPV4_DST'], '11.9.9.9')),
    ).toHaveLength(1)
    const unmasked = asked({ TCA_FLOWER_KEY_IPV4_DST: '10.9.9.9' })
    const sameKey = change(masked, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_IPV4_DST'], '10.9.9.9')
    expect(compareEcho(unmasked, sameKey)).toHaveLength(1)
  })
})

test('compareEcho() knows that the kernel shows the inner EtherType of a VLAN filter', () => {
  const stored = tcMessage.decode(payloadOf('answer-filter-get'))
  const place = { ifindex: stored.tcm_ifindex, priority: 2, handle: 7, protocol: 0x8100 }
  const p = { index: 0, capab: 0, refcnt: 0, bindcnt: 0 }
  const pop: Action = {
    TCA_ACT_KIND: 'vlan',
    TCA_ACT_OPTIONS: { TCA_VLAN_PARMS: { ...p, action: 3, v_action: 1 } },
  }
  const csum: Action = {
    TCA_ACT_KIND: 'csum',
    TCA_ACT_OPTIONS: { TCA_CSUM_PARMS: { ...p, action: 3, update_flags: 9 } },
  }
  const options: Flower = {
    ...{ TCA_FLOWER_KEY_ETH_TYPE: 0x8100, TCA_FLOWER_KEY_VLAN_ID: 100, TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x0800 },
    ...{
      TCA_FLOWER_KEY_IP_PROTO: 6,
      TCA_FLOWER_KEY_TCP_DST: 80,
      TCA_FLOWER_KEY_FLAGS: 0,
      TCA_FLOWER_KEY_FLAGS_MASK: 1,
    },
    TCA_FLOWER_ACT: actionList([pop, csum, verdict(2)]),
  }
  expect(compareEcho(tcMessage.decode(newFlower(place, options).payload), stored)).toEqual([])
  const arp = change(stored, ['TCA_OPTIONS', 'TCA_FLOWER_KEY_ETH_TYPE'], 0x0806)
  expect(compareEcho(tcMessage.decode(newFlower(place, options).payload), arp)).toEqual([
    'TCA_FLOWER_KEY_ETH_TYPE: asked 33024, kernel has 2054',
  ])
})

test('compareEcho() compares matchall filters', () => {
  const stored = tcMessage.decode(fixture('answer-matchall-dump').messages[1]?.payload ?? new Uint8Array())
  const { tcm_ifindex: ifindex, tcm_parent: parent } = stored
  const p = { index: 0, capab: 0, refcnt: 0, bindcnt: 0 }
  const mirror: Action = {
    TCA_ACT_KIND: 'mirred',
    TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { ...p, action: 3, eaction: 2, ifindex } },
  }
  const asked = (list: Action[]) =>
    tcMessage.decode(
      newMatchall({ ifindex, parent, priority: 1, protocol: 3 }, { TCA_MATCHALL_ACT: actionList(list) })
        .payload,
    )
  expect(compareEcho(asked([mirror, verdict(0)]), stored)).toEqual([])
  expect(compareEcho(asked([mirror, verdict(2)]), stored)).toEqual([
    'action 2 (gact) TCA_GACT_PARMS: asked {action 2}, kernel has {action 0}',
  ])
})
