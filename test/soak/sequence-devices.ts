/**
 * The devices that the containers of a sequence fight for: VFs, or software interfaces, which die with the namespace that they are in. In: a
 * place. Out: how its devices are named, wished for, told in a look, and made anew.
 */
import type { JsonObject } from '../../src/lib/json.ts'
import { addressesFor } from './run.ts'
import { ipBatch, type LookAnswer, type Place } from './script.ts'
import type { Random } from './seed.ts'
import { stable, type VfState, vfState } from './state.ts'

/** One kind of device, each known by a word: a PCI address, or a name on the host. */
export interface DeviceKind {
  /** The devices of a place. */
  devices(place: Place): readonly string[]
  /** Keys of the config that ask for one. */
  keys(device: string): JsonObject
  /** Further wishes of a container. */
  wishes(random: Random, place: Place): JsonObject
  /** Its name in a record. */
  subject(device: string): string
  /** Its entry in a look at the host. */
  state(place: Place, device: string, look: LookAnswer): VfState
  /** Tells which device an interface is, wherever it is and whatever its name. */
  deviceOf(link: JsonObject): string
  /** Script: an interface of this kind in a pod, by {@link lookAlike}. */
  alike(device: string, pod: string): string
  /** Script: namespaces go and come, and what died with the former is there again. */
  change(place: Place, gone: readonly string[], come: readonly string[]): string
  /** A call that is killed at any time is killed within so many milliseconds: about as long as one takes. */
  readonly killWithinMs: number
  /** Script: all devices are there again, when no namespace lives that could have them. */
  revive(place: Place): string
}

/** Programs are what costs in software emulation: one for all namespaces. */
function namespaces(gone: readonly string[], come: readonly string[]): string {
  return ipBatch([...gone.map((pod) => `netns del ${pod}`), ...come.map((pod) => `netns add ${pod}`)])
}

/** VFs of igb, which come home when a namespace dies. */
export const vfKind: DeviceKind = {
  devices: ({ vfs }) => vfs.map(({ pci }) => pci),
  keys: (pci) => ({ deviceID: pci }),
  wishes: (random, place) => {
    const mac = macFrom(random)
    return {
      announce: { count: random.below(2), interval: 0, carrier: 0 },
      ...(random.chance(50) ? { mac } : {}),
      ...(random.chance(40) ? { vlan: random.below(4095) } : {}),
      ...(random.chance(40) ? { trust: random.pick(['on', 'off']) } : {}),
      ...(random.chance(40) ? { spoofchk: random.pick(['on', 'off']) } : {}),
      ...(random.chance(30) ? { max_tx_rate: random.below(900) } : {}),
      ...(random.chance(30) ? { mtu: 1300 + random.below(200) } : {}),
      ...(random.chance(60) ? { ipam: addressesFor(place) } : {}),
    }
  },
  subject: (pci) => pci,
  state: (place, pci, look) => vfState(look, place.vfs.find((vf) => vf.pci === pci) ?? { index: -1, pci }),
  deviceOf: ({ parentdev }) => String(parentdev),
  alike: (pci, pod) => lookAlike(`$(ls /sys/bus/pci/devices/${pci}/net)`, pod, 'dummy'),
  change: (_, gone, come) => namespaces(gone, come),
  killWithinMs: 800,
  revive: () => 'true',
}

/**
 * Script: an interface `alike` in the pod, with the number that `netdev` has on the host; nothing where that is in a pod, or
 * the pod has such a number or such an interface.
 */
function lookAlike(netdev: string, pod: string, type: string): string {
  return `number=$(cat /sys/class/net/${netdev}/ifindex 2>/dev/null) || exit 0
      ip -n ${pod} link add alike index $number type ${type} 2>/dev/null || true`
}

const peerOf = (veth: string) => `${veth}p`

/** Ends of veth pairs with an alias, by which they are known everywhere; the other ends stay on the host. */
export const vethKind: DeviceKind = {
  devices: ({ devices }) => devices,
  keys: (device) => ({ device }),
  wishes: (random, place) => ({
    ...(random.chance(50) ? { mac: macFrom(random) } : {}),
    ...(random.chance(50) ? { announce: { count: random.below(2), interval: 0, carrier: 0 } } : {}),
    ...(random.chance(30) ? { mtu: 1300 + random.below(200) } : {}),
    ...(random.chance(60) ? { ipam: addressesFor(place) } : {}),
  }),
  subject: (device) => `netdev:${device}`,
  state: (_, device, { host }) => {
    const link = host.find(({ ifname }) => ifname === device)
    const told = link === undefined ? undefined : stable(link)
    return { info: '', pfMac: '00:00:00:00:00:00', link: told, mac: String(link?.address) }
  },
  deviceOf: ({ ifalias }) => String(ifalias),
  alike: (device, pod) => lookAlike(device, pod, 'veth peer name alikep'),
  change: (place, gone, come) => {
    const dying = gone.map((pod) => `ip -n ${pod} link show`).join('; ')
    return `dying=$({ ${dying || 'true'}; } | sed -n 's/^ *alias //p')
      ${namespaces(gone, come)}
      for dead in $dying; do ${REMAKE}; done`.replaceAll('MAKE', makeOf(place))
  },
  // In emulation most of these come too early; there the VFs have their own.
  killWithinMs: 80,
  revive: (place) =>
    `for dead in ${place.devices.join(' ')}; do
      [ -e /sys/class/net/$dead ] || { ${REMAKE}; }
    done`.replaceAll('MAKE', makeOf(place)),
}

// The kernel takes a namespace's interfaces apart some time after its name is free; then the other end is gone too.
const REMAKE = `tries=0
      while [ -e /sys/class/net/$dead"p" ]; do
        tries=$((tries + 1)); if [ $tries -gt 6000 ]; then echo "$dead lives" >&2; exit 1; fi
        sleep 0.01
      done
      MAKE`

/** Makes the pair `$dead`. */
function makeOf({ devices }: Place): string {
  const cases = devices.map((device) => `${device}) mac=${macOf(device)};;`).join(' ')
  return `case $dead in ${cases} esac
      ip link add $dead address $mac txqueuelen 500 mtu 1450 type veth peer name $dead"p" || exit 1
      ip link set dev $dead alias $dead up || exit 1
      ip link set dev $dead"p" up || exit 1`
}

function macOf(device: string): string {
  const [lane = 0, number = 0] = (device.match(/\d+/g) ?? []).map(Number)
  return `02:00:00:00:4${lane}:0${number}`
}

function macFrom(random: Random): string {
  const bytes = [0, 0, 0].map(() => random.below(256).toString(16).padStart(2, '0'))
  return `02:00:00:${bytes.join(':')}`
}

/** Places of `count` lanes with `each` pairs for every one; {@link DeviceKind.revive} makes them. */
export function vethPlaces(count: number, each: number): Place[] {
  return Array.from({ length: count }, (_, lane) => ({
    pf: '',
    vfs: [],
    devices: Array.from({ length: each }, (_, number) => `soakq${lane}n${number}`),
    network: `soak-${lane}`,
  }))
}

/** Script: takes the pairs away. */
export function removePairs(places: readonly Place[]): string {
  return places.flatMap(({ devices }) => devices.map((device) => `ip link del ${peerOf(device)}`)).join('\n')
}
