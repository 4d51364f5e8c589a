// The part of a bed that a scenario of a hostile pod needs, whatever device it has. In: nothing. Out: the form, and looks
// that all beds share.

import { json, staticIpam } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { CLIENT_A } from '../../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AttachCalls, BED_FOLDER } from '../attach-calls.ts'
import { HOSTILE_FOLDER, type Kind } from './action.ts'

/** Pods: the hostile pod, the next owner of its device, and a neighbour without relation to either. */
export const EVIL = 'evil'
export const NEXT = 'next'
export const NEIGHBOUR = 'neighbour'

/** Addresses in the subnet of the topology. */
export const ADDRESS = { [EVIL]: '10.1.0.50', [NEXT]: '10.1.0.51', [NEIGHBOUR]: '10.1.0.52' } as const

/** A node with a device for the hostile pod, and a neighbour that has one too. */
export interface HostileBed {
  readonly lab: Lab
  readonly calls: AttachCalls
  readonly kind: Kind
  /** Name and MAC of the device on the host. */
  readonly device: { readonly netdev: string; readonly mac: string }
  /** Another device of the host, which no pod has. */
  readonly other: string
  /** Config of the plugin for the device. */
  config(more?: Record<string, unknown>): PluginConfig
  /** Frames reach others by this kind of device. */
  readonly hasWire: boolean
  /** True if the device is in any namespace; asked when the host does not have it. */
  isAlive(): Promise<boolean>
  /** Makes a new device and removes the records of the two pods, after anything that was not clean. */
  renew(): Promise<void>
}

/** The config with an address for a pod. */
export function addressed(bed: HostileBed, pod: keyof typeof ADDRESS): PluginConfig {
  return bed.config({ ipam: staticIpam(`${ADDRESS[pod]}/24`) })
}

const LOOK = new URL('look.sh', import.meta.url).pathname

/** The properties of the device and of the other device that a snapshot leaves out. */
export async function lookAtDevices({ lab, device, other }: HostileBed): Promise<ReadonlySet<string>> {
  const out = await lab.must(`sh ${LOOK} ${device.netdev} ${other}`)
  return new Set(out.trim().split('\n'))
}

/** The look of a host to its owner. */
export interface View {
  readonly host: Snapshot
  readonly devices: ReadonlySet<string>
  readonly neighbour: string
}

/** Takes a view: the host, its devices, the neighbour with its traffic. */
export async function view(bed: HostileBed): Promise<View> {
  const [host, devices, neighbour] = await Promise.all([
    snapshot(bed.lab, { folders: ['/etc/vf-flower'] }),
    lookAtDevices(bed),
    lookAtNeighbour(bed),
  ])
  return { host, devices, neighbour }
}

/** Differences of two views, a line each. */
export function viewDifferences(before: View, after: View): string[] {
  const lines = diffSnapshot(before.host, after.host).filter((line) => !UNTOLD.test(line))
  const lost = [...before.devices].filter((line) => !after.devices.has(line))
  const come = [...after.devices].filter((line) => !before.devices.has(line))
  return [
    ...lines,
    ...lost.map((line) => `was: ${line}`),
    ...come.map((line) => `now: ${line}`),
    ...different(before.neighbour, after.neighbour).map((line) => `the neighbour: ${line}`),
  ]
}

/** Lines of a text that another one does not have. */
export function different(before: string, after: string): string[] {
  const had = new Set(before.split('\n'))
  return after.split('\n').filter((line) => !had.has(line))
}

// Files of the scenario itself, and namespaces that the scenario makes and removes.
const UNTOLD = /^only (before|after): namespace (evil|next)|^\S+ \S+: namespace /

async function lookAtNeighbour({ lab, hasWire }: HostileBed): Promise<string> {
  const reach = hasWire ? `ping -q -c 1 -W 2 ${CLIENT_A.v4} >/dev/null && echo reached` : 'echo reached'
  return lab.must(`ip netns exec ${NEIGHBOUR} sh -c '
    ip -o addr show dev net1 | sed "s/valid_lft.*//; s/ tentative//"; ip -d -o link show dev net1; tc qdisc show dev net1; ip route; ${reach} || echo deaf'`)
}

/** The next owner's look at its interface, without things that differ from one to the next: compared with that of a clean device. */
export async function tenantView(lab: Lab, pod: string): Promise<string> {
  const [link = {}] = await json(lab, `ip -n ${pod} -d -j link show dev net1`)
  const {
    ifindex: _,
    link_index: __,
    link_netnsid: ___,
    operstate: ____,
    qdisc: _____,
    permaddr: ______,
    flags,
    ...rest
  } = link
  const shown = (flags as string[]).filter((flag) => !/LOWER_UP|NO-CARRIER/.test(flag))
  return JSON.stringify({ flags: shown, ...rest }, null, 1)
}

/** Ends the processes of the hostile pod, and its namespace; with `all` the processes that outlive the pod, too. */
export function endPod(all: boolean): string {
  const files = [`${HOSTILE_FOLDER}/kept`, ...(all ? [`${HOSTILE_FOLDER}/outliving`] : [])]
  return `
    touch ${HOSTILE_FOLDER}/stop
    for pid in $(cat ${files.join(' ')} 2>/dev/null); do kill -9 $pid 2>/dev/null; done
    rm -f ${files.join(' ')}
    [ ! -e /run/netns/${EVIL} ] || ip netns delete ${EVIL}`
}

/** An IPAM plugin that lets the pod act before it answers, or fails. */
export const SLOW_IPAM = 'slow-ipam'

/** Lays out the files of the scenarios in the guest. */
export async function prepareBed(bed: HostileBed): Promise<void> {
  await bed.lab.writeFile(
    `${BED_FOLDER}/${SLOW_IPAM}`,
    `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" = ADD ] || exit 0
sh ${HOSTILE_FOLDER}/start >${HOSTILE_FOLDER}/log 2>&1 || touch ${HOSTILE_FOLDER}/failed
if [ -e ${HOSTILE_FOLDER}/no-lease ]; then echo '{"cniVersion":"1.0.0","code":100,"msg":"no lease"}'; exit 1; fi
echo '{"cniVersion":"1.0.0","ips":[{"address":"${ADDRESS[EVIL]}/24"}]}'
`,
    0o755,
  )
}
