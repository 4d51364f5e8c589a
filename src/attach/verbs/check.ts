import { checkAddresses } from '../../cni/addresses.ts'
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../../kernel/api/machine.ts'
import { isOwnersNetns } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import type { AttachConfig } from '../config/config.ts'
import { readVfFacts, type VfFacts } from '../device/facts.ts'
import { isInPod, isOfDevice, peerOf } from '../device/identity.ts'
import { isJoinedAsBefore } from '../device/joined.ts'
import { pciOf } from '../device/live.ts'
import { withPeerNow } from '../device/peers.ts'
import { brokenTraits } from '../device/residue.ts'
import { gatewaysOf, planAddressing, wishedVf } from '../plan.ts'
import { limitsOfChain } from '../state/offload-limits.ts'
import { addressingDifferences } from './check-addressing.ts'

/**
 * Compares what ADD promised with what is there: the record, the namespace, the device, the PF's view of it, the
 * interface with its MAC, MTU, addresses, routes and settings, and the representor.
 * @throws CniError 7 without prevResult, 104 naming everything that differs
 */
export function checkAttachment(
  machine: Machine,
  kernel: Kernel,
  pod: Omit<OpenNetns, 'fd' | 'close'>,
  store: RecordStore<AttachJournal>,
  request: Request,
  config: AttachConfig,
): void {
  const { prevResult, containerID, ifname } = request
  if (prevResult === undefined) {
    throw new CniError(code.invalidConfig, 'Cannot check without prevResult: the runtime must send it')
  }
  checkAddresses('prevResult', prevResult)
  const name = store.list().find((one) => one.containerID === containerID && one.ifname === ifname)
  const record = name === undefined ? undefined : store.read(name)
  if (record === undefined) throw differs(['there is no record of this attachment'])

  const differences = [...recordDifferences(record, pod, config)]
  const pci = pciOf(record.journal)
  const vf = pci === undefined ? undefined : readVfFacts(kernel, pci)
  const { owner, journal } = record
  const limits = () => limitsOfChain(config.stateDir, owner.bootId, request, journal.device.id)
  differences.push(...pfDifferences(kernel, journal, config, vf, limits, pci?.userspace))
  const { device } = record.journal
  if (record.journal.original.link === undefined) {
    const now = pci?.driver
    if (pci !== undefined && now !== device.driver) {
      differences.push(`"${device.id}" is bound to ${now ?? 'no driver'}, not to ${device.driver ?? 'none'}`)
    }
  } else {
    differences.push(
      ...podDifferences(kernel, withPeerNow(machine, store, kernel, journal), config, request, prevResult),
    )
  }
  if (differences.length > 0) throw differs(differences)
}

function differs(what: readonly string[]): CniError {
  return new CniError(code.checkFailed, `Attachment is not as ADD left it: ${what.join('; ')}`)
}

function* recordDifferences(
  { owner, journal, phase }: PluginRecord<AttachJournal>,
  pod: Omit<OpenNetns, 'fd' | 'close'>,
  config: AttachConfig,
): Iterable<string> {
  if (phase !== 'attached') yield 'its ADD never came to an end'
  if (journal.pendingClose === true) yield 'its DEL was called'
  if (!isOwnersNetns(owner, pod)) yield `"${pod.path}" is not the namespace of the ADD`
  for (const selector of config.selectors) {
    if (selector.by === 'pci' && journal.device.pci !== selector.address) {
      yield `${selector.key} is "${selector.address}", the record's device "${journal.device.id}"`
    }
  }
}

/**
 * PF-side attributes that were asked for, and the representor. `limits` are rates that another plugin of ours has set
 * instead; they are asked for only when the rate differs. `userspace`: a program drives the VF.
 */
export function* pfDifferences(
  kernel: Kernel,
  { device, original, bridgeVlan }: AttachJournal,
  config: AttachConfig,
  vf: VfFacts | undefined,
  limits: () => ReturnType<typeof limitsOfChain>,
  userspace = false,
): Iterable<string> {
  if (original.vf === undefined) return
  if (vf === undefined) {
    yield `"${device.id}" or its physical function is gone`
    return
  }
  const place = `VF ${vf.index} of "${vf.pfName}"`
  for (const [key, wish] of Object.entries(wishedVf(config, vf.attributes))) {
    const now = vf.attributes[key as keyof typeof vf.attributes]
    // What the driver does not report can't be compared.
    if (now === undefined || isEqual(now, wish)) continue
    // A PF lets a VF that it trusts choose its MAC, and reports that one.
    if (key === 'mac' && userspace && vf.attributes.trust === true) continue
    if (key === 'rate' && limits().some((rate) => isEqual(now, { min: rate.min, max: rate.max }))) continue
    yield `${place} has ${key} ${words(now)}, not ${words(wish)}`
  }
  if (original.representor === undefined) return
  const { representor } = vf
  if (representor === undefined) {
    yield `${place} has no representor any more`
    return
  }
  const name = `representor "${representor.link.name}"`
  if (!representor.link.up) yield `${name} is down`
  const mtu = config.mtu ?? original.link?.mtu
  if (mtu !== undefined && representor.link.mtu !== mtu) {
    yield `${name} has MTU ${representor.link.mtu}, not ${mtu}`
  }
  if (config.bridge !== undefined && representor.master !== config.bridge.name) {
    yield `${name} is attached to ${representor.master === undefined ? 'nothing' : `"${representor.master}"`}, not to "${config.bridge.name}"`
  }
  if (bridgeVlan === undefined || representor.master === undefined) return
  const vlans = kernel.bridgeVlans('host', representor.link.ifindex)
  if (!vlans.some(({ vid, pvid, untagged }) => vid === bridgeVlan && pvid && untagged)) {
    yield `${name} does not have VLAN ${bridgeVlan} as its own (pvid untagged)`
  }
  for (const { vid } of vlans.filter((vlan) => vlan.vid !== bridgeVlan)) {
    yield `${name} is in VLAN ${vid}, which is not the pod's`
  }
}

/** Of an interface that is not the device's. */
function whatItIs(link: LinkFacts, journal: AttachJournal): string {
  if (isOfDevice(link, journal)) return `another one, with number ${link.ifindex}`
  if (link.parent !== undefined) return `"${link.parent}"`
  return link.kind === undefined ? 'no software interface' : `of kind "${link.kind}"`
}

function* podDifferences(
  kernel: Kernel,
  journal: AttachJournal,
  config: AttachConfig,
  { ifname }: Request,
  prevResult: Result,
): Iterable<string> {
  const { device, othersRoutes = [] } = journal
  const link = kernel.link('pod', ifname)
  if (link === undefined) {
    yield `interface "${ifname}" is not in the pod`
    return
  }
  const isIt = peerOf(journal) !== undefined || isInPod(link, journal, ifname, true)
  if (!isIt || !isJoinedAsBefore(kernel, journal, link)) {
    yield `interface "${ifname}" is ${whatItIs(link, journal)}, not "${device.id}"`
  }
  if (!link.up) yield `interface "${ifname}" is down`
  const index = (prevResult.interfaces ?? []).findIndex(
    (candidate) => candidate.name === ifname && (candidate.sandbox ?? '') !== '',
  )
  const expected = prevResult.interfaces?.[index]
  if (expected === undefined) {
    yield `prevResult does not list interface "${ifname}"`
    return
  }
  if (expected.mac !== undefined && expected.mac.toLowerCase() !== link.mac) {
    yield `interface "${ifname}" has MAC ${link.mac}, not ${expected.mac}`
  }
  if (expected.mtu !== undefined && expected.mtu !== link.mtu) {
    yield `interface "${ifname}" has MTU ${link.mtu}, not ${expected.mtu}`
  }
  yield* brokenTraits(link, journal)
  const ips = (prevResult.ips ?? []).filter((ip) => ip.interface === undefined || ip.interface === index)
  const addresses = ips.map(({ address }) => address)
  const routes = ips.length === 0 ? [] : (prevResult.routes ?? [])
  const addressing = { addresses, routes, ...gatewaysOf(ips) }
  const ops = planAddressing(link, addressing, config.announce)
  yield* addressingDifferences(kernel, link, ops, othersRoutes)
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

function words(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
