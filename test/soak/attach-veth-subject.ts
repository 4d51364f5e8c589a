/**
 * The fault table's software interface, as host-device moves one: a port of a bridge with addresses, routes and more of its own; the kernel
 * itself announces its addresses in the pod. It dies with the namespace that it is in.
 */
import type { Lab } from '../../hack/lab/lab.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { attachSubjectOn, ifnameOf, laneOf } from './attach-subject.ts'
import type { Place } from './script.ts'
import { laneDifferences } from './state.ts'
import type { Subject } from './subject.ts'

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
    // In any order: a fault has something given back after the rest.
    look: ({
      devices: [veth = ''],
    }) => `for what in addr 'route show table all' 'neigh show nud permanent'; do
      ip -o -4 $what dev ${veth} | sed 's/^[0-9]*: //' | sort
    done
    bridge fdb show dev ${veth} | grep ^02:00:00:00:47 | sort`,
    differences: (place, before, now, by) => {
      const isGone = by === 'GC' && !now.host.some(({ ifname }) => ifname === vethOf(place))
      if (isGone) return laneDifferences(place, before, { ...now, host: before.host })
      const text = before.text === now.text ? [] : [`${before.text.trim()} -> ${now.text.trim()}`]
      return [...laneDifferences(place, before, now), ...text]
    },
  })
}

function make(place: Place): string {
  const [veth, peer] = [vethOf(place), peerOf(place)]
  return `ip link add ${veth} address 02:00:00:00:46:0${laneOf(place)} type veth peer name ${peer} || exit 1
    ip link property add dev ${veth} altname ${ifnameOf(place)}
    ip link set dev ${peer} up
    ip link set dev ${veth} alias uplink txqueuelen 500 mtu 1450 master ${vethBridge} up || exit 1
    ${load(place)}`
}

// Things that a move takes from it: addresses, one of them without a route of its own, routes, a neighbour, entries of filter and
// bridge. They must not be the node's only addresses.
function load(place: Place): string {
  const [veth, lane] = [vethOf(place), laneOf(place)]
  return `ip -b - <<END || exit 1
address add 192.0.2.${16 * Number(lane)}/28 dev ${veth} noprefixroute
address add 198.51.100.${16 * Number(lane) + 1}/28 dev ${veth}
route add 203.0.113.${16 * Number(lane)}/28 via 198.51.100.${16 * Number(lane) + 2} dev ${veth} proto static
neigh add 198.51.100.${16 * Number(lane) + 2} lladdr 02:00:00:00:47:02 dev ${veth} nud permanent
END
    bridge fdb add 02:00:00:00:47:1${lane} dev ${veth} self && bridge fdb add 02:00:00:00:47:2${lane} dev ${veth} master static || exit 1`
}

/** Makes the bridge for `count` lanes. */
export async function makeVethPlaces(lab: Lab, count: number): Promise<Place[]> {
  await lab.must(
    `ip link add ${vethBridge} address 02:00:00:00:00:b2 type bridge mcast_snooping 0 && ip link set ${vethBridge} up &&
      ip address add 192.0.2.254/32 dev ${vethBridge}`,
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
