// Attributes of VFs have the bytes that ip sends, and the kernel's lists are read.
import { describe, expect, test } from 'vitest'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { ifla_vf_mac, NOT_REPORTED, vfInfoList, vfSetting } from '../../../src/netlink/rtnl/vf.ts'
import { payloadOf } from '../fixtures.ts'

describe('the VF list of an igb PF', () => {
  const pf = linkMessage.decode(payloadOf('answer-vf-list'))
  const list = pf.IFLA_VFINFO_LIST ?? []

  test('has every VF with what was set', () => {
    expect(pf.IFLA_NUM_VF).toBe(4)
    expect(list.map((info) => info.IFLA_VF_MAC)).toEqual([
      { vf: 0, mac: '00:00:00:00:00:00' },
      { vf: 1, mac: '02:00:00:00:00:11' },
      { vf: 2, mac: '00:00:00:00:00:00' },
      { vf: 3, mac: '00:00:00:00:00:00' },
    ])
    expect(list[1]).toMatchObject({
      IFLA_VF_VLAN: { vf: 1, vlan: 100, qos: 3 },
      IFLA_VF_VLAN_LIST: [{ vf: 1, vlan: 100, qos: 3, vlan_proto: 0x8100 }],
    })
    expect(list[2]).toMatchObject({
      IFLA_VF_RATE: { vf: 2, min_tx_rate: 0, max_tx_rate: 100 },
      IFLA_VF_TRUST: { vf: 2, setting: 1 },
      IFLA_VF_SPOOFCHK: { vf: 2, setting: 0 },
    })
  })

  test('tells on, off and not reported apart', () => {
    expect(vfSetting(list[2]?.IFLA_VF_TRUST?.setting)).toBe(true)
    expect(vfSetting(list[2]?.IFLA_VF_SPOOFCHK?.setting)).toBe(false)
    expect(list[0]?.IFLA_VF_RSS_QUERY_EN?.setting).toBe(NOT_REPORTED)
    expect(vfSetting(list[0]?.IFLA_VF_RSS_QUERY_EN?.setting)).toBeUndefined()
    expect(vfSetting(undefined)).toBeUndefined()
  })
})

test('255 VFs without statistics fit their 16-bit length, with them they are refused', () => {
  const info = (vf: number) => ({
    IFLA_VF_MAC: { vf, mac: '02:00:00:00:00:01' },
    IFLA_VF_TRUST: { vf, setting: 1 },
  })
  const stats = {
    IFLA_VF_STATS_RX_PACKETS: 1n,
    IFLA_VF_STATS_TX_PACKETS: 1n,
    IFLA_VF_STATS_RX_BYTES: 1n,
    IFLA_VF_STATS_TX_BYTES: 1n,
  }
  const many = Array.from({ length: 255 }, (_, vf) => info(vf))
  expect(linkMessage.decode(linkMessage.encode({ IFLA_VFINFO_LIST: many })).IFLA_VFINFO_LIST).toEqual(many)
  const wide = many.map((one) => ({
    ...one,
    IFLA_VF_STATS: stats,
    IFLA_VF_BROADCAST: { broadcast: 'ff:ff:ff:ff:ff:ff' },
    IFLA_VF_VLAN_LIST: Array.from({ length: 10 }, () => ({ vf: 1, vlan: 1, qos: 1, vlan_proto: 0x8100 })),
  }))
  expect(() => linkMessage.encode({ IFLA_VFINFO_LIST: wide })).toThrow('do not fit into an attribute')
})

test('a VF list whose length has wrapped is an error, not another list', () => {
  // As the kernel sends it: 16 bits of the length are there, the rest of the list follows as attributes of the link.
  const info = { IFLA_VF_MAC: { vf: 1, mac: '02:00:00:00:00:01' } }
  const entry = vfInfoList.encode([info])
  const wrapped = Buffer.concat([
    linkMessage.encode({}),
    Buffer.from([4 + entry.length, 0, 22, 0]),
    entry,
    entry,
    entry,
  ])
  expect(() => linkMessage.decode(wrapped)).toThrow(RangeError)
})

describe('hardware addresses of MAX_ADDR_LEN bytes', () => {
  const infiniband = Array.from({ length: 20 }, (_, i) => (i + 1).toString(16).padStart(2, '0')).join(':')
  test.each(['02:00:00:00:00:01', '00:00:00:00:00:00', infiniband, Array(32).fill('ff').join(':')])(
    '%s',
    (mac) => {
      const bytes = ifla_vf_mac.encode({ vf: 1, mac })
      expect(bytes).toHaveLength(36)
      expect(ifla_vf_mac.decode(bytes)).toEqual({ vf: 1, mac })
    },
  )

  test.each([Array(33).fill('ff').join(':'), '02:00:00:00:00:zz'])('refuses %s', (mac) => {
    expect(() => ifla_vf_mac.encode({ vf: 1, mac })).toThrow(RangeError)
  })
})
