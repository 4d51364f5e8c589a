// A node with interfaces of software, a wire and pods, for black-box tests of what vf-attach does with any device. In: the
// lab. Out: the same calls and looks as on the bed with VFs. Each NIC is a veth whose other end is a port of the wire's
// switch: unlike a VF it dies with its namespace.

import { diffSnapshot, type Snapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  deletePod,
  newPod,
  type Topology,
  tearDown,
  vethWire,
  WAIT_UNTIL,
  WIRE,
} from '../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { type AttachCalls, attachCalls, FORGET_CALLS } from './attach-calls.ts'
import { lab as sharedLab } from './lab.ts'

/** An interface for a pod. */
export interface BedNic {
  readonly netdev: string
  readonly mac: string
  /** The other end of the NIC, in the namespace of the wire, and its number: the same whenever the NIC is made anew. */
  readonly peer: string
  readonly peerIndex: number
}

/** The bed that {@link makeNativeBed} made. */
export interface NativeBed extends AttachCalls {
  readonly lab: Lab
  readonly topology: Topology
  nic(index?: number): BedNic
  /** Takes the state that `expectUnchanged` compares with. */
  remember(): Promise<void>
  expectUnchanged(point?: string): Promise<void>
  /** Makes a NIC that died with its pod anew. */
  nicIsBack(index?: number): Promise<void>
  /** After a test that failed: removes records, makes new NICs and new pods. */
  rebuild(): Promise<void>
  end(): Promise<void>
}

/** vf-attach for a NIC, with any keys. */
export function onNic({ netdev }: Pick<BedNic, 'netdev'>, more: Record<string, unknown> = {}): PluginConfig {
  return { type: 'vf-attach', device: netdev, ...more }
}

/** Builds the topology without hardware, `nics` NICs (at most 99) that are down, and the pods, and remembers the state. */
export async function makeNativeBed(nics: number, pods: readonly string[]): Promise<NativeBed> {
  const lab = await sharedLab()
  const topology = await buildTopology(lab, await vethWire(lab), 0)
  const calls = await attachCalls(lab)
  const nic = (index = 0): BedNic => {
    const end = String(index).padStart(2, '0')
    return {
      netdev: `nic${index}`,
      mac: `02:00:00:00:f0:${end}`,
      peer: `nic-wire${index}`,
      peerIndex: 9_000 + index,
    }
  }
  const all = Array.from({ length: nics }, (_, index) => nic(index))
  await lab.must(makeNics(all))
  for (const pod of pods) await newPod(lab, pod)
  let before: Snapshot = await snapshot(lab)
  const remember = async (): Promise<void> => {
    before = await snapshot(lab)
  }
  return {
    ...calls,
    lab,
    topology,
    nic,
    remember,
    expectUnchanged: async (point = '') => {
      const lines = diffSnapshot(before, await snapshot(lab))
      if (lines.length > 0) throw new Error([`The host is not as before ${point}:`, ...lines].join('\n'))
    },
    nicIsBack: async (index) => {
      const one = nic(index)
      // The kernel destroys a dead namespace, and the pair with it, in its own time.
      await lab.must(`${WAIT_UNTIL}
        is_gone() { ! ip -n ${WIRE.namespace} link show dev ${one.peer}; }
        wait_until is_gone`)
      await lab.must(makeNics([one]))
    },
    rebuild: async () => {
      for (const pod of pods) await deletePod(lab, pod)
      // A pair whose other end was in a pod goes with the pod's namespace, in the kernel's own time: perhaps just before the deletion
      // here. The pair only must be gone.
      await lab.must(`${FORGET_CALLS}${WAIT_UNTIL}
        wires() { ip -n ${WIRE.namespace} -br link | grep -o '^nic-wire[0-9]*'; }
        for link in $(wires); do
          ip -n ${WIRE.namespace} link del $link || echo "$link had gone"
        done
        none_left() { ! wires; }
        wait_until none_left`)
      await lab.must(makeNics(all))
      for (const pod of pods) await newPod(lab, pod)
      await remember()
    },
    end: async () => {
      for (const pod of pods) await deletePod(lab, pod)
      await lab.must(`for nic in ${all.map(({ netdev }) => netdev).join(' ')}; do ip link del $nic; done`)
      await tearDown(lab, topology)
      await lab.must(`ip link del ${topology.pf}; rm -rf /var/lib/cni/networks`)
    },
  }
}

// Made from the other end's side, because only that end can be given a number.
function makeNics(nics: readonly BedNic[]): string {
  const lines = nics.flatMap(({ netdev, mac, peer, peerIndex }) => [
    `link add ${peer} index ${peerIndex} type veth peer name ${netdev} address ${mac} netns 1`,
    `link set ${peer} master ${WIRE.bridge} up`,
  ])
  return `set -e
ip -n ${WIRE.namespace} -b - <<END
${lines.join('\n')}
END`
}
