/**
 * vf-attach in the fault table: an ADD that has much to do, on a device that has much to restore. In: what is special of a
 * kind of device; out: a subject. The first one here: a VF of igb, whose PF does everything in legacy mode.
 */
import type { JsonObject } from '../../src/lib/json.ts'
import { addressesFor } from './run.ts'
import type { LookAnswer, Place } from './script.ts'
import { laneDifferences } from './state.ts'
import type { Subject } from './subject.ts'

/** The pod's name for its interface, which the host has as an altname. */
export const ifnameOf = (place: Place) => `net${laneOf(place)}`
/** Number of the lane. */
export const laneOf = ({ network }: Place) => network.replace(/\D+/, '')
const podOf = ({ network }: Place) => `pod-${network}`
const pciOf = ({ vfs }: Place) => vfs[0]?.pci ?? ''

/** The part of a subject that differs by the kind of device. */
export interface DeviceKind {
  /** Keys of the config that name the device and what is wanted of it. */
  keys(place: Place): JsonObject
  /** Prepare the device and take that back; `revive`, where it dies with its namespace. */
  dressUp(place: Place): string
  undress(place: Place): string
  revive?(place: Place): string
  /** Prints what else must be as before. */
  look?(place: Place): string
  differences?: Subject['differences']
}

/** vf-attach on one kind of device. */
export function attachSubjectOn(kind: DeviceKind): Subject {
  const configOf = (place: Place): JsonObject => ({
    cniVersion: '1.0.0',
    name: place.network,
    type: 'vf-attach',
    mac: `02:00:00:00:45:0${laneOf(place)}`,
    mtu: 1400,
    ipam: addressesFor(place),
    ...kind.keys(place),
  })
  return {
    quick: true,
    dressUp: (place) => `${kind.dressUp(place)}\nip netns add ${podOf(place)}`,
    undress: (place) => `ip netns del ${podOf(place)}\n${kind.undress(place)}`,
    call: (place, verb, more = {}) => {
      const gc = { ...configOf(place), cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }
      return {
        do: 'call',
        verb,
        container: podOf(place),
        netns: verb === 'GC' ? '' : `/run/netns/${podOf(place)}`,
        ifname: ifnameOf(place),
        config: verb === 'GC' ? gc : configOf(place),
        ...(verb === 'CHECK' ? { prev: true } : {}),
        ...more,
      }
    },
    look: (place) => ({
      do: 'look',
      pods: [],
      ...(kind.look === undefined ? {} : { script: kind.look(place) }),
    }),
    kill: (place) => ({ do: 'sh', script: `ip netns del ${podOf(place)}` }),
    revive: (place) => ({
      do: 'sh',
      script: `ip netns add ${podOf(place)}\n${kind.revive?.(place) ?? ''}`,
    }),
    differences: kind.differences ?? differences,
  }
}

function differences(place: Place, before: LookAnswer, now: LookAnswer): string[] {
  const text = before.text === now.text ? [] : [`${before.text.trim()} -> ${now.text.trim()}`]
  return [...laneDifferences(place, before, now), ...text]
}

/** A VF's interface with much to restore: up, with an altname that is the pod's name for it, an alias, an MTU. */
export const vfDress: Pick<DeviceKind, 'dressUp' | 'undress'> = {
  dressUp: (place) => `name=$(ls /sys/bus/pci/devices/${pciOf(place)}/net)
    ip link property add dev $name altname ${ifnameOf(place)}
    ip link set dev $name alias uplink txqueuelen 500 mtu 1450 up || exit 1`,
  undress: (
    place,
  ) => `tries=0; until name=$(ls /sys/bus/pci/devices/${pciOf(place)}/net 2>/dev/null) || [ $tries -gt 100 ]; do
      tries=$((tries + 1)); sleep 0.1; done
    ip link property del dev $name altname ${ifnameOf(place)}
    ip link set dev $name alias '' txqueuelen 1000 mtu 1500 down`,
}

/** A VF in legacy mode. */
export const attachSubject: Subject = attachSubjectOn({
  ...vfDress,
  keys: (place) => ({
    deviceID: pciOf(place),
    vlan: 9,
    trust: 'on',
    spoofchk: 'off',
    max_tx_rate: 300,
    announce: { count: 1, interval: 0, carrier: 0 },
  }),
})
