// Messages of links have the bytes that ip sends, and the kernel's are read.
import { describe, expect, test } from 'vitest'
import { bridgeAfSpec } from '../../../src/netlink/rtnl/bridge-attributes.ts'
import {
  addAltNames,
  changeLink,
  decodeLink,
  deleteAltNames,
  deleteLink,
  getLink,
  IFF,
  linkMessage,
  namesOf,
  newLink,
  RTEXT_FILTER,
  setLink,
} from '../../../src/netlink/rtnl/link.ts'
import { captured, essence, fixture, payloadOf } from '../fixtures.ts'

const noHeader = { ifi_family: 0, ifi_type: 0, ifi_index: 0, ifi_flags: 0, ifi_change: 0 }
const { IFF_UP, IFF_PROMISC, IFF_ALLMULTI } = IFF
const { RTEXT_FILTER_VF, RTEXT_FILTER_SKIP_STATS } = RTEXT_FILTER

describe('requests of ip, decoded', () => {
  test.each([
    ['link-get', { ...noHeader, IFLA_EXT_MASK: 9, IFLA_IFNAME: 'lo' }],
    ['link-get-altname', { ...noHeader, IFLA_EXT_MASK: 9, IFLA_ALT_IFNAME: 'a-name-of-more-than-15-bytes' }],
    ['link-up', { ...noHeader, ifi_index: 1, ifi_flags: 1, ifi_change: 1 }],
    [
      'link-move-rename',
      {
        ...{
          ...noHeader,
          ifi_index: 1,
          ifi_flags: 1,
          ifi_change: 1,
          IFLA_NET_NS_FD: 4,
          IFLA_ADDRESS: '02:00:00:00:00:01',
        },
        ...{ IFLA_MTU: 1400, IFLA_IFALIAS: 'vf-of-pod', IFLA_IFNAME: 'net1' },
      },
    ],
    ['link-master', { ...noHeader, ifi_index: 1, IFLA_MASTER: 1 }],
    ['link-txqueuelen-group', { ...noHeader, ifi_index: 1, IFLA_TXQLEN: 500, IFLA_GROUP: 7 }],
    ['link-altname-add', { ...noHeader, ifi_index: 1, IFLA_PROP_LIST: ['enp1s0f0v3', 'vf3'] }],
    [
      'link-add-veth',
      {
        ...{ ...noHeader, IFLA_ADDRESS: '02:00:00:00:00:01', IFLA_IFNAME: 'v0' },
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'veth',
          IFLA_INFO_DATA: { VETH_INFO_PEER: { ...noHeader, IFLA_MTU: 1400, IFLA_IFNAME: 'v1' } },
        },
      },
    ],
    [
      'link-add-vlan',
      {
        ...{ ...noHeader, IFLA_LINK: 1, IFLA_IFNAME: 'lo.100' },
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'vlan',
          IFLA_INFO_DATA: { IFLA_VLAN_PROTOCOL: 0x88a8, IFLA_VLAN_ID: 100 },
        },
      },
    ],
    [
      'link-add-bridge',
      {
        ...{ ...noHeader, IFLA_IFNAME: 'br0' },
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'bridge',
          IFLA_INFO_DATA: { IFLA_BR_VLAN_FILTERING: 1, IFLA_BR_STP_STATE: 0 },
        },
      },
    ],
  ])('%s', (name, expected) => {
    expect(linkMessage.decode(payloadOf(name))).toEqual(expected)
  })
})

describe('requests of ours are those of ip', () => {
  const data = { IFLA_VLAN_PROTOCOL: 0x88a8, IFLA_VLAN_ID: 100 }
  const peer = { IFLA_MTU: 1400, IFLA_IFNAME: 'v1' }
  test.each([
    ['link-up', changeLink({ ifi_index: 1, ifi_flags: IFF_UP, ifi_change: IFF_UP })],
    ['link-master', changeLink({ ifi_index: 1, IFLA_MASTER: 1 })],
    ['link-alias-none', changeLink({ ifi_index: 1, IFLA_IFALIAS: '' })],
    [
      'link-alias-promisc',
      changeLink({
        ...{ ifi_index: 1, ifi_flags: IFF_PROMISC, ifi_change: IFF_PROMISC | IFF_ALLMULTI },
        IFLA_IFALIAS: 'VF of pod',
      }),
    ],
    ['link-altname-add', addAltNames(1, ['enp1s0f0v3', 'vf3'])],
    ['link-altname-del', deleteAltNames(1, ['vf3'])],
    ['link-del', deleteLink(1)],
  ])('%s', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  // iproute2 writes kinds without the ending zero: the same value in other bytes.
  test.each([
    [
      'link-move-rename',
      changeLink({
        ...{
          ifi_index: 1,
          ifi_flags: IFF_UP,
          ifi_change: IFF_UP,
          IFLA_NET_NS_FD: 4,
          IFLA_ADDRESS: '02:00:00:00:00:01',
        },
        ...{ IFLA_MTU: 1400, IFLA_IFALIAS: 'vf-of-pod', IFLA_IFNAME: 'net1' },
      }),
    ],
    [
      'link-add-vlan',
      newLink({
        IFLA_LINK: 1,
        IFLA_IFNAME: 'lo.100',
        IFLA_LINKINFO: { IFLA_INFO_KIND: 'vlan', IFLA_INFO_DATA: data },
      }),
    ],
    [
      'link-add-veth',
      newLink({
        ...{ IFLA_ADDRESS: '02:00:00:00:00:01', IFLA_IFNAME: 'v0' },
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'veth',
          IFLA_INFO_DATA: { VETH_INFO_PEER: { ...noHeader, ...peer } },
        },
      }),
    ],
  ])('%s', (name, request) => {
    expect({ ...essence(request), payload: [] }).toEqual({ ...captured(name), payload: [] })
  })

  test('getLink() asks by index, name and long name', () => {
    const mask = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS
    expect(linkMessage.decode(getLink(3, mask).payload)).toEqual({
      ...noHeader,
      ifi_index: 3,
      IFLA_EXT_MASK: 9,
    })
    expect(linkMessage.decode(getLink('lo').payload)).toEqual({ ...noHeader, IFLA_IFNAME: 'lo' })
    const long = 'a-name-of-more-than-15-bytes'
    expect(linkMessage.decode(getLink(long, mask).payload)).toEqual(
      linkMessage.decode(payloadOf('link-get-altname')),
    )
  })
})

describe('VF settings', () => {
  const vf = 3
  test.each([
    ['link-vf-mac', { IFLA_VF_MAC: { vf, mac: '02:00:00:00:00:01' } }],
    ['link-vf-vlan', { IFLA_VF_VLAN: { vf, vlan: 100, qos: 5 } }],
    ['link-vf-vlan-ad', { IFLA_VF_VLAN_LIST: [{ vf, vlan: 100, qos: 5, vlan_proto: 0x88a8 }] }],
    ['link-vf-rate', { IFLA_VF_RATE: { vf, min_tx_rate: 100, max_tx_rate: 1000 } }],
    ['link-vf-tx-rate', { IFLA_VF_TX_RATE: { vf, rate: 200 } }],
    [
      'link-vf-all',
      {
        IFLA_VF_MAC: { vf, mac: '02:00:00:00:00:01' },
        IFLA_VF_VLAN: { vf, vlan: 7, qos: 1 },
        IFLA_VF_SPOOFCHK: { vf, setting: 1 },
        IFLA_VF_LINK_STATE: { vf, link_state: 1 },
        IFLA_VF_RSS_QUERY_EN: { vf, setting: 0 },
        IFLA_VF_TRUST: { vf, setting: 1 },
        IFLA_VF_RATE: { vf, min_tx_rate: 0, max_tx_rate: 300 },
      },
    ],
  ])('%s', (name, info) => {
    expect(linkMessage.decode(payloadOf(name))).toEqual({
      ...noHeader,
      ifi_index: 1,
      IFLA_VFINFO_LIST: [info],
    })
    const request = changeLink({ ifi_index: 1, IFLA_VFINFO_LIST: [info] })
    expect(essence(request)).toEqual(captured(name))
    expect(setLink({ ifi_index: 1, IFLA_VFINFO_LIST: [info] }).payload).toEqual(request.payload)
  })

  test('link-vf-mac-infiniband', () => {
    const [info] = linkMessage.decode(payloadOf('link-vf-mac-infiniband')).IFLA_VFINFO_LIST ?? []
    expect(info).toEqual({
      IFLA_VF_IB_NODE_GUID: { vf, guid: 0x0011223344556677n },
      IFLA_VF_IB_PORT_GUID: { vf, guid: 0x0011223344556678n },
    })
  })
})

describe("the kernel's answers", () => {
  test('a link dump of a kernel newer than our tables keeps what they lack', () => {
    const links = fixture('answer-link-dump')
      .messages.filter(({ type }) => type === 16)
      .map(decodeLink)
    expect(links.map(namesOf)).toEqual([['lo'], ['v1', 'other'], ['v0']])
    expect(links[1]).toMatchObject({
      ...{
        ifi_type: 1,
        IFLA_ADDRESS: '02:00:00:00:00:02',
        IFLA_IFALIAS: 'peer',
        IFLA_MTU: 1500,
        IFLA_LINK: 3,
      },
      ...{ IFLA_LINKINFO: { IFLA_INFO_KIND: 'veth' }, '#67': Uint8Array.of(0) },
    })
  })

  test('a VLAN device names its parent, id and protocol', () => {
    const [message] = fixture('answer-link-vlan').messages
    const vlan = {
      IFLA_VLAN_PROTOCOL: 0x8100,
      IFLA_VLAN_ID: 100,
      IFLA_VLAN_FLAGS: { flags: 1, mask: 0xffffffff },
    }
    expect(message && decodeLink(message)).toMatchObject({
      ...{
        IFLA_IFNAME: 'pf0.100',
        IFLA_LINK: 2,
        IFLA_LINKINFO: { IFLA_INFO_KIND: 'vlan', IFLA_INFO_DATA: vlan },
      },
    })
  })
})

test('bridgeAfSpec reads flags, mode and VLANs of an AF_BRIDGE link', () => {
  const bytes = Buffer.from('06000100010000000800020000000100 0800020000006400'.replaceAll(' ', ''), 'hex')
  expect(bridgeAfSpec.decode(bytes)).toEqual([
    ['IFLA_BRIDGE_MODE', 1],
    ['IFLA_BRIDGE_VLAN_INFO', { flags: 0, vid: 1 }],
    ['IFLA_BRIDGE_VLAN_INFO', { flags: 0, vid: 100 }],
  ])
})
