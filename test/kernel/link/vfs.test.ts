// Attributes of VFs are read from the PF's messages, and set in one request.
import { describe, expect, test } from 'vitest'
import { failure } from '../../../src/cni/failure.ts'
import { setVf, VfRefusal, vfAttributesOf } from '../../../src/kernel/link/vfs.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import type { VfInfo } from '../../../src/netlink/rtnl/vf.ts'
import type { VfAttributes } from '../../../src/ops/op.ts'
import { payloadOf } from '../../netlink/fixtures.ts'
import { answering } from '../answers.ts'

const mac = (octet: string) => `02:00:00:00:00:${octet}`
const untouched: VfAttributes = {
  mac: '00:00:00:00:00:00',
  vlan: { id: 0, qos: 0, proto: 0x8100 },
  rate: { min: 0, max: 0 },
  spoofchk: true,
  trust: false,
  linkState: 'auto',
}

describe('attributes of VFs', () => {
  test('are decoded from igb with four VFs, three of them changed by ip', () => {
    const link = linkMessage.decode(payloadOf('answer-vf-list'))
    expect(link.IFLA_VFINFO_LIST?.flatMap((info) => vfAttributesOf(info) ?? [])).toEqual([
      [0, untouched],
      [1, { ...untouched, mac: mac('11'), vlan: { id: 100, qos: 3, proto: 0x8100 } }],
      [2, { ...untouched, rate: { min: 0, max: 100 }, spoofchk: false, trust: true }],
      [3, untouched],
    ])
  })

  const vf = 5
  const own = { IFLA_VF_MAC: { vf, mac: mac('05') } }
  test.each<[string, VfInfo, VfAttributes]>([
    ['nothing but a MAC', {}, {}],
    [
      'a VLAN of 802.1Q',
      { IFLA_VF_VLAN: { vf, vlan: 7, qos: 1 } },
      { vlan: { id: 7, qos: 1, proto: 0x8100 } },
    ],
    [
      'a VLAN of 802.1ad',
      {
        IFLA_VF_VLAN: { vf, vlan: 7, qos: 1 },
        IFLA_VF_VLAN_LIST: [{ vf, vlan: 7, qos: 1, vlan_proto: 0x88a8 }],
      },
      { vlan: { id: 7, qos: 1, proto: 0x88a8 } },
    ],
    [
      'settings that the driver does not know',
      {
        IFLA_VF_SPOOFCHK: { vf, setting: 0xffffffff },
        IFLA_VF_TRUST: { vf, setting: 0xffffffff },
        IFLA_VF_LINK_STATE: { vf, link_state: 0xffffffff },
      },
      {},
    ],
    ['a link state', { IFLA_VF_LINK_STATE: { vf, link_state: 2 } }, { linkState: 'disable' }],
    ['another link state', { IFLA_VF_LINK_STATE: { vf, link_state: 1 } }, { linkState: 'enable' }],
    ['rates', { IFLA_VF_RATE: { vf, min_tx_rate: 1, max_tx_rate: 2 } }, { rate: { min: 1, max: 2 } }],
  ])('%s', (_, info, attributes) => {
    expect(vfAttributesOf({ ...own, ...info })).toEqual([[5, { mac: mac('05'), ...attributes }]])
  })

  test('are none for an entry without a MAC, which has no index', () => {
    expect(vfAttributesOf({ IFLA_VF_TRUST: { vf, setting: 1 } })).toBeUndefined()
  })
})

/** Sets attributes like do_setvfinfo (net/core/rtnetlink.c): one after the other in the kernel's order, up to the first refusal. */
const order: readonly (keyof VfInfo)[] = [
  'IFLA_VF_MAC',
  'IFLA_VF_VLAN_LIST',
  'IFLA_VF_RATE',
  'IFLA_VF_SPOOFCHK',
  'IFLA_VF_LINK_STATE',
  'IFLA_VF_TRUST',
]

function pfThatRefuses(...refused: (keyof VfInfo)[]) {
  const stored: Record<string, unknown> = {}
  const kernel = answering(({ payload }) => {
    const link = linkMessage.decode(payload)
    expect(link.ifi_index).toBe(2)
    for (const info of link.IFLA_VFINFO_LIST ?? []) {
      for (const key of order) {
        if (info[key] === undefined) continue
        if (refused.includes(key)) return { errno: 95 }
        stored[key] = info[key]
      }
    }
    return {}
  })
  return { ...kernel, stored }
}

const wish: VfAttributes = {
  mac: mac('05'),
  vlan: { id: 100, qos: 3, proto: 0x88a8 },
  rate: { min: 0, max: 100 },
  spoofchk: false,
  trust: true,
  linkState: 'enable',
}
const asStored = {
  IFLA_VF_MAC: { vf: 3, mac: mac('05') },
  IFLA_VF_VLAN_LIST: [{ vf: 3, vlan: 100, qos: 3, vlan_proto: 0x88a8 }],
  IFLA_VF_RATE: { vf: 3, min_tx_rate: 0, max_tx_rate: 100 },
  IFLA_VF_SPOOFCHK: { vf: 3, setting: 0 },
  IFLA_VF_LINK_STATE: { vf: 3, link_state: 1 },
  IFLA_VF_TRUST: { vf: 3, setting: 1 },
}
const before = {
  IFLA_VF_MAC: { vf: 3, mac: '00:00:00:00:00:00' },
  IFLA_VF_VLAN_LIST: [{ vf: 3, vlan: 0, qos: 0, vlan_proto: 0x8100 }],
  IFLA_VF_RATE: { vf: 3, min_tx_rate: 0, max_tx_rate: 0 },
  IFLA_VF_SPOOFCHK: { vf: 3, setting: 1 },
  IFLA_VF_LINK_STATE: { vf: 3, link_state: 0 },
  IFLA_VF_TRUST: { vf: 3, setting: 0 },
}

describe('setting', () => {
  test('all attributes go in one request', () => {
    const pf = pfThatRefuses()
    setVf(pf.socket, 2, 3, wish, untouched)
    expect(pf.asked).toHaveLength(1)
    expect(pf.stored).toMatchObject(asStored)
  })

  test.each<[keyof VfInfo, string, string]>([
    ['IFLA_VF_MAC', 'mac', mac('05')],
    ['IFLA_VF_VLAN_LIST', 'vlan', '{"id":100,"qos":3,"proto":34984}'],
    ['IFLA_VF_RATE', 'max_tx_rate/min_tx_rate', '{"min":0,"max":100}'],
    ['IFLA_VF_SPOOFCHK', 'spoofchk', 'false'],
    ['IFLA_VF_LINK_STATE', 'link_state', 'enable'],
    ['IFLA_VF_TRUST', 'trust', 'true'],
  ])('a refusal of %s names "%s", and nothing is changed', (attribute, key, value) => {
    const pf = pfThatRefuses(attribute)
    const error = thrownBy(() => setVf(pf.socket, 2, 3, wish, untouched))
    expect(error).toBeInstanceOf(VfRefusal)
    expect(error).toMatchObject({
      key,
      code: 'EOPNOTSUPP',
      message: `${key} ${value}: RTM_SETLINK: EOPNOTSUPP`,
    })
    expect(failure(error).code).toBe(102)
    for (const [name, now] of Object.entries(pf.stored)) {
      expect(before).toHaveProperty(name)
      expect(now, name).toMatchObject(before[name as keyof typeof before])
    }
  })

  test('the first refusal is thrown even if the driver refuses to set back its own value', () => {
    const pf = pfThatRefuses('IFLA_VF_RATE')
    const error = thrownBy(() => setVf(pf.socket, 2, 3, { rate: { min: 0, max: 5 }, trust: true }, untouched))
    expect(error).toMatchObject({ key: 'max_tx_rate/min_tx_rate' })
    expect(pf.stored).toMatchObject({ IFLA_VF_TRUST: { vf: 3, setting: 0 } })
  })

  test('the kernel’s error is thrown when only all attributes together are refused', () => {
    const pf = answering(({ payload }) => {
      const [info] = linkMessage.decode(payload).IFLA_VFINFO_LIST ?? []
      return Object.keys(info ?? {}).length > 1 ? { errno: 22, text: 'not together' } : {}
    })
    expect(() => setVf(pf.socket, 2, 3, { trust: true, spoofchk: false }, untouched)).toThrow(
      'RTM_SETLINK: EINVAL: not together',
    )
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
