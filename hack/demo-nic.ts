/**
 * The demo's second act: the same mapping with every filter of the host in the NIC's eSwitch, translated in the pod and then in the
 * NIC. The NIC is simnic, a kernel module that simulates one (from source, not hardware). Three witnesses check each claim: the
 * kernel's counters, the card's own table, and AF_PACKET on the host.
 */
import { join } from 'node:path'
import { indent, say, step } from './demo-print.ts'
import { capture } from './lab/bed/capture.ts'
import { type Card, hardwareRules, loadSimnic, setMode, setVfMacs, unloadSimnic } from './lab/bed/simnic.ts'
import { diffSnapshot, snapshot } from './lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  ROUTER,
  type Topology,
  tearDown,
} from './lab/bed/topology.ts'
import { ask, serve } from './lab/bed/traffic.ts'
import { type Attachment, type ConfigList, cniRuntime } from './lab/cni-runtime.ts'
import type { Lab } from './lab/lab.ts'

const top = join(import.meta.dirname, '..')
const dist = join(top, 'dist')
const POD = { name: 'nic-pod', v4: '10.1.0.5', v6: 'fd00:1::5' } as const
/** The bridge between the uplink and the representor: it carries the pod's ARP and neighbour questions, and no mapped packet. */
const BRIDGE = 'br-node'
const BYTES = 100_000

/** The part of `vfctl show --json` of an attachment that the demo reads. */
interface Shown {
  readonly plugin: string
  readonly rules: readonly {
    readonly mapping: string
    readonly line: string
    readonly where: string
    readonly counters: { readonly hardware: Counted; readonly software: Counted }
  }[]
}

interface Counted {
  readonly packets: number
}

/** A card in switchdev mode with its uplink in a bridge. */
export interface CardInBridge {
  readonly card: Card
  readonly topology: Topology
  readonly bridge: string
  /** The machine is as before {@link cardInBridge} afterwards. */
  remove(): Promise<void>
}

/** Loads a card, builds the network with `count` VFs around it, and puts the uplink into a bridge that has the node's addresses. */
export async function cardInBridge(lab: Lab, count: number): Promise<CardInBridge> {
  const [card] = await loadSimnic(lab)
  if (card === undefined) throw new Error('simnic made no card')
  const topology = await buildTopology(lab, card, count)
  await setMode(lab, card, 'switchdev')
  // Translation in the NIC has to tell several VFs apart.
  if (count > 1) await setVfMacs(lab, card)
  await lab.must(`set -e
    ip link add ${BRIDGE} address ${topology.pfMac} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${card.pf} master ${BRIDGE}
    ip address flush dev ${card.pf} scope global
    ip -b - <<END
address add ${HOST.v4}/24 dev ${BRIDGE}
address add ${HOST.v6}/64 dev ${BRIDGE} nodad
route replace 10.2.0.0/24 via ${ROUTER.v4}
route replace fd00:2::/64 via ${ROUTER.v6}
END
    # The bridge gets its own address later, so that the address does not look like a leftover.
    until [ -n "$(ip -6 address show dev ${BRIDGE} scope link)" ] && [ -z "$(ip -6 address show tentative)" ]; do
      sleep 0.1
    done`)
  return {
    ...{ card, topology, bridge: BRIDGE },
    remove: async () => {
      await lab.must(`ip link set ${card.pf} nomaster; ip link delete ${BRIDGE}`)
      await setMode(lab, card, 'legacy')
      await tearDown(lab, card)
      await unloadSimnic(lab)
    },
  }
}

/** Runs the second act; the machine is as before afterwards. Throws at the first claim that does not hold. */
export async function secondAct(lab: Lab): Promise<void> {
  step('Second act: a NIC with an eSwitch, which is simnic, profile full (from source, not hardware)')
  const { card, topology, remove } = await cardInBridge(lab, 1)
  say(`uplink ${card.pf} in ${BRIDGE} (${HOST.v4}, ${HOST.v6}), eSwitch in switchdev mode:`)
  console.log(indent(await lab.must(`devlink dev eswitch show ${card.devlink}`), 4))
  for (const nat of ['pod', 'nic'] as const) await mapped(lab, card, topology, nat)
  await remove()
}

/** ADD, HTTP from both clients over both families, the proof, DEL. */
async function mapped(lab: Lab, card: Card, { vfs }: Topology, nat: 'pod' | 'nic'): Promise<void> {
  const [vf] = vfs
  if (vf === undefined) throw new Error('the card has no VF')
  const netns = await newPod(lab, POD.name)
  const before = await snapshot(lab)
  const list = listFor(vf.pci, nat)
  const attachment: Attachment = {
    containerID: POD.name,
    netns,
    ifname: 'net1',
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  }
  step(`ADD with nat "${nat}", offload "require": ADD fails if the NIC refuses a filter`)
  const runtime = cniRuntime(lab, [dist, '/usr/lib/cni'])
  const result = await runtime.add(list, attachment)
  await linkIsReady(lab, POD.name)
  const server = await serve(lab, POD.name, [{ name: POD.name, protocol: 'http', port: 80 }])

  step('HTTP from both clients, with tcpdump (AF_PACKET) on the uplink and on the representor')
  const seen = await traffic(lab, card)
  await report(lab, card, nat)
  say(
    `frames of it that AF_PACKET has seen: ${seen.map(({ on, frames }) => `${frames} on ${on}`).join(', ')}`,
  )
  if (seen.some(({ frames }) => frames > 0)) throw new Error('the host has seen frames of the mapped port')

  await server.stop()
  await runtime.del(list, attachment, result)
  const left = diffSnapshot(before, await snapshot(lab))
  if (left.length > 0) throw new Error(`this is left:\n${indent(left.join('\n'))}`)
  const table = await hardwareRules(lab, card)
  if (table.length > 0) throw new Error(`the card still has ${table.length} filters`)
  say('DEL: the host is as before ADD, the card has no filter')
  await deletePod(lab, POD.name)
}

/** Each client asks each of the node's addresses. Returns the number of those frames that the host has seen. */
async function traffic(lab: Lab, card: Card): Promise<{ on: string; frames: number }[]> {
  const devices = [card.pf, `${card.pf}rep0`]
  const captures = await Promise.all(
    devices.map((device) => capture(lab, null, device, 'tcp port 8080 or tcp port 80')),
  )
  for (const client of [CLIENT_A, CLIENT_B]) {
    for (const family of ['v4', 'v6'] as const) {
      const question = { protocol: 'http', address: HOST[family], port: 8080, bytes: BYTES } as const
      const [answer] = await ask(lab, client.namespace, [question])
      say(
        `${client.namespace} -> ${HOST[family]} port 8080: ${answer?.bytes} bytes there and back, the pod saw ${answer?.peer.address}`,
      )
      if (answer?.peer.address !== client[family]) throw new Error('the pod did not see the client’s address')
    }
  }
  const counts: { on: string; frames: number }[] = []
  for (const [at, device] of devices.entries()) {
    counts.push({ on: device, frames: (await captures[at]?.stop())?.length ?? -1 })
  }
  return counts
}

/** Prints `vfctl show` and the card's own table beside it; both have to agree that it all was in hardware. */
async function report(lab: Lab, card: Card, nat: 'pod' | 'nic'): Promise<void> {
  step('vfctl show: each filter with its place and its counters')
  console.log(indent(await lab.must(`${dist}/vfctl show ${POD.name}`)))
  const shown = JSON.parse(await lab.must(`${dist}/vfctl show --json ${POD.name}`)) as Shown[]
  // The other filters are for fragments and for packets to the node.
  const rules = shown.flatMap((one) => one.rules.filter(({ mapping }) => mapping.includes(' -> ')))
  const table = (await hardwareRules(lab, card)).filter(({ text }) => !text.endsWith(' ok'))
  // One filter for each family and direction.
  if (rules.length !== 4) throw new Error(`there are ${rules.length} filters, expected 4`)
  for (const { line, where, counters } of rules) {
    if (where !== 'nic' || counters.hardware.packets === 0 || counters.software.packets !== 0)
      throw new Error(`not in hardware alone: ${line}`)
  }
  const sum = (all: readonly Counted[]) => all.reduce((total, { packets }) => total + packets, 0)
  const counted = { kernel: sum(rules.map(({ counters }) => counters.hardware)), card: sum(table) }
  if (counted.kernel !== counted.card || table.length !== rules.length)
    throw new Error(`the kernel counts ${counted.kernel} packets in hardware, the card ${counted.card}`)
  step('The same by the card’s own table')
  for (const { ingress, packets, bytes, text } of table)
    say(`from ${ingress}: ${packets} packets, ${bytes} bytes: ${text}`)
  say(`translated in the ${nat === 'pod' ? 'pod, steered by the NIC' : 'NIC, nothing in the pod'}:`)
  const inPod = await lab.must(`ip netns exec ${POD.name} nft list ruleset`)
  console.log(indent(inPod.trim() === '' ? 'nft list ruleset: (empty)' : inPod, 4))
  if ((inPod.trim() === '') !== (nat === 'nic')) throw new Error('the pod’s own rules are not as expected')
}

function listFor(deviceID: string, nat: 'pod' | 'nic'): ConfigList {
  const addresses = [
    { address: `${POD.v4}/24`, gateway: ROUTER.v4 },
    { address: `${POD.v6}/64`, gateway: ROUTER.v6 },
  ]
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]
  return {
    cniVersion: '1.0.0',
    name: 'demo-net',
    plugins: [
      { type: 'vf-attach', deviceID, bridge: BRIDGE, ipam: { type: 'static', addresses, routes } },
      { type: 'vf-offload', deviceID, nat, offload: 'require', capabilities: { portMappings: true } },
    ],
  }
}
