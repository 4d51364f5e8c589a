// VLANs of a bridge's port are read and changed.
import { describe, expect, test } from 'vitest'
import { bridgeVlansOf, changeBridgeVlan } from '../../../src/kernel/link/bridge.ts'
import { bridgeAfSpec } from '../../../src/netlink/rtnl/bridge-attributes.ts'
import { AF, RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { fixture } from '../../netlink/fixtures.ts'
import { answering } from '../answers.ts'

const answer = fixture('answer-bridge-vlan-dump').messages.filter(({ type }) => type === RTM.RTM_NEWLINK)
const vlan = (vid: number, pvid = false, untagged = false) => ({ vid, pvid, untagged })

describe('VLANs of a port', () => {
  test('are expanded from ranges', () => {
    const { socket } = answering(() => ({ messages: answer }))
    expect(bridgeVlansOf(socket, 4)).toEqual([
      vlan(1, false, true),
      ...[10, 11, 12, 13, 14].map((vid) => vlan(vid)),
      vlan(100, true, true),
    ])
  })

  test('are none for an interface that is no port', () => {
    const { socket } = answering(() => ({ messages: answer }))
    expect(bridgeVlansOf(socket, 5)).toEqual([])
    expect(bridgeVlansOf(answering(() => ({})).socket, 4)).toEqual([])
  })

  test.each([
    [[{ flags: 0, vid: 5 }], [5]],
    [
      [
        { flags: 8, vid: 4093 },
        { flags: 16, vid: 4094 },
      ],
      [4093, 4094],
    ],
    // A range without its end, which no kernel sends.
    [[{ flags: 8, vid: 7 }], [7]],
    [[], []],
  ])('%j is %j', (entries, vids) => {
    const spec = bridgeAfSpec.encode(entries.map((entry) => ['IFLA_BRIDGE_VLAN_INFO', entry] as const))
    const payload = linkMessage.encode({ ifi_family: AF.AF_BRIDGE, ifi_index: 4, IFLA_AF_SPEC: spec })
    const { socket } = answering(() => ({ messages: [{ type: RTM.RTM_NEWLINK, payload }] }))
    expect(bridgeVlansOf(socket, 4).map(({ vid }) => vid)).toEqual(vids)
  })
})

test('a change names the port and the VLAN, and a refusal is an error', () => {
  const { socket, asked } = answering(() => ({}))
  changeBridgeVlan(socket, 'add', 4, vlan(100, true, false))
  changeBridgeVlan(socket, 'add', 4, vlan(101, false, true))
  changeBridgeVlan(socket, 'del', 4, vlan(100))
  const requests = asked.map(({ type, payload }) => {
    const { ifi_family, ifi_index, IFLA_AF_SPEC: spec } = linkMessage.decode(payload)
    return [type, ifi_family, ifi_index, spec && bridgeAfSpec.decode(spec)]
  })
  expect(requests).toEqual([
    [RTM.RTM_SETLINK, 7, 4, [['IFLA_BRIDGE_VLAN_INFO', { flags: 2, vid: 100 }]]],
    [RTM.RTM_SETLINK, 7, 4, [['IFLA_BRIDGE_VLAN_INFO', { flags: 4, vid: 101 }]]],
    [RTM.RTM_DELLINK, 7, 4, [['IFLA_BRIDGE_VLAN_INFO', { flags: 0, vid: 100 }]]],
  ])
  expect(() => changeBridgeVlan(answering(() => ({ errno: 95 })).socket, 'add', 4, vlan(1))).toThrow(
    'EOPNOTSUPP',
  )
})
