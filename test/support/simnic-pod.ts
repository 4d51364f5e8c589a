// A pod on a simulated NIC in switchdev mode, and the stateless NAT rules in front of it, as `tc` commands. In: a
// card with its topology. Out: who is who, and scripts for the lab.

import { type Card, setMode } from '../../hack/lab/bed/simnic.ts'
import { CLIENT_A, HOST, newPod, ROUTER, type Topology } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** The pod: VF 0 of the card as `net1` in namespace `pod`, in the PF's subnet, default route by the router. */
export const POD = { namespace: 'pod', v4: '10.1.0.5', v6: 'fd00:1::5', mac: '02:00:00:00:00:05' } as const

/**
 * Switches the card to switchdev mode and gives VF 0 to the pod. Nothing forwards between the representor and the rest of the host, so
 * the pod has its neighbours as static entries and reaches nobody without filters.
 */
export async function podOnSwitchdev(lab: Lab, card: Card, vfs: number): Promise<void> {
  await setMode(lab, card, 'switchdev')
  await newPod(lab, POD.namespace)
  await lab.must(`set -e
    for vf in $(seq 0 ${vfs - 1}); do ip link set ${card.pf}rep$vf up; tc qdisc add dev ${card.pf}rep$vf clsact; done
    tc qdisc add dev ${card.pf} clsact
    ip netns exec pod sh -c 'cd /proc/sys/net/ipv6/conf; echo 0 >default/accept_dad; echo 0 >default/router_solicitations'
    ip link set ${card.pf}vf0 address ${POD.mac}
    ip link set ${card.pf}vf0 netns pod name net1
    client=$(ip netns exec client-a cat /sys/class/net/eth0/address)
    router=$(ip netns exec router cat /sys/class/net/near/address)
    ip -n pod -b - <<END
      link set net1 up
      address add ${POD.v4}/24 dev net1
      address add ${POD.v6}/64 dev net1 nodad
      neigh replace ${CLIENT_A.v4} lladdr $client dev net1
      neigh replace ${CLIENT_A.v6} lladdr $client dev net1
      neigh replace ${ROUTER.v4} lladdr $router dev net1
      neigh replace ${ROUTER.v6} lladdr $router dev net1
      route add default via ${ROUTER.v4}
      route add default via ${ROUTER.v6}
END
    until [ "$(ip netns exec pod cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done`)
}

/** Removes the pod and returns to legacy mode. */
export async function removePod(lab: Lab, card: Card): Promise<void> {
  await lab.must(`
    ip netns delete pod 2>/dev/null
    tc qdisc delete dev ${card.pf} clsact 2>/dev/null
    until [ -e /sys/class/net/net1 ] || [ -e /sys/class/net/${card.pf}vf0 ]; do sleep 0.05; done`)
  await setMode(lab, card, 'legacy')
}

/** One direction of a mapping. */
export interface NatRule {
  readonly direction: 'in' | 'out'
  readonly family: 'v4' | 'v6'
  readonly protocol: 'tcp' | 'udp'
  /** Port of the host's address, default 8080. */
  readonly hostPort?: number
  /** Port of the pod, default 80. */
  readonly podPort?: number
  /** Headers with recomputed checksums; by default those that the rewrite needs, empty for none. */
  readonly csum?: readonly string[]
  /** VLAN of the host's side: popped on the way in, pushed on the way out. */
  readonly vlan?: number
  /** Another address instead of {@link HOST}. */
  readonly hostAddress?: string
}

/** Priority of the filter in its chain; one per direction, family and protocol. */
export function prioOf({ family, protocol, vlan }: NatRule): number {
  return (vlan === undefined ? 10 : 20) + (family === 'v4' ? 0 : 4) + (protocol === 'tcp' ? 0 : 1)
}

/** `tc filter add` for one filter, with `skip_sw`. */
export function addNat(card: Card, net: Topology, rule: NatRule): string {
  const { direction, family, protocol, hostPort = 8080, podPort = 80, vlan } = rule
  const host = rule.hostAddress ?? HOST[family]
  const pod = POD[family]
  const ip = family === 'v4' ? 'ip' : 'ip6'
  const ethertype = family === 'v4' ? 'ip' : 'ipv6'
  const csum = rule.csum ?? (family === 'v4' ? ['ip4h', protocol] : [protocol])
  const sums = csum.length === 0 ? '' : `action csum ${csum.join(' and ')} pipe`
  const nofrag = family === 'v4' ? 'ip_flags nofrag' : ''
  if (direction === 'in') {
    const tag = vlan === undefined ? ethertype : `802.1q`
    const inner = vlan === undefined ? '' : `vlan_id ${vlan} vlan_ethtype ${ethertype}`
    const pop = vlan === undefined ? '' : 'action vlan pop pipe'
    return `tc filter add dev ${card.pf} ingress protocol ${tag} prio ${prioOf(rule)} flower skip_sw ${inner} \
      ip_proto ${protocol} dst_ip ${host} dst_port ${hostPort} ${nofrag} ${pop} \
      action pedit ex munge eth dst set ${POD.mac} munge eth src set ${net.pfMac} \
        munge ${ip} dst set ${pod} munge ${protocol} dport set ${podPort} pipe \
      ${sums} action mirred egress redirect dev ${card.pf}rep0`
  }
  const push = vlan === undefined ? '' : `action vlan push id ${vlan} pipe`
  return `tc filter add dev ${card.pf}rep0 ingress protocol ${ethertype} prio ${prioOf(rule)} flower skip_sw \
    ip_proto ${protocol} src_ip ${pod} src_port ${podPort} ${nofrag} \
    action pedit ex munge eth src set ${net.pfMac} \
      munge ${ip} src set ${host} munge ${protocol} sport set ${hostPort} pipe \
    ${sums} ${push} action mirred egress redirect dev ${card.pf}`
}

/** Both directions of every family and protocol. */
export function allNat(options: Partial<NatRule> = {}): NatRule[] {
  const families = ['v4', 'v6'] as const
  const protocols = ['tcp', 'udp'] as const
  return families.flatMap((family) =>
    protocols.flatMap((protocol) =>
      (['in', 'out'] as const).map((direction) => ({ ...options, direction, family, protocol })),
    ),
  )
}

/** `tc filter delete` for one filter. */
export function deleteNat(card: Card, rule: NatRule): string {
  const device = rule.direction === 'in' ? card.pf : `${card.pf}rep0`
  return `tc filter delete dev ${device} ingress prio ${prioOf(rule)}`
}

/** Removes the filters of all priorities from the uplink and the pod's representor. */
export function flushNat(card: Card): string {
  return `tc filter delete dev ${card.pf} ingress; tc filter delete dev ${card.pf}rep0 ingress`
}
