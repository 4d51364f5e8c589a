// One node that gets one card after the other (simnic, from source, not hardware). In: a Lab, the driver's name and profile of a card.
// Out: the card's only VF in a pod whose servers and clients outlive the cards, so that a change of cards takes seconds.
import { type Agent, startAgent } from '../../../hack/lab/bed/agent.ts'
import { attachConfig, attachment, listOf, staticIpam, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, type SimnicOptions, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  ROUTER,
  tearDown,
  WIRE,
} from '../../../hack/lab/bed/topology.ts'
import type { CniResult, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type SctpServer, serveSctp } from '../sctp.ts'
import { PORTS, startWire, type Wire } from './wire.ts'

/** The pod's addresses and the MAC of its VF, the same with each card. */
export const POD = {
  namespace: 'pod-one',
  v4: '10.1.0.5',
  v6: 'fd00:1::5',
  mac: '02:00:00:00:00:05',
} as const
/** The PF's MAC and that of the bridge above it, the same with each card: nobody has to ask again. */
const PF_MAC = '02:00:00:00:00:01'
const BRIDGE = 'br-cards'

/** A card as software sees it, and how it is used. */
export interface CardOptions {
  readonly driver: string
  readonly profile: NonNullable<SimnicOptions['profile']>
  /** Knobs that are set before anything is attached. */
  readonly knobs?: Readonly<Record<string, string>>
  readonly mode: 'legacy' | 'switchdev'
  /** devlink knows no mode: the card is in switchdev mode by itself, and the PF's driver tells nothing of VFs. */
  readonly isModeless?: boolean
}

/** The node and its pod. */
export interface CardsBed {
  readonly vm: Lab
  readonly runtime: Runtime
  readonly clients: Readonly<Record<(typeof CLIENT_A | typeof CLIENT_B)['namespace'], Agent>>
  /** Servers of SCTP in the pod, by family. */
  readonly sctp: { readonly v4: SctpServer; readonly v6: SctpServer }
  readonly wire: Wire
  /** Puts a card in the node, in the place of the one before. */
  insert(options: CardOptions): Promise<Inserted>
  end(): Promise<void>
}

/** A card in the node, its VF in the pod. */
export interface Inserted {
  readonly card: Card
  /** PCI address of the VF. */
  readonly vf: string
  /** The answer of vf-attach. */
  readonly result: CniResult
}

/** Builds the node without a card. */
export async function cardsBed(vm: Lab): Promise<CardsBed> {
  const runtime = testRuntime(vm)
  const [first] = (await loadSimnic(vm, { totalVfs: 1 })) as [Card]
  await buildTopology(vm, first, 0)
  await newPod(vm, POD.namespace)
  await vm.must(`set -e
    ip address flush dev ${first.pf} scope global
    ip link add ${BRIDGE} address ${PF_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip -b - <<END
link set ${BRIDGE} up
address add ${HOST.v4}/24 dev ${BRIDGE}
address add ${HOST.v6}/64 dev ${BRIDGE} nodad
route replace 10.2.0.0/24 via ${ROUTER.v4}
route replace fd00:2::/64 via ${ROUTER.v6}
END
    for client in ${CLIENT_A.namespace} ${CLIENT_B.namespace}; do
      ip -n $client neigh flush all
      ip netns exec $client ethtool -K eth0 tso off gso off gro off
    done
    ip -n router neigh flush all`)
  const pod = await startAgent(vm, POD.namespace)
  await pod.serve([
    { name: 'tcp', protocol: 'tcp', port: PORTS.tcp.pod },
    { name: 'udp', protocol: 'udp', port: PORTS.udp.pod },
  ])
  const [a, b] = [await startAgent(vm, CLIENT_A.namespace), await startAgent(vm, CLIENT_B.namespace)]
  const sctp = {
    v4: await serveSctp(vm, POD.namespace, 4, PORTS.sctp.pod),
    v6: await serveSctp(vm, POD.namespace, 6, PORTS.sctp.pod),
  }
  const wire = await startWire(vm)
  let inserted: (Inserted & { readonly main: PluginConfig }) | undefined

  async function remove(): Promise<void> {
    if (inserted === undefined) return
    const { main, result } = inserted
    inserted = undefined
    await runtime.del(listOf(main), attachment(`/run/netns/${POD.namespace}`), result)
  }

  async function insert(options: CardOptions): Promise<Inserted> {
    await remove()
    const { driver: driverName, profile, mode, isModeless = false, knobs = {} } = options
    const isTold = mode === 'switchdev' && !isModeless
    await unloadSimnic(vm)
    const [card] = (await loadSimnic(vm, { driverName, profile, totalVfs: 1 })) as [Card]
    const written = Object.entries(knobs).map(([name, value]) => `echo '${value}' >${card.debugfs}/${name}`)
    const vf = await vm.must(`set -e
      ${written.join('\n')}
      ip link set ${card.pf} address ${PF_MAC}
      ${isTold ? `devlink dev eswitch set ${card.devlink} mode switchdev` : ''}
      echo 1 >/sys/class/net/${card.pf}/device/sriov_numvfs
      ip link set ${card.wire} netns ${WIRE.namespace}
      ip -n ${WIRE.namespace} link set ${card.wire} master ${WIRE.bridge} up
      ip link set ${card.pf} master ${BRIDGE} up
      ${mode === 'switchdev' ? `ip link set ${card.pf}rep0 up` : ''}
      ${isModeless ? `ip link set ${card.pf}rep0 master ${BRIDGE}` : ''}
      basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)
    await wire.counts(card)
    const device = vf.trim()
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
    const ipam = { ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`), routes }
    // vf-attach finds no representor without the PF's word on the VF.
    const bridge = isTold ? { bridge: BRIDGE } : {}
    const main = attachConfig(device, { ...bridge, mac: POD.mac, ipam })
    const result = await runtime.add(listOf(main), attachment(`/run/netns/${POD.namespace}`))
    await linkIsReady(vm, POD.namespace)
    await vm.must(`ip netns exec ${POD.namespace} ethtool -K net1 gro off gso off tso off`)
    inserted = { card, vf: device, result, main }
    return inserted
  }

  return {
    ...{ vm, runtime, clients: { [CLIENT_A.namespace]: a, [CLIENT_B.namespace]: b }, sctp, wire, insert },
    end: async () => {
      await remove()
      await wire.end()
      for (const agent of [a, b, pod]) await agent.end()
      for (const server of [sctp.v4, sctp.v6]) await server.stop()
      await vm.must(`ip link del ${BRIDGE}`)
      await deletePod(vm, POD.namespace)
      await tearDown(vm, first)
      await unloadSimnic(vm)
    },
  }
}
