/**
 * The fault table's VF in switchdev mode: its representor joins a bridge, in a VLAN. In: the lab. Out: a simulated NIC
 * (simnic, from source, not hardware) with a VF for each lane, and the subject.
 */

import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../hack/lab/bed/simnic.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { attachSubjectOn, vfDress } from './attach-subject.ts'
import type { Point } from './fault-cases.ts'
import type { Place } from './script.ts'
import type { Subject } from './subject.ts'

/** Its bridge. */
export const bridge = 'br-soak'
const representorOf = ({ devices }: Place) => devices[0] ?? ''

export const bridgeSubject: Subject = attachSubjectOn({
  keys: ({ vfs }) => ({
    deviceID: vfs[0]?.pci ?? '',
    bridge,
    vlan: 10,
    max_tx_rate: 300,
    announce: { count: 1, interval: 0, carrier: 0 },
  }),
  // A representor that is to be changed in each way: its MTU, its state, its bridge.
  dressUp: (place) => `${vfDress.dressUp(place)}
    ip link set ${representorOf(place)} mtu 1480 down || exit 1`,
  undress: (place) => `${vfDress.undress(place)}
    ip link set ${representorOf(place)} mtu 1500`,
  look: (place) => `bridge vlan show dev ${representorOf(place)}`,
})

/** Steps that the table of a VF in legacy mode does not have: the representor and its VLANs. */
export function isOfRepresentor({ what }: Point): boolean {
  return what.includes('simpf0rep')
}

/** Loads the card, with `count` lanes, and makes the bridge. */
export async function makeBridgePlaces(lab: Lab, count: number): Promise<Place[]> {
  const [card] = await loadSimnic(lab, { totalVfs: count })
  if (card === undefined) throw new Error('simnic made no card')
  await setVfs(lab, card, count)
  await setMode(lab, card, 'switchdev')
  await lab.must(`set -e
    ip link set ${card.wire} up; ip link set ${card.pf} up
    ip link add ${bridge} address 02:00:00:00:00:b1 type bridge vlan_filtering 1 mcast_snooping 0
    ip link set ${bridge} up`)
  return Array.from({ length: count }, (_, lane) => placeOn(card, lane))
}

function placeOn({ pf, pci }: Card, lane: number): Place {
  return {
    pf,
    vfs: [{ index: lane, pci: `${pci.slice(0, -1)}${lane + 1}` }],
    devices: [`${pf}rep${lane}`],
    network: `soak-${lane}`,
  }
}

/** Takes both away. */
export async function removeBridgePlaces(lab: Lab): Promise<void> {
  await lab.must(`ip link del ${bridge}`)
  await unloadSimnic(lab)
}
