// Hostile pods with VFs, and with a dummy of the same node, in the virtual machine. In: a lab, the two ends of a wire. Out: beds.

import { attachConfig } from '../../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  deletePod,
  describe,
  linkIsReady,
  newPod,
  tearDown,
  WAIT_UNTIL,
  type WireEnds,
} from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { attachCalls, BED_FOLDER } from '../attach-calls.ts'
import type { Kind } from './action.ts'
import { addressed, EVIL, endPod, type HostileBed, NEIGHBOUR, NEXT, prepareBed } from './bed.ts'

/** A plugin to try in vf-attach's place, with its path. */
const PEER = process.env.VF_HOSTILE_PLUGIN

const MODULES = [
  ...['veth', 'bridge', 'macvlan', 'macvtap', 'vxlan', 'ipvlan', 'macsec', '8021q', 'vrf', 'team', 'tun'],
  ...['bonding max_bonds=0', 'dummy numdummies=0', 'ifb numifbs=0'],
  ...['sch_ingress', 'sch_tbf', 'sch_htb', 'cls_u32', 'act_mirred', 'nft_flow_offload'],
]

interface VfBeds {
  readonly vf: HostileBed
  readonly dummy: HostileBed
  end(): Promise<void>
}

/** Three VFs: for the hostile pod, for the neighbour, for no pod. And a dummy for the hostile pod instead of the VF. */
export async function vfBeds(lab: Lab, ends: WireEnds, kind: Kind): Promise<VfBeds> {
  await lab.load(...MODULES)
  let topology = await buildTopology(lab, ends, 3)
  const calls = await attachCalls(lab)
  for (const pod of [NEIGHBOUR, NEXT]) await newPod(lab, pod)
  const vf = (index: number) => {
    const { pci, netdev, mac } = topology.vfs[index] ?? {}
    if (pci === undefined || typeof netdev !== 'string' || typeof mac !== 'string')
      throw new Error(`No VF ${index}`)
    return { pci, netdev, mac }
  }
  const [mine, others, spare] = [vf(0), vf(1), vf(2)]
  const peer = PEER === undefined ? {} : { type: PEER }
  const forget = `${endPod(true)}
    rm -f /var/lib/cni/vf-flower/attach/*' ${EVIL}@net1.json' /var/lib/cni/vf-flower/attach/*' ${NEXT}@net1.json'
    rm -rf /var/lib/cni/sriov
    ip netns delete ${NEXT}; ip netns add ${NEXT}; ip -n ${NEXT} link set lo up`
  const bed: HostileBed = {
    lab,
    calls,
    kind,
    get device() {
      return vf(0)
    },
    other: spare.netdev,
    config: (more = {}) => attachConfig(mine.pci, { ...more, ...peer }),
    hasWire: true,
    isAlive: async () => true,
    renew: async () => {
      await lab.must(`${forget}
        cd /sys/bus/pci/devices/${mine.pci}
        driver=$(basename "$(readlink driver)")
        ${WAIT_UNTIL}
        home() { ls net/*; }
        wait_until home
        echo ${mine.pci} >/sys/bus/pci/drivers/$driver/unbind
        echo ${mine.pci} >/sys/bus/pci/drivers/$driver/bind
        wait_until home
        now=$(ls net)
        [ $now = ${mine.netdev} ] || ip link set $now name ${mine.netdev}
        ip link set dev ${mine.netdev} address ${mine.mac}`)
      topology = await describe(lab, topology)
    },
  }
  const dummy: HostileBed = {
    ...bed,
    kind: 'dummy',
    device: { netdev: 'hostile0', mac: '02:00:00:00:d0:01' },
    config: (more = {}) => ({ type: 'vf-attach', device: 'hostile0', ...more, ...peer }),
    hasWire: false,
    isAlive: async () => {
      const { code } = await lab.sh(`
        for pid in $(cat /tmp/hostile/kept /tmp/hostile/outliving 2>/dev/null); do
          nsenter --net=/proc/$pid/ns/net ip link | grep -q 02:00:00:00:d0:01 && exit 0
        done; ip -n ${EVIL} link 2>/dev/null | grep -q 02:00:00:00:d0:01`)
      return code === 0
    },
    renew: async () => {
      await lab.must(`${forget}
        ip link del hostile0 2>/dev/null
        ip link add hostile0 address 02:00:00:00:d0:01 type dummy`)
    },
  }
  await prepareBed(bed)
  const neighbour = attachConfig(others.pci, { ipam: addressed(bed, NEIGHBOUR).ipam })
  await calls.add(neighbour, NEIGHBOUR)
  await linkIsReady(lab, NEIGHBOUR)
  if (PEER !== undefined)
    await lab.must(`ln -sf ${process.env.VF_HOSTILE_PEER_PATH ?? ''} ${BED_FOLDER}/${PEER}`)
  await dummy.renew()
  return {
    vf: bed,
    dummy,
    end: async () => {
      await lab.must(`${endPod(true)}; ip link del hostile0 || true`)
      await calls.del(neighbour, NEIGHBOUR)
      for (const pod of [NEIGHBOUR, NEXT]) await deletePod(lab, pod)
      await tearDown(lab, topology)
    },
  }
}
