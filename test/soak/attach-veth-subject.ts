/**
 * The fault table's software interface, as host-device moves one: a port of a bridge, with addresses that the kernel itself
 * announces. It dies with the namespace that it is in.
 */
import type { Lab } from '../../hack/lab/lab.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { attachSubjectOn, ifnameOf, laneOf } from './attach-subject.ts'
import type { Subject } from './faults.ts'
import type { Place } from './script.ts'
import { laneDifferences } from './state.ts'

/** Its bridge. */
export const vethBridge = 'br-veth'
const vethOf = ({ devices }: Place) => devices[0] ?? ''
const peerOf = (place: Place) => `soakp${laneOf(place)}`

/** Its addresses are announced by the kernel, as long as the config says nothing of that. */
export const vethSubject: Subject = subjectOf({})
/** Its addresses are announced by frames of the plugin's own. */
export const announcedSubject: Subject = subjectOf({ announce: { count: 1, interval: 0, carrier: 0 } })

function subjectOf(keys: JsonObject): Subject {
  return attachSubjectOn({
    keys: (place) => ({ device: vethOf(place), ...keys }),
    dressUp: make,
    undress: (place) => `ip link del ${vethOf(place)}`,
    // Its namespace took it along, maybe a while after its name was free again.
    revive: (place) => `[ -e /sys/class/net/${vethOf(place)} ] || {
    ip link del ${peerOf(place)} 2>/dev/null
    ${make(place)}
  }`,
    differences: (place, before, now, by) => {
      const isGone = by === 'GC' && !now.host.some(({ ifname }) => ifname === vethOf(place))
      return laneDifferences(place, before, isGone ? { ...now, host: before.host } : now)
    },
  })
}

function make(place: Place): string {
  const [veth, peer] = [vethOf(place), peerOf(place)]
  return `ip link add ${veth} address 02:00:00:00:46:0${laneOf(place)} type veth peer name ${peer} || exit 1
    ip link property add dev ${veth} altname ${ifnameOf(place)}
    ip link set dev ${peer} up
    ip link set dev ${veth} alias uplink txqueuelen 500 mtu 1450 master ${vethBridge} up || exit 1`
}

/** Makes the bridge for `count` lanes. */
export async function makeVethPlaces(lab: Lab, count: number): Promise<Place[]> {
  await lab.must(
    `ip link add ${vethBridge} address 02:00:00:00:00:b2 type bridge mcast_snooping 0 && ip link set ${vethBridge} up`,
  )
  return Array.from({ length: count }, (_, lane) => ({
    pf: '',
    vfs: [],
    devices: [`soakv${lane}`],
    network: `soak-${lane}`,
  }))
}

/** Takes it away. */
export async function removeVethPlaces(lab: Lab): Promise<void> {
  await lab.must(`ip link del ${vethBridge}`)
}
