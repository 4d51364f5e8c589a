// A node for port mapping tests: the topology of every mapping test, with what stays the same whatever kind of port a
// pod has. In: a Lab, which NIC. Out: the node, with somebody who asks on the wire, on the host and beyond it.
import type { Lab } from '../lab.ts'
import { type Agent, startAgent } from './agent.ts'
import { type Card, loadSimnic, unloadSimnic } from './simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
  vethWire,
  WIRE,
} from './topology.ts'

/** The node's other addresses on the same wire. */
export const SECOND = { v4: '10.1.0.3', v6: 'fd00:1::3' } as const
/**
 * A namespace behind the node, which forwards to it: a question to this namespace is no question to the node. Its server's name is
 * `beyond`.
 */
export const BEYOND = { namespace: 'beyond', v4: '10.99.0.2', v6: 'fd00:99::2' } as const
/** Networks of pods that the node routes to: those behind a bridge or ptp of the host. */
export const ROUTED = { v4: '10.88.0.0/16', v6: 'fd00:88::/48' } as const
/** Ports of the server `beyond`: all ports that tests map. */
const BEYOND_PORTS = { tcp: 8080, udp: 5353 } as const

export const FAMILIES = ['v4', 'v6'] as const
export type Family = (typeof FAMILIES)[number]

/** A client on the wire, on either side of the router. */
export interface Client {
  readonly agent: Agent
  readonly v4: string
  readonly v6: string
}

/** The node that {@link makeNode} made. */
export interface Node {
  readonly lab: Lab
  readonly net: Topology
  /** The simulated card; undefined on igb and on a veth. */
  readonly card: Card | undefined
  /** Simulated NICs of their own on the same wire, for pods. */
  readonly nics: readonly Card[]
  /** In the pods' subnet, and behind the router. */
  readonly clients: readonly [Client, Client]
  readonly host: Agent
  /** Gives the node {@link SECOND} or takes it away. With it no NIC can translate a mapping of all addresses: replies have one port. */
  setSecond(on: boolean): Promise<void>
  /** Moves the node's addresses to another interface, as a bridge above the uplink takes them. */
  moveAddresses(from: string, to: string): Promise<void>
  end(): Promise<void>
}

const ADDRESSES = [`${HOST.v4}/24`, `${SECOND.v4}/24`]
const ADDRESSES6 = [`${HOST.v6}/64`, `${SECOND.v6}/64`]

/** Commands for `ip -b` that give an interface the node's addresses, and the way to client B. */
function addresses(device: string): string {
  return [
    ...ADDRESSES.map((address) => `address add ${address} dev ${device}`),
    ...ADDRESSES6.map((address) => `address add ${address} dev ${device} nodad`),
    'route replace 10.2.0.0/24 via 10.1.0.254',
    'route replace fd00:2::/64 via fd00:1::fe',
  ].join('\n')
}

/** Waits until the kernel looks for no address of the host any more, and its software interfaces have their own addresses. */
export async function settled(lab: Lab): Promise<void> {
  await lab.must(`
    settled() {
      [ -z "$(ip -6 address show tentative)" ] || return 1
      for name in $(ip -br link show up | grep -E '^(beyond0|cni-bed|veth)' | cut -d' ' -f1 | cut -d@ -f1); do
        [ -n "$(ip -6 address show dev $name scope link)" ] || return 1
      done
    }
    for try in $(seq 600); do if settled; then exit 0; fi; sleep 0.05; done
    ip -6 address >&2; exit 1`)
}

/** The uplink of a node: a card, or one end of a veth pair, for pods behind a bridge or ptp, which need no card. */
export type Nic = 'igb' | 'simnic' | 'veth'

/**
 * Builds the node with three VFs if the uplink is a card. For simnic, `others` (0-7) is the number of NICs beside the one with the
 * node's addresses.
 */
export async function makeNode(lab: Lab, nic: Nic, others = 0): Promise<Node> {
  const [card, ...nics] = nic === 'simnic' ? await loadSimnic(lab, { cards: 1 + others }) : []
  const ends = card ?? (nic === 'veth' ? await vethWire(lab) : await loadIgb(lab))
  const net = await buildTopology(lab, ends, nic === 'veth' ? 0 : 3)
  await newPod(lab, BEYOND.namespace)
  await lab.must(`set -e
    for wire in ${nics.map(({ wire }) => wire).join(' ')}; do
      ip link set $wire netns ${WIRE.namespace}; ip -n ${WIRE.namespace} link set $wire master ${WIRE.bridge} up
    done
    cat /proc/sys/net/ipv4/ip_forward >/run/before-ip_forward
    cat /proc/sys/net/ipv6/conf/all/forwarding >/run/before-forwarding
    echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    ip address flush dev ${net.pf} scope global
    ip link add beyond0 type veth peer name eth0 netns ${BEYOND.namespace}
    ip -b - <<END
${addresses(net.pf)}
link set beyond0 up
address add 10.99.0.1/24 dev beyond0
address add fd00:99::1/64 dev beyond0 nodad
END
    ip -n ${BEYOND.namespace} -b - <<END
link set eth0 up
address add ${BEYOND.v4}/24 dev eth0
address add ${BEYOND.v6}/64 dev eth0 nodad
route add default via 10.99.0.1
route add default via fd00:99::1
END
    for ns in ${CLIENT_A.namespace} router; do
      ip -n $ns -b - <<END
route add 10.99.0.0/24 via ${HOST.v4}
route add fd00:99::/64 via ${HOST.v6}
route add ${ROUTED.v4} via ${HOST.v4}
route add ${ROUTED.v6} via ${HOST.v6}
END
    done`)
  await settled(lab)
  const agents = await Promise.all(
    [CLIENT_A.namespace, CLIENT_B.namespace, null, BEYOND.namespace].map((where) => startAgent(lab, where)),
  )
  const [a, b, host, beyond] = agents as [Agent, Agent, Agent, Agent]
  let [device, hasSecond] = [net.pf, true]
  await beyond.serve([
    { name: 'beyond', protocol: 'tcp', port: BEYOND_PORTS.tcp },
    { name: 'beyond', protocol: 'udp', port: BEYOND_PORTS.udp },
  ])
  return {
    lab,
    net,
    card,
    nics,
    clients: [
      { agent: a, v4: CLIENT_A.v4, v6: CLIENT_A.v6 },
      { agent: b, v4: CLIENT_B.v4, v6: CLIENT_B.v6 },
    ],
    host,
    setSecond: async (on) => {
      if (on === hasSecond) return
      const verb = on ? 'add' : 'del'
      await lab.must(`ip address ${verb} ${SECOND.v4}/24 dev ${device}
        ip address ${verb} ${SECOND.v6}/64 dev ${device} ${on ? 'nodad' : ''}`)
      hasSecond = on
    },
    moveAddresses: async (from, to) => {
      device = to
      hasSecond = true
      await lab.must(`set -e
        ip address flush dev ${from} scope global
        ip -b - <<END
${addresses(to)}
END`)
    },
    end: async () => {
      for (const agent of agents) await agent.end()
      await deletePod(lab, BEYOND.namespace)
      await lab.must(`set -e
        for wire in ${nics.map(({ wire }) => wire).join(' ')}; do
          ip -n ${WIRE.namespace} link set $wire nomaster down netns 1
        done
        cat /run/before-ip_forward >/proc/sys/net/ipv4/ip_forward
        cat /run/before-forwarding >/proc/sys/net/ipv6/conf/all/forwarding; rm /run/before-*`)
      await tearDown(lab, net)
      if (card !== undefined) await unloadSimnic(lab)
      if (nic === 'veth') await lab.must(`ip link delete ${net.pf}`)
    },
  }
}
