// Pods of a container runtime on cards, in the virtual machine: networks on VFs of igb and of simnic (from source, not hardware), the node
// around each card, and a look at what pods leave. In: a lab. Out: networks, and the nodes one after the other.
import { expect } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setMode, setVfMacs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  HOST,
  ROUTER,
  type Topology,
  tearDown,
  type Vf,
  WAIT_UNTIL,
  type WireEnds,
} from '../../../hack/lab/bed/topology.ts'
import type { ConfigList, PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { leftovers } from '../../../hack/lab/containerd/leftovers.ts'
import { network, offload } from '../../../hack/lab/containerd/networks.ts'
import type { Lab } from '../../../hack/lab/lab.ts'

/** The node's bridge above simnic's uplink, which has the node's addresses. */
const BRIDGE = 'br-node'
/** The name of simnic's PF. */
const SIMNIC = 'simpf0'

/** Addresses of the wire for a few pods: containerd 1.7 frees none of a pod whose ADD it did not see end. */
const addresses = {
  type: 'host-local',
  ranges: [[{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.50', rangeEnd: '10.1.0.59', gateway: ROUTER.v4 }]],
  routes: [{ dst: '0.0.0.0/0' }],
}

/** Networks by name: `legacy` and `macvlan` on igb, whose PF is `igb`, `switchdev` on simnic. */
export function cardNetworks(igb: string): Record<string, ConfigList> {
  const vf = (pf: string, more: Record<string, unknown> = {}) => {
    return { type: 'vf-attach', pf, ipam: addresses, ...more }
  }
  const macvlan: PluginConfig = { type: 'macvlan', master: igb, mode: 'bridge', ipam: addresses }
  const tuning = { type: 'tuning', mtu: 1400, sysctl: { 'net.ipv4.conf.IFNAME.arp_notify': '1' } }
  return {
    legacy: network('legacy', vf(igb), tuning, offload),
    macvlan: network('macvlan', macvlan, { type: 'sbr' }, { ...offload, uplink: igb }),
    switchdev: network(
      'switchdev',
      vf(SIMNIC, { bridge: BRIDGE, ipam: { ...addresses, type: 'gated-ipam' } }),
      { ...offload, nat: 'nic', offload: 'require' },
      { type: 'behind' },
    ),
  }
}

/** A node whose pods get VFs of one card. */
export interface CardNode {
  readonly net: Topology
  /** Waits until all VFs are on the host, under whatever names. */
  untilVfsOnHost(): Promise<void>
  /** The same with the names, MACs and MTUs that they had before the first pod. */
  expectVfsHome(): Promise<void>
  end(): Promise<void>
}

/** A node on igb in legacy mode with two VFs. */
export async function igbNode(lab: Lab, ends: WireEnds): Promise<CardNode> {
  const net = await buildTopology(lab, ends, 2)
  return { ...withVfs(lab, net), end: () => tearDown(lab, ends) }
}

/** A node on simnic in switchdev mode with two VFs, whose uplink and representors are ports of a bridge. */
export async function simnicNode(lab: Lab): Promise<CardNode & { readonly card: Card }> {
  const [card] = (await loadSimnic(lab, { totalVfs: 2 })) as [Card]
  const net = await buildTopology(lab, card, 2)
  await setMode(lab, card, 'switchdev')
  // Translation in the NIC has to tell the VFs apart.
  await setVfMacs(lab, card)
  await lab.must(`set -e
    ip link add ${BRIDGE} address ${net.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${card.pf} master ${BRIDGE}
    ip address flush dev ${card.pf} scope global
    ip address add ${HOST.v4}/24 dev ${BRIDGE}
    ip route replace 10.2.0.0/24 via ${ROUTER.v4}`)
  const end = async () => {
    await lab.must(`ip link set ${card.pf} nomaster; ip link delete ${BRIDGE}`)
    await setMode(lab, card, 'legacy')
    await tearDown(lab, card)
    await unloadSimnic(lab)
  }
  return { card, ...withVfs(lab, net), end }
}

function withVfs(lab: Lab, net: Topology): Omit<CardNode, 'end'> {
  const untilVfsOnHost = async () => {
    // The kernel brings a VF home in its own time after its namespace.
    await lab.must(`${WAIT_UNTIL}
      all() { [ "$(ls -d /sys/class/net/${net.pf}/device/virtfn*/net/* | wc -l)" = ${net.vfs.length} ]; }
      wait_until all`)
  }
  const expectVfsHome = async () => {
    await untilVfsOnHost()
    const links = await json(lab, 'ip -j link show')
    const facts = ({ netdev, mac }: Vf) => ({ name: netdev, mac, mtu: 1500 })
    const found = net.vfs.map(({ netdev }) => {
      const link = links.find(({ ifname }) => ifname === netdev)
      return { name: link?.ifname, mac: link?.address, mtu: link?.mtu }
    })
    expect(found).toEqual(net.vfs.map(facts))
  }
  return { net, untilVfsOnHost, expectVfsHome }
}

/** Nothing of pods is left, and their VFs are on the host as they were. */
export async function expectAllHome(lab: Lab, node: CardNode): Promise<void> {
  expect(await leftovers(lab)).toEqual([])
  await node.expectVfsHome()
}
