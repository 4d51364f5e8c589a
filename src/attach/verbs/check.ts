import { checkAddresses } from '../../cni/addresses.ts'
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { isOwnersNetns } from '../../ops/owner-netns.ts'
import { vfText } from '../../ops/vf-attributes.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { AttachConfig } from '../config/config.ts'
import { readVfFacts, type VfFacts } from '../device/facts.ts'
import { isInPod, isOfDevice, peerOf } from '../device/identity.ts'
import { isJoinedAsBefore } from '../device/joined.ts'
import { pciOf } from '../device/live.ts'
import { withPeerNow } from '../device/peers.ts'
import { brokenTraits } from '../device/residue.ts'
import { planPortVlans, planRepresentor, planVf } from '../plan/add.ts'
import { gatewaysOf, planAddressing } from '../plan/addressing.ts'
import type { AttachContext } from '../state/context.ts'
import { limitsOfChain } from '../state/offload-limits.ts'
import { planDifferences } from './check-plan.ts'

/** All that a CHECK looks at. */
export interface CheckContext extends Pick<AttachContext, 'machine' | 'kernel' | 'store'> {
  readonly pod: Omit<OpenNetns, 'fd' | 'close'>
}

/**
 * Compares the attachment with the one that ADD left: the record, the namespace and the device; then all that an ADD plans
 * (check-plan.ts): the PF's view of the VF, the representor, and the interface with MAC, MTU, addresses, routes and settings. `found` is
 * called once there is a record to compare with.
 * @throws CniError 7 without prevResult, 104 naming everything that differs
 */
export function checkAttachment(
  { machine, kernel, pod, store }: CheckContext,
  request: Request,
  config: AttachConfig,
  found: () => void = () => undefined,
): void {
  const { prevResult, containerID, ifname } = request
  if (prevResult === undefined) {
    throw new CniError(code.invalidConfig, 'Cannot check without prevResult: the runtime must send it')
  }
  checkAddresses('prevResult', prevResult)
  const name = store.list().find((one) => one.containerID === containerID && one.ifname === ifname)
  const record = name === undefined ? undefined : store.read(name)
  if (record === undefined) throw differs(['there is no record of this attachment'])
  found()

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
  const mayDiffer = (name: keyof VfAttributes) => {
    // A PF lets a VF that it trusts choose its MAC, and reports that one.
    if (name === 'mac') return userspace && vf.attributes.trust === true
    return (
      name === 'rate' && limits().some((rate) => vfText({ rate }, 'rate') === vfText(vf.attributes, 'rate'))
    )
  }
  yield* planDifferences({ kernel, mayDiffer }, planVf(config, vf))
  if (original.representor === undefined) return
  const { representor } = vf
  if (representor === undefined) {
    yield `VF ${vf.index} of "${vf.pfName}" has no representor any more`
    return
  }
  const { link, master } = representor
  const mtu = config.mtu ?? original.link?.mtu
  yield* planDifferences({ kernel }, planRepresentor(representor, config.bridge?.name, mtu))
  if (bridgeVlan === undefined || master === undefined) return
  const vlans = kernel.bridgeVlans('host', link.ifindex)
  const vids = vlans.map(({ vid }) => vid)
  yield* planDifferences({ kernel, vlans }, planPortVlans(link.name, bridgeVlan, vids))
}

/** Words for an interface that is not the device's. */
function strangerWords(link: LinkFacts, journal: AttachJournal): string {
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
    yield `interface "${ifname}" is ${strangerWords(link, journal)}, not "${device.id}"`
  }
  const index = (prevResult.interfaces ?? []).findIndex(
    (candidate) => candidate.name === ifname && (candidate.sandbox ?? '') !== '',
  )
  const expected = prevResult.interfaces?.[index]
  const { mac, mtu } = expected ?? {}
  const set = { ...(mac === undefined ? {} : { mac }), ...(mtu === undefined ? {} : { mtu }), up: true }
  const was = { mac: link.mac, mtu: link.mtu, up: link.up }
  yield* planDifferences({ kernel }, [{ do: 'link.set', side: 'pod', name: ifname, set, was }])
  if (expected === undefined) {
    yield `prevResult does not list interface "${ifname}"`
    return
  }
  yield* brokenTraits(link, journal)
  const ips = (prevResult.ips ?? []).filter((ip) => ip.interface === undefined || ip.interface === index)
  const addresses = ips.map(({ address }) => address)
  const routes = ips.length === 0 ? [] : (prevResult.routes ?? [])
  const addressing = { addresses, routes, ...gatewaysOf(ips) }
  const ops = planAddressing(link, addressing, config.announce)
  yield* planDifferences({ kernel, link, others: othersRoutes }, ops)
}
