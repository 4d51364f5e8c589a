// Messages of bridge VLANs have the bytes that bridge sends.
import { describe, expect, test } from 'vitest'
import {
  BRIDGE_VLAN_INFO,
  decodeBridgePort,
  deleteBridgeVlan,
  dumpBridgeVlans,
  newBridgeVlan,
} from '../../../src/netlink/rtnl/bridge.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { captured, essence, fixture } from '../fixtures.ts'

const { BRIDGE_VLAN_INFO_PVID: PVID, BRIDGE_VLAN_INFO_UNTAGGED: UNTAGGED } = BRIDGE_VLAN_INFO

describe('requests of ours are those of bridge', () => {
  test.each([
    ['bridge-vlan-add', newBridgeVlan(1, { flags: PVID | UNTAGGED, vid: 100 })],
    ['bridge-vlan-del', deleteBridgeVlan(1, { flags: 0, vid: 100 })],
  ])('%s', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test('the dump, but for the flag that dump() sets', () => {
    expect(essence({ ...dumpBridgeVlans(), flags: 0x300 })).toEqual(captured('bridge-vlan-dump'))
  })
})

test('answers: the bridge and its port with ranges', () => {
  const links = fixture('answer-bridge-vlan-dump').messages.filter(({ type }) => type === RTM.RTM_NEWLINK)
  expect(links.map(decodeBridgePort)).toEqual([
    { ifindex: 3, vlans: [{ flags: 6, vid: 1 }] },
    {
      ifindex: 4,
      vlans: [
        { flags: 4, vid: 1 },
        { flags: 8, vid: 10 },
        { flags: 16, vid: 14 },
        { flags: 6, vid: 100 },
      ],
    },
  ])
})
