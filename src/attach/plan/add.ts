/**
 * The page a reviewer reads: the changes that `vf-attach` makes to a node, in their order and with the reasons. Pure: config and facts in,
 * operations out; no clock, no kernel.
 */

import { pick } from '../../lib/pick.ts'
import type { LinkAttributes, VfAttributes } from '../../ops/op.ts'
import type { AttachConfig } from '../config/config.ts'
import type { AttachFacts, PortFacts, VfFacts } from '../device/facts.ts'
import type { PlannedOp } from './planned.ts'

/**
 * Operations of an ADD up to IPAM.
 *
 * PF side first: a VF's driver may refuse or lose a MAC that its PF does not know yet. Then one request that moves and
 * renames, so that no udev rule ever sees a foreign name on the host. The first operation changes little but carries
 * the interface's whole old state, so that a rollback restores the MAC last, after the PF side (drivers refuse a VF's
 * own MAC change while the PF's old setting stands). `podIfindex` is the number that the interface gets in the pod, by
 * which every operation there knows it: a name in a pod is the pod's to give.
 */
export function planAdd(
  config: AttachConfig,
  facts: AttachFacts,
  ifname: string,
  podIfindex?: number,
): PlannedOp[] {
  const ops: PlannedOp[] = []
  const { vf } = facts
  const link = facts.port?.link
  // By number: udev may rename an interface between our look and our change.
  const host =
    link === undefined ? undefined : ({ side: 'host', name: link.name, ifindex: link.ifindex } as const)
  if (link !== undefined && host !== undefined) {
    const was = { mac: link.mac, mtu: link.mtu, up: link.up }
    const released = facts.port?.master === undefined ? {} : { master: facts.port.master }
    ops.push({ do: 'link.set', ...host, set: link.up ? { up: false } : {}, was: { ...was, ...released } })
    if (vf !== undefined && config.mac !== undefined && config.mac !== link.mac) {
      // Some drivers (igb) let a VF set its own MAC only as long as the PF has set none. Where that is refused too,
      // the last operation asks again, and the kernel side knows one more way.
      const mac = { set: { mac: config.mac }, was: { mac: link.mac } }
      ops.push({ do: 'link.set', ...host, ...mac, mayFail: true })
    }
  }
  if (vf !== undefined) {
    ops.push(...planVf(config, vf))
    if (vf.representor !== undefined) {
      const { bridge } = config
      const joins = bridge !== undefined && bridge.name !== vf.representor.master
      ops.push(...planRepresentor(vf.representor, bridge?.name, config.mtu ?? link?.mtu))
      // A new port is in the bridge's default VLAN, from which the pod has to be kept.
      const vids = facts.bridgeVlan ? [facts.bridgeVlan] : []
      if (joins && bridge.vlan !== undefined)
        ops.push(...planPortVlans(vf.representor.link.name, bridge.vlan, vids))
    }
  }
  if (link === undefined || host === undefined) return ops
  if (link.altnames.includes(ifname)) {
    // The kernel moves the interface and only then finds the new name taken, by the interface's own altname.
    ops.push({ do: 'altname.del', ...host, altname: ifname })
  }
  const inPod = podIfindex ?? link.ifindex
  const move = { from: 'host', name: link.name, ifindex: link.ifindex, to: 'pod', newName: ifname } as const
  ops.push({ do: 'link.move', ...move, newIfindex: inPod })
  const set: LinkAttributes = {
    ...(config.mac === undefined ? {} : { mac: config.mac }),
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    up: true,
  }
  const place = { side: 'pod', name: ifname, ifindex: inPod } as const
  ops.push({ do: 'link.set', ...place, set, was: { up: false }, ifDifferent: true })
  return ops
}

/** The attributes that the PF holds for the VF: all wishes, even equal ones, so that a driver confirms all of them. */
export function planVf(config: AttachConfig, { attributes, pfName, index }: VfFacts): PlannedOp[] {
  const set = wishedVf(config, attributes)
  if (Object.keys(set).length === 0) return []
  return [{ do: 'vf.set', pf: pfName, vf: index, set, was: pick(attributes, set) }]
}

/** The VF's other end in the eSwitch: up, as large as the pod's interface (`mtu`) and, if wanted, a port of `bridge`. */
export function planRepresentor(
  { link, master }: PortFacts,
  bridge: string | undefined,
  mtu: number | undefined,
): PlannedOp[] {
  const set: LinkAttributes = {
    ...(mtu === undefined || mtu === link.mtu ? {} : { mtu }),
    ...(bridge === undefined || bridge === master ? {} : { master: bridge }),
    ...(link.up ? {} : { up: true }),
  }
  if (Object.keys(set).length === 0) return []
  const was = pick({ mtu: link.mtu, master: master ?? '', up: link.up }, set)
  return [{ do: 'link.set', side: 'host', name: link.name, ifindex: link.ifindex, set, was }]
}

/** The VLAN of a bridge port, which frames have untagged on its side; `vids`: the VLANs that the port is in. */
export function planPortVlans(port: string, vlan: number, vids: readonly number[]): PlannedOp[] {
  const place = { side: 'host', link: port } as const
  const own = { pvid: true, untagged: true }
  const others = vids.filter((vid) => vid !== vlan)
  return [
    ...others.map((vid): PlannedOp => ({ do: 'bridge.vlan.del', ...place, vlan: { vid, ...own } })),
    { do: 'bridge.vlan.add', ...place, vlan: { vid: vlan, ...own } },
  ]
}

function wishedVf(config: AttachConfig, now: VfAttributes): VfAttributes {
  if (config.rate === undefined) return config.vf
  // One request sets both halves; the one that was not asked for keeps what an operator may have set.
  const { min, max } = config.rate
  return { ...config.vf, rate: { min: min ?? now.rate?.min ?? 0, max: max ?? now.rate?.max ?? 0 } }
}
