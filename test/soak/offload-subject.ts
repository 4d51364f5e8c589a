/**
 * vf-offload in the fault table and the random tests. In: a bed with two attached pods. Out: who works on what, and the
 * node's and the pods' state as text, told by ip, tc and nft.
 */

import type { BedPod, PortBed } from '../../hack/lab/bed/port-bed.ts'
import { PODS, stateDifferences, stateScript } from '../../hack/lab/bed/port-state.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { LookAnswer, Place, Step } from './script.ts'
import type { Subject } from './subject.ts'

/** One place for all: what a node's port mappings share can't be split among lanes. */
export const offloadPlace: Place = { pf: '', vfs: [], devices: [], network: 'lab-net' }

/** A look at all that port mappings and limits change, in both pods unless others are named. */
export function offloadLook(
  { node, one, two }: PortBed,
  pods: readonly BedPod[] = [one, two],
): Step & { readonly do: 'look' } {
  return { do: 'look', pods: [], script: stateScript(node.net.pf, pods) }
}

/** Lines of two looks' texts that differ; without those of the pods when they are said to have died. */
export function textDifferences(before: LookAnswer, now: LookAnswer, by: 'DEL' | 'GC' = 'DEL'): string[] {
  const told = ({ text }: LookAnswer) => (by === 'GC' ? (text.split(PODS)[0] ?? '') : text)
  return stateDifferences(told(before), told(now))
}

/** Takes away what a pod that has died would have taken along. */
export function cleanPod({ name }: BedPod): string {
  return `
    nsenter --net=/run/netns/${name} sh -s <<'END'
    nft flush ruleset
    for family in -4 -6; do
      ip $family rule | sed -n 's/^30000:.* lookup //p' | sort -u |
        while read -r table; do ip $family route flush table $table; done
      while ip $family rule delete pref 30000 2>/dev/null; do :; done
    done
    ip -br link show type ifb | while read -r ifb _; do ip link delete $ifb; done
    tc qdisc show | while read -r _ kind _ _ dev _; do
      case $kind in tbf) tc qdisc delete dev $dev root;; clsact) tc qdisc delete dev $dev clsact;; esac
    done
END
    tc qdisc show | while read -r _ kind _ _ dev _; do
      case $kind:$dev in tbf:veth*) tc qdisc delete dev $dev root;; esac
    done`
}

/** Both directions; with a whole number of Mbit/s from the pod, which a NIC can do, and none, which it can't. */
export const limits = {
  nic: { ingressRate: 5_000_000, ingressBurst: 800_000, egressRate: 9_000_000, egressBurst: 900_000 },
  software: { ingressRate: 5_000_000, ingressBurst: 800_000, egressRate: 1_500_000, egressBurst: 400_000 },
} as const

const mappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: HOST.v4 },
  { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: HOST.v6 },
]

/**
 * An ADD that does all that one can do on the bed's kind of port, for a pod's interface that has no default route. Its
 * namespace has a path of its own that can vanish while the pod stays. `wishes` is what the runtime asks for.
 */
export function offloadSubject(
  bed: PortBed,
  port: BedPod,
  config: JsonObject,
  wishes: JsonObject = { portMappings: mappings },
): Subject {
  const path = `/run/netns/other-${port.name}`
  // The container that vf-attach has given the interface to: of another one's VF the limits are left as they are.
  const container = port.name
  const plugin = {
    cniVersion: '1.0.0',
    name: offloadPlace.network,
    type: 'vf-offload',
    ...(port.device === undefined ? {} : { deviceID: port.device }),
    ...config,
    runtimeConfig: { ...wishes },
    prevResult: port.result as unknown as JsonObject,
  }
  // The pod lives on by another path.
  const collecting = {
    ...{ runtimeConfig: {}, cniVersion: '1.1.0', gcLive: true },
    'cni.dev/valid-attachments': [],
  }
  const bind = `touch ${path} && mount --bind ${port.netns} ${path}`
  const unbind = `umount ${path} && rm ${path}`
  return {
    plugin: 'vf-offload',
    dressUp: () => bind,
    undress: () => `${unbind}\n${cleanPod(port)}`,
    call: (_, verb, more = {}) => ({
      do: 'call',
      verb,
      container,
      netns: verb === 'GC' ? '' : path,
      ifname: 'net2',
      config: verb === 'GC' ? { ...plugin, ...collecting } : plugin,
      ...more,
    }),
    look: () => offloadLook(bed, [port]),
    kill: () => ({ do: 'sh', script: unbind }),
    revive: () => ({ do: 'sh', script: `${bind}\n${cleanPod(port)}` }),
    differences: (_, before, now, by) => [
      ...textDifferences(before, now, by),
      ...Object.keys(now.records).map((file) => `record left: ${file}`),
    ],
  }
}
