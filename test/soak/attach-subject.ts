/** vf-attach in the fault table: an ADD that has much to do, on a VF that has much to restore. */
import type { JsonObject } from '../../src/lib/json.ts'
import type { Subject } from './faults.ts'
import { addressesFor } from './run.ts'
import type { Place } from './script.ts'
import { laneDifferences } from './state.ts'

const ifnameOf = ({ network }: Place) => `net${network.replace(/\D+/, '')}`
const podOf = ({ network }: Place) => `pod-${network}`
const pciOf = ({ vfs }: Place) => vfs[0]?.pci ?? ''

function configOf(place: Place): JsonObject {
  return {
    cniVersion: '1.0.0',
    name: place.network,
    type: 'vf-attach',
    deviceID: pciOf(place),
    mac: `02:00:00:00:45:0${place.network.replace(/\D+/, '')}`,
    vlan: 9,
    trust: 'on',
    spoofchk: 'off',
    max_tx_rate: 300,
    mtu: 1400,
    announce: { count: 1, interval: 0, carrier: 0 },
    ipam: addressesFor(place),
  }
}

export const attachSubject: Subject = {
  // A host's interface with much to restore: up, with an altname that is the pod's name for it, an alias, an MTU.
  dressUp: (place) => `name=$(ls /sys/bus/pci/devices/${pciOf(place)}/net)
    ip link property add dev $name altname ${ifnameOf(place)}
    ip link set dev $name alias uplink txqueuelen 500 mtu 1450 up || exit 1
    ip netns add ${podOf(place)}`,
  undress: (place) => `ip netns del ${podOf(place)}
    tries=0; until name=$(ls /sys/bus/pci/devices/${pciOf(place)}/net 2>/dev/null) || [ $tries -gt 100 ]; do
      tries=$((tries + 1)); sleep 0.1; done
    ip link property del dev $name altname ${ifnameOf(place)}
    ip link set dev $name alias '' txqueuelen 1000 mtu 1500 down`,
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
  look: { do: 'look', pods: [] },
  kill: (place) => ({ do: 'sh', script: `ip netns del ${podOf(place)}` }),
  revive: (place) => ({ do: 'sh', script: `ip netns add ${podOf(place)}` }),
  differences: laneDifferences,
}
