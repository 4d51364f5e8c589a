// One interface over all kinds of ports of a pod. In: a node, a kind. Out: two pods with servers, attached by main plugins, and calls
// of vf-offload for them. All calls are undone, and the state is compared.
import {
  type Attachment,
  type CallExtra,
  type CniResult,
  cniRuntime,
  type PluginConfig,
  type Runtime,
} from '../cni-runtime.ts'
import type { ExecResult, Lab } from '../lab.ts'
import { type Agent, startAgent } from './agent.ts'
import { attachConfig, type ErrorObject, errorOf, inTurn, listOf, pluginPath, staticIpam } from './plugins.ts'
import { type Family, type Node, settled } from './port-node.ts'
import { SCRUB, stateDifferences, stateScript } from './port-state.ts'
import { knob, setMode, setVfMacs } from './simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from './snapshot.ts'
import { deletePod, linkIsReady, newPod } from './topology.ts'
import type { Listen } from './traffic.ts'

/** Kinds of port that a pod can have. `ptp` and `bridge` are the distribution's plugins, the others vf-attach on a VF or a NIC. */
export type KindName = keyof typeof portOf

/** The rows of the table of offload and NAT: kinds by the device with which the host can steer. */
export const portOf = {
  igb: 'legacy VF',
  'simnic-legacy': 'legacy VF',
  'simnic-full': 'representor',
  'simnic-sfc': 'representor',
  'host-nic': 'host NIC',
  bridge: 'veth',
  ptp: 'veth',
} as const

/** The place of the translation; a veth has no choice. */
export type Nat = 'pod' | 'nic'

/** A pod that a main plugin has attached. */
export interface BedPod {
  readonly name: string
  readonly netns: string
  readonly v4: string
  readonly v6: string
  readonly agent: Agent
  /** The answer of the main plugin. */
  readonly result: CniResult
  /** PCI address of its VF. */
  readonly device: string | undefined
}

/** Another network or container ID, the families in prevResult, keys of the config. */
export interface AddOptions extends CallExtra {
  readonly config?: Readonly<Record<string, unknown>>
  readonly families?: readonly Family[]
  readonly containerID?: string
  readonly ifname?: string
  readonly network?: string
  readonly netns?: string
}

/** A port mapping of a runtime. */
export type Mapping = Readonly<Record<string, unknown>>

/** The bed that {@link makeBed} made. */
export interface PortBed {
  readonly node: Node
  readonly lab: Lab
  readonly kind: KindName
  readonly runtime: Runtime
  readonly one: BedPod
  readonly two: BedPod
  /** One call of vf-offload. */
  call(command: string, pod: BedPod, mappings: readonly Mapping[], options?: AddOptions): Promise<ExecResult>
  /** ADD that must succeed; returns the answer. {@link reset} undoes it if the test does not. */
  add(pod: BedPod, mappings: readonly Mapping[], options?: AddOptions): Promise<CniResult>
  del(pod: BedPod, options?: AddOptions): Promise<void>
  check(pod: BedPod, mappings: readonly Mapping[], options?: AddOptions): Promise<void>
  /** Makes a call that must fail; returns its error object. */
  refused(
    command: string,
    pod: BedPod,
    mappings: readonly Mapping[],
    options?: AddOptions,
  ): Promise<ErrorObject>
  /** Gives a pod a second interface `net2`, a port of the same kind; `remove` takes it away. */
  addInterface(pod: BedPod): Promise<{ readonly port: BedPod; remove(): Promise<void> }>
  /** prevResult with addresses of these families only. */
  resultOf(pod: BedPod, families?: readonly Family[]): CniResult
  /** Asserts that port mappings have left host and both pods as the main plugins made them. */
  expectClean(): Promise<void>
  /** Ends a test: later calls fail. Resolves when the calls in progress have ended. */
  close(): Promise<void>
  /** Undoes the remaining calls and compares; then calls work again. After a failure only {@link abandon} helps. */
  reset(): Promise<void>
  /** Removes the pods and all possible leftovers of plugins, so that another bed can be made. */
  abandon(): Promise<void>
  /** If wished, compares the whole host with a snapshot from before the first ADD. Then detaches the pods. */
  end(): Promise<void>
}

/** The servers of each pod; the name of a server is `POD PROTOCOL PORT`. */
const SERVED: readonly Omit<Listen, 'name'>[] = [
  { protocol: 'tcp', port: 80 },
  { protocol: 'tcp', port: 81 },
  { protocol: 'tcp', port: 8080 },
  { protocol: 'udp', port: 53 },
  { protocol: 'udp', port: 81 },
  { protocol: 'udp', port: 8080 },
  { protocol: 'udp', port: 4000, padding: 4000 },
  { protocol: 'digest', port: 90 },
]

/** The bridge above the uplink of a card in switchdev mode; its address is set by hand. */
const BRIDGE = 'br-node'

/**
 * Brings the node's NIC into the mode of the kind and attaches both pods. A caller that compares the host by itself, before and after
 * the bed, needs no `compares`.
 */
export async function makeBed(
  node: Node,
  kind: KindName,
  { compares = true }: { readonly compares?: boolean } = {},
): Promise<PortBed> {
  const { lab } = node
  const runtime = cniRuntime(lab, pluginPath)
  const leaveMode = await enterMode(node, kind)
  const attached = [await attachPod(0), await attachPod(1)] as const
  const [one, two] = attached
  await settled(lab)
  const before: Snapshot | undefined = compares ? await snapshot(lab) : undefined
  const look = () => lab.must(stateScript(node.net.pf, attached))
  const lookBefore = await look()
  const open = new Map<string, { pod: BedPod; options: AddOptions }>()

  async function attachPod(index: number): Promise<BedPod> {
    const name = `pod-${['one', 'two'][index]}`
    const netns = await newPod(lab, name)
    const addresses = addressesOf(kind, index)
    const list = listOf(mainPlugin(node, kind, index))
    const result = await runtime.add(list, { containerID: name, netns, ifname: 'net1' })
    await linkIsReady(lab, name)
    // The Go plugins make pairs without a queue length. With a first shaper the kernel gives them one, and never takes it back.
    const peer = result.interfaces?.find((one) => one.name.startsWith('veth'))?.name
    if (peer !== undefined) await lab.must(`ip link set ${peer} txqueuelen 1000`)
    const agent = await startAgent(lab, name)
    await agent.serve(
      SERVED.map((listen) => ({ ...listen, name: `${name} ${listen.protocol} ${listen.port}` })),
    )
    agent.keepServers()
    return { name, netns, ...addresses, agent, result, device: deviceOf(node, kind, index) }
  }

  async function detach(): Promise<void> {
    for (const [index, { name, netns, agent }] of attached.entries()) {
      await agent.end()
      const list = listOf(mainPlugin(node, kind, index))
      await runtime.del(list, { containerID: name, netns, ifname: 'net1' })
      await deletePod(lab, name)
    }
  }

  const keyOf = (pod: BedPod, { containerID = pod.name, ifname = 'net1', network = 'lab-net' }: AddOptions) =>
    `${network} ${containerID} ${ifname}`

  const resultOf: PortBed['resultOf'] = ({ result }, families = ['v4', 'v6']) => ({
    ...result,
    ips: (result.ips ?? []).filter(({ address }) => families.includes(address.includes(':') ? 'v6' : 'v4')),
  })

  let isOver = false
  const onTheirWay = new Set<Promise<ExecResult>>()
  const call: PortBed['call'] = async (...parameters) => {
    if (isOver) throw new Error(`No ${parameters[0]}: the test is over`)
    const answer = callNow(...parameters)
    onTheirWay.add(answer)
    try {
      return await answer
    } finally {
      onTheirWay.delete(answer)
    }
  }

  const callNow: PortBed['call'] = async (command, pod, mappings, options = {}) => {
    const {
      config,
      families,
      containerID = pod.name,
      ifname = 'net1',
      network = 'lab-net',
      ...rest
    } = options
    const { netns = pod.netns, ...extra } = rest
    const plugin: PluginConfig = {
      type: 'vf-offload',
      capabilities: { portMappings: true },
      ...(pod.device === undefined ? {} : { deviceID: pod.device }),
      ...(portOf[kind] === 'host NIC' ? { uplink: node.net.pf } : {}),
      ...config,
    }
    const attachment: Attachment = {
      containerID,
      netns,
      ifname,
      ...(mappings.length === 0 ? {} : { capabilityArgs: { portMappings: mappings } }),
    }
    const list = { ...listOf(plugin), name: network }
    if (command === 'ADD') open.set(keyOf(pod, options), { pod, options })
    const ended = await runtime.call(command, list, plugin, attachment, {
      prevResult: 'prevResult' in extra ? extra.prevResult : resultOf(pod, families),
      ...extra,
    })
    // An ADD that was refused has left nothing: a DEL would hide that.
    const isGone =
      command === 'ADD' ? ended.code !== 0 && ended.signal === null : command === 'DEL' && ended.code === 0
    if (isGone) open.delete(keyOf(pod, options))
    return ended
  }

  const del: PortBed['del'] = async (pod, options = {}) => {
    const { code, stdout, stderr } = await inTurn(() =>
      call('DEL', pod, [], { prevResult: undefined, ...options }),
    )
    if (code !== 0 || stdout !== '') throw new Error(`DEL for ${keyOf(pod, options)}: ${stdout}${stderr}`)
  }

  const expectClean = async () => {
    const lines = stateDifferences(lookBefore, await look())
    if (lines.length > 0) throw new Error(['The node is not as before:', ...lines].join('\n'))
  }

  return {
    node,
    lab,
    kind,
    runtime,
    one,
    two,
    call,
    add: async (pod, mappings, options = {}) => {
      const { code, stdout, stderr } = await call('ADD', pod, mappings, options)
      if (code !== 0) throw new Error(`ADD for ${keyOf(pod, options)}: ${stdout}${stderr}`)
      return JSON.parse(stdout) as CniResult
    },
    del,
    check: async (pod, mappings, options) => {
      const { code, stdout, stderr } = await call('CHECK', pod, mappings, options)
      if (code !== 0 || stdout !== '') throw new Error(`CHECK for ${pod.name}: ${stdout}${stderr}`)
    },
    addInterface: async (pod) => {
      const list = listOf(mainPlugin(node, kind, 2))
      const attachment = { containerID: pod.name, netns: pod.netns, ifname: 'net2' }
      const remove = () => runtime.del(list, attachment)
      try {
        const result = await runtime.add(list, attachment)
        await linkIsReady(lab, pod.name, 'net2')
        return { port: { ...pod, ...addressesOf(kind, 2), result, device: deviceOf(node, kind, 2) }, remove }
      } catch (error) {
        await remove()
        throw error
      }
    },
    refused: async (...parameters) => errorOf(await call(...parameters)),
    resultOf,
    expectClean,
    close: async () => {
      isOver = true
      await Promise.allSettled(onTheirWay)
    },
    reset: async () => {
      isOver = false
      const failures: string[] = []
      for (const { pod, options } of open.values()) {
        const { env: _, ...others } = options
        await del(pod, others).catch((error: Error) => failures.push(error.message))
      }
      for (const agent of [node.host, ...node.clients.map((client) => client.agent), one.agent, two.agent]) {
        await agent.stopServers()
      }
      const lines = stateDifferences(lookBefore, await look())
      if (lines.length > 0) failures.push('The node is not as before:', ...lines)
      if (failures.length > 0) throw new Error(failures.join('\n'))
    },
    abandon: async () => {
      await detach()
      await lab.must(SCRUB)
      await leaveMode()
    },
    end: async () => {
      await node.setSecond(true)
      const lines = before === undefined ? [] : diffSnapshot(before, await snapshot(lab))
      await detach()
      await leaveMode()
      if (lines.length > 0) throw new Error(['The host is not as before all tests:', ...lines].join('\n'))
    },
  }
}

function addressesOf(kind: KindName, index: number): { readonly v4: string; readonly v6: string } {
  const last = index + 5
  // ptp routes its gateway by each interface, so two interfaces of one pod can't have the same gateway.
  if (kind === 'ptp' && index === 2) return { v4: `10.88.2.${last}`, v6: `fd00:88:0:2::${last}` }
  return portOf[kind] === 'veth'
    ? { v4: `10.88.0.${last}`, v6: `fd00:88::${last}` }
    : { v4: `10.1.0.${last}`, v6: `fd00:1::${last}` }
}

function deviceOf({ net }: Node, kind: KindName, index: number): string | undefined {
  return portOf[kind] === 'veth' || portOf[kind] === 'host NIC' ? undefined : net.vfs[index]?.pci
}

/** The main plugin that gives a pod its interface: dual stack, with its default routes. */
export function mainPlugin(node: Node, kind: KindName, index: number): PluginConfig {
  const { v4, v6 } = addressesOf(kind, index)
  // The first interface of a pod has the default routes.
  const routes = index < 2 ? [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] : []
  if (portOf[kind] !== 'veth') {
    const ipam = { ...staticIpam(`${v4}/24`, `${v6}/64`), routes }
    if (portOf[kind] === 'host NIC') return { type: 'vf-attach', device: nicOf(node, index), ipam }
    const bridge = portOf[kind] === 'representor' ? { bridge: BRIDGE } : {}
    return attachConfig(deviceOf(node, kind, index) ?? '', { ...bridge, ipam })
  }
  const ipam = {
    type: 'static',
    addresses: [
      { address: `${v4}/24`, gateway: v4.replace(/\d+$/, '1') },
      { address: `${v6}/64`, gateway: v6.replace(/\d+$/, '1') },
    ],
    routes,
  }
  return kind === 'bridge'
    ? { type: 'bridge', bridge: 'cni-bed', isGateway: true, hairpinMode: true, ipam }
    : { type: 'ptp', ipam }
}

function nicOf({ nics }: Node, index: number): string {
  const nic = nics[index]
  if (nic === undefined) throw new Error(`The node has ${nics.length} NICs for pods, too few`)
  return nic.pf
}

/** Switches the card to the mode of the kind; the result switches it back. */
async function enterMode(node: Node, kind: KindName): Promise<() => Promise<void>> {
  const { lab, net, card } = node
  if (portOf[kind] !== 'representor' || card === undefined) {
    return async () => {
      await lab.must('ip link delete cni-bed 2>/dev/null || true')
    }
  }
  await knob(lab, card, 'profile', kind === 'simnic-sfc' ? 'sfc' : 'full')
  await setMode(lab, card, 'switchdev')
  await setVfMacs(lab, card)
  // No spanning tree and no learning of groups, so that nobody has to wait for the new bridge.
  await lab.must(`ip link add ${BRIDGE} address ${net.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${net.pf} master ${BRIDGE}`)
  await node.moveAddresses(net.pf, BRIDGE)
  return async () => {
    await node.moveAddresses(BRIDGE, net.pf)
    await lab.must(`ip link set ${net.pf} nomaster; ip link delete ${BRIDGE}`)
    await setMode(lab, card, 'legacy')
    await knob(lab, card, 'profile', 'full')
  }
}
