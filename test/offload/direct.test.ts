import { expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../src/kernel/facts.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { directWay } from '../../src/offload/direct.ts'
import type { Wire } from '../../src/offload/port.ts'
import type { BridgeVlan } from '../../src/ops/op.ts'

const [pf, rep] = [2, 9]
const vlan = (vid: number, pvid = false, untagged = pvid): BridgeVlan => ({ vid, pvid, untagged })

/** What becomes of an uplink and a representor with these masters (number and kind), and these VLANs. */
function wayOf(
  uplink: Partial<LinkFacts>,
  representor: Partial<LinkFacts>,
  vlans: Record<number, BridgeVlan[]> = {},
) {
  const port = (name: string, ifindex: number, more: Partial<LinkFacts>) =>
    ({ name, ifindex, master: undefined, slaveKind: undefined, ...more }) as LinkFacts
  const kernel = { bridgeVlans: (_: string, ifindex: number) => vlans[ifindex] ?? [] } as unknown as Kernel
  const wire = { uplink: port('pf0', pf, uplink), representor: port('rep0', rep, representor) } as Wire
  return directWay(kernel, wire)
}
const bridged = { master: 5, slaveKind: 'bridge' }

group('how frames of the wire come to a representor, beside port mappings', () => {
  test('by a bridge that it shares with the uplink', () => {
    const same = { [pf]: [vlan(1, true)], [rep]: [vlan(1, true)] }
    expect(wayOf(bridged, bridged, same)).toEqual({ direct: { vlan: 0 }, unmetered: undefined })
  })

  test('not at all, where it is attached to nothing', () => {
    expect(wayOf({}, {})).toEqual({ direct: undefined, unmetered: undefined })
    expect(wayOf(bridged, {})).toEqual({ direct: undefined, unmetered: undefined })
  })

  test('past the uplink’s filters: by a bridge on a VLAN of the PF, or on a bond that has the PF', () => {
    const unmetered = 'frames come to "rep0" by another interface than "pf0"'
    expect(wayOf({}, bridged)).toEqual({ direct: undefined, unmetered })
    expect(wayOf({ master: 6, slaveKind: 'bond' }, bridged)).toEqual({ direct: undefined, unmetered })
  })
})
