// A hostile pod with a veth, in a node made of namespaces. In: nothing. Out: a bed.

import { warmBridge } from '../../../hack/lab/bed/bridge-bed.ts'
import { testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { linkIsReady, WAIT_UNTIL, WIRE } from '../../../hack/lab/bed/topology.ts'
import { makeNativeBed, onNic } from '../attach-native-bed.ts'
import { RatePod, SMALL_TO_POD } from '../rate-veth.ts'
import { addressed, EVIL, endPod, type HostileBed, NEIGHBOUR, NEXT, prepareBed } from './bed.ts'

/** Name of a plugin to try in vf-attach's place, for the comparison in docs/results/2026-11-28-hostile-pods.md. */
const PEER = process.env.VF_HOSTILE_PLUGIN

/** A bed, and its end. */
export interface VethBed extends HostileBed {
  end(): Promise<void>
}

/** Three veths with their peers on the wire: for the hostile pod, for the neighbour, for no pod. */
export async function vethBed(): Promise<VethBed> {
  const native = await makeNativeBed(3, [NEIGHBOUR, NEXT])
  const { lab } = native
  const nic = native.nic(0)
  const bed: HostileBed = {
    lab,
    calls: native,
    kind: 'veth',
    device: nic,
    other: native.nic(2).netdev,
    config: (more = {}) => ({ ...onNic(nic, more), ...(PEER === undefined ? {} : { type: PEER }) }),
    hasWire: true,
    isAlive: async () => {
      const { code } = await lab.sh(`${WAIT_UNTIL}
        gone() { ! ip -n ${WIRE.namespace} link show dev ${nic.peer}; }
        for try in $(seq 20); do if gone >/dev/null 2>&1; then exit 1; fi; sleep 0.05; done`)
      return code === 0
    },
    renew: async () => {
      await lab.must(`${endPod(true)}
        rm -f /var/lib/cni/vf-flower/attach/*' ${EVIL}@net1.json' /var/lib/cni/vf-flower/attach/*' ${NEXT}@net1.json'
        ip netns delete ${NEXT}; ip netns add ${NEXT}; ip -n ${NEXT} link set lo up
        ip -n ${WIRE.namespace} link del ${nic.peer} 2>/dev/null; ip link del ${nic.netdev} 2>/dev/null; true`)
      await native.nicIsBack(0)
    },
  }
  await prepareBed(bed)
  if (PEER !== undefined) await lab.must(`ln -sf /usr/lib/cni/host-device /tmp/attach-bed/go-host-device`)
  // Another kind of pod beside them, with a limit and a mapping on the host.
  const runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  const limited = await RatePod.attach(lab, runtime, 'pod-one')
  await limited.add(SMALL_TO_POD)
  await native.add(onNic(native.nic(1), { ipam: addressed(bed, NEIGHBOUR).ipam }), NEIGHBOUR)
  await linkIsReady(lab, NEIGHBOUR)
  return {
    ...bed,
    end: async () => {
      await lab.must(endPod(true))
      await native.del(onNic(native.nic(1)), NEIGHBOUR)
      await limited.end()
      await lab.must('ip link del cni0')
      await native.end()
    },
  }
}
