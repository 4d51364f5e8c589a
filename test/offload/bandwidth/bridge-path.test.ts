// Frames of a pod on a bridge are followed to the ports by which they leave.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { directWay } from '../../../src/offload/bandwidth/bridge-path.ts'
import type { UplinkAttachment } from '../../../src/offload/port/port.ts'
import type { BridgeVlan } from '../../../src/ops/op.ts'

const [pf, rep] = [2, 9]
const vlan = (vid: number, pvid = false, untagged = pvid): BridgeVlan => ({ vid, pvid, untagged })

/** The way of frames for an uplink and a representor with these masters (number and kind), and these VLANs. */
function wayOf(
  uplink: Partial<LinkFacts>,
  representor: Partial<LinkFacts>,
  vlans: Record<number, BridgeVlan[]> = {},
  folder = '/nowhere',
) {
  const port = (name: string, ifindex: number, more: Partial<LinkFacts>) =>
    ({ name, ifindex, master: undefined, slaveKind: undefined, ...more }) as LinkFacts
  const kernel = { bridgeVlans: (_: string, ifindex: number) => vlans[ifindex] ?? [] } as unknown as Kernel
  const wire = {
    uplink: port('pf0', pf, uplink),
    representor: port('rep0', rep, representor),
  } as UplinkAttachment
  return directWay(kernel, wire, folder)
}
const bridged = { master: 5, slaveKind: 'bridge' }

group('how frames of the wire come to a representor, beside port mappings', () => {
  test('by a bridge that it shares with the uplink, whatever tags they have where it does not look at them', () => {
    const same = { [pf]: [vlan(1, true)], [rep]: [vlan(1, true)] }
    expect(wayOf(bridged, bridged, same)).toEqual({ direct: { vlan: 'any' }, unmetered: undefined })
  })

  test('not at all, where it is attached to nothing', () => {
    expect(wayOf({}, {})).toEqual({ direct: undefined, unmetered: undefined })
    expect(wayOf(bridged, {})).toEqual({ direct: undefined, unmetered: undefined })
  })

  test('past the uplink’s filters: by a bridge on a VLAN of the PF, or on a bond that has the PF', () => {
    const unmetered = 'frames come to "rep0" by another interface than "pf0"'
    expect(wayOf({}, bridged)).toEqual({ direct: undefined, unmetered })
    expect(wayOf({ master: 6, slaveKind: 'bond' }, bridged)).toEqual({ direct: undefined, unmetered })
    const vrf = { master: 5, slaveKind: 'vrf' }
    expect(wayOf(vrf, vrf)).toEqual({
      direct: undefined,
      unmetered: '"rep0" and "pf0" are no ports of a bridge',
    })
  })

  test('by Open vSwitch, whose ports’ filters are its own', () => {
    const ovs = { master: 5, slaveKind: 'openvswitch' }
    for (const [uplink, representor, name] of [
      [ovs, ovs, 'pf0'],
      [{}, ovs, 'rep0'],
      [ovs, {}, 'pf0'],
    ] as const) {
      const unmetered = `"${name}" is a port of Open vSwitch`
      expect(wayOf(uplink, representor)).toEqual({ direct: undefined, unmetered })
    }
  })
})

group('the VLAN that a filtering bridge leads to the representor', () => {
  const filtering = (onUplink: BridgeVlan[], onRepresentor: BridgeVlan[], protocol = '0x8100') => {
    const folder = mkdtempSync(join(tmpdir(), 'net-'))
    try {
      for (const name of ['br0/bridge', 'rep0']) mkdirSync(join(folder, name), { recursive: true })
      symlinkSync('../br0', join(folder, 'rep0', 'master'))
      writeFileSync(join(folder, 'br0/bridge/vlan_filtering'), '1\n')
      writeFileSync(join(folder, 'br0/bridge/vlan_protocol'), `${protocol}\n`)
      return wayOf(bridged, bridged, { [pf]: onUplink, [rep]: onRepresentor }, folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const direct = (vlan: number) => ({ direct: { vlan }, unmetered: undefined })

  test('untagged on the wire, where it is the uplink’s own', () => {
    expect(filtering([vlan(1, true), vlan(20)], [vlan(1, true)])).toEqual(direct(0))
    expect(filtering([vlan(1), vlan(20, true)], [vlan(20, true)])).toEqual(direct(0))
  })

  test('tagged otherwise, also where frames would leave untagged', () => {
    expect(filtering([vlan(1, true), vlan(20)], [vlan(20, true)])).toEqual(direct(20))
    expect(filtering([vlan(1, true), vlan(20, false, true)], [vlan(20, true)])).toEqual(direct(20))
  })

  test('none, where the uplink does not carry it: nobody outside may reach the pod', () => {
    expect(filtering([vlan(1, true)], [vlan(20, true)])).toEqual({ direct: undefined, unmetered: undefined })
    expect(filtering([], [])).toEqual({ direct: undefined, unmetered: undefined })
  })

  test('several, or one with its tag, or service tags: not what a filter of ours does', () => {
    const unmetered = '"rep0" gets frames of the VLANs 1, 20 from the bridge, tags included'
    expect(filtering([vlan(1, true), vlan(20)], [vlan(1, true), vlan(20)])).toMatchObject({ unmetered })
    expect(filtering([vlan(20)], [vlan(20)])).toMatchObject({
      unmetered: '"rep0" gets frames of the VLANs 20 from the bridge, tags included',
    })
    expect(filtering([vlan(1, true)], [vlan(1, true)], '0x88a8')).toMatchObject({
      unmetered: 'the bridge "br0" goes by tags of protocol 0x88a8',
    })
  })
})
