import { CniError, code } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { notice } from '../../lib/log/notice.ts'
import { addVerbFields, step } from '../../lib/log/steps.ts'
import { Transaction, withoutStuck } from '../../ops/apply.ts'
import { ownerMarks } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type PluginRecord, recordSchemaVersion } from '../../records/record.ts'
import type { AttachConfig } from '../config/config.ts'
import { readCarried } from '../device/carried.ts'
import { type AttachFacts, readAttachFacts } from '../device/facts.ts'
import { homeward } from '../device/homeward.ts'
import { journalOf } from '../device/journal.ts'
import { freeIfindex } from '../device/live.ts'
import { withPeerHome } from '../device/peers.ts'
import { formerOf, noteUse, withFormerNumber, withoutPods, withoutResidue } from '../device/pod-had-note.ts'
import type { Device } from '../device/select.ts'
import { pfDownWarnings, requireClosed, withoutToldMac } from '../device/userspace.ts'
import { claim, release } from '../foreign/sriov.ts'
import { planAdd } from '../plan/add.ts'
import { requireBare, startAnew } from '../restore/anew.ts'
import { restoreDevice } from '../restore/device.ts'
import type { AttachContext } from '../state/context.ts'
import { onePfChangeAtATime } from '../state/locks.ts'
import { addAddresses } from './addresses.ts'
import { tellDeviceInfo } from './device-info.ts'
import { ipamOfAdd } from './ipam.ts'
import { requireUnowned } from './ownership.ts'
import { refuseImpossible, switchdevHint } from './refusals.ts'
import { resultOf } from './result.ts'

/**
 * ADD, with the device's lock held; `select` looks the device up. Facts, plan, record, changes, addresses, result. A failure takes
 * everything back that was done before. The error names the changes that could not be taken back, and the record stays for DEL.
 */
export function addLocked(
  context: AttachContext,
  request: Request,
  config: AttachConfig,
  select: () => Device,
): Result {
  const { machine, kernel, pod, store } = context
  const found = select()
  addVerbFields({ device: found.id })
  const isRestored = step('owner', () => requireUnowned(context, request, found))
  const chosen = isRestored ? select() : found
  refuseTakenName(kernel, request.ifname)
  requireClosed(chosen.pci)
  const seen = step('facts', () =>
    withoutResidue(machine, readAttachFacts(kernel, chosen, config.bridge?.name)),
  )
  refuseImpossible(kernel, config, seen)
  const facts = withoutToldMac(context, seen)
  const carried = step('carried', () => readCarried(kernel, config, facts))
  const podIfindex =
    facts.port === undefined ? undefined : freeIfindex(kernel, 'pod', facts.port.link.ifindex)
  for (const line of [...warningsOf(config, facts), ...pfDownWarnings(facts)]) notice(`vf-attach: ${line}`)
  const former = formerOf(machine, facts)
  if (former !== undefined) requireBare(chosen.id, facts.port)
  const whole = { ...withPeerHome(store, journalOf(config, facts, podIfindex)), ...carried }

  const record: PluginRecord<AttachJournal> = {
    schema: recordSchemaVersion,
    plugin: 'vf-attach',
    phase: 'applying',
    owner: {
      containerID: request.containerID,
      ifname: request.ifname,
      network: request.name,
      netns: request.netns,
      ...ownerMarks(pod),
      bootId: machine.bootId(),
    },
    journal: withoutPods(withFormerNumber(machine, kernel, facts, whole), former),
  }
  // After a boot nothing of a VF is as this ADD left it, so no record needs to outlive one: none waits for a disk.
  const name = store.write(chosen.id, record, 'volatile')
  if (former !== undefined) {
    startAnew(context, name, record)
    return addLocked(context, request, config, select)
  }
  noteUse(machine, facts)
  const claimed = chosen.pci?.vf === undefined ? undefined : chosen.pci.address
  let moved = false
  const { journal } = record
  const { ifname } = request
  const runner = homeward(kernel, journal, onePfChangeAtATime(machine, kernel, facts.vf?.pfPci), { ifname })
  const transaction = new Transaction({
    run: (op) => {
      const outcome = runner.run(op)
      if (op.do === 'link.move') moved = true
      return outcome
    },
  })
  const ipamPart = ipamOfAdd(request, machine, name)
  try {
    if (claimed !== undefined) claim(claimed, request.netns)
    const ops = planAdd(config, facts, request.ifname, podIfindex)
    const move = ops.findIndex((op) => op.do === 'link.move')
    if (move >= 0) {
      // All that a driver may refuse is done by then.
      transaction.apply(ops.splice(0, move))
      ipamPart.beforeMove()
    }
    transaction.apply(ops)
    const before = facts.port?.link
    const look = () =>
      before === undefined || podIfindex === undefined
        ? undefined
        : movedLink(kernel, before, podIfindex, ifname)
    const finish = (done: Partial<AttachJournal>) =>
      store.write(chosen.id, { ...record, phase: 'attached', journal: { ...journal, ...done } }, 'volatile')
    const ipam = ipamPart.result()
    const link = addAddresses(ipam, config, look, transaction, finish)
    const result = resultOf(request, config, facts, link, ipam)
    tellDeviceInfo(request, config, facts)
    return result
  } catch (error) {
    // Before the record goes, by which DEL would wait for a plugin that still runs.
    const unfreed = ipamPart.giveBack()
    transaction.rollback()
    // The rollback undid step by step. Changes that a driver made on its own are known by the journal alone.
    const stuck = restored(() => {
      restoreDevice(machine, kernel, journal, {
        pod: true,
        ifname,
        moved: moved ? undefined : false,
      })
      if (claimed !== undefined) release(claimed, request.netns)
      store.remove(name)
    })
    // `stuck` has the last word. The restore may have settled lines of the rollback before it.
    throw switchdevHint(failure(withoutStuck(error), [...stuck, ...unfreed]), error, facts)
  }
}

/** The interface with this number in the pod, if it is still the one that was on the host and has the name that it got. */
function movedLink(kernel: Kernel, before: LinkFacts, ifindex: number, ifname: string): LinkFacts {
  const link = kernel.link('pod', ifindex)
  const isIt = link?.parent === before.parent && link?.kind === before.kind && link?.lower === before.lower
  if (link?.name === ifname && isIt) return link
  throw new CniError(code.kernelRefused, `Cannot find "${ifname}" in the pod after the move`)
}

function warningsOf(config: AttachConfig, facts: AttachFacts): string[] {
  const representor = facts.vf?.representor
  if (facts.vf?.switchdev !== true || config.bridge !== undefined) return []
  if (representor === undefined) {
    return [`no representor of "${facts.device.id}" was found: frames without a rule in the NIC go nowhere`]
  }
  if (representor.master !== undefined) return []
  const words =
    'is attached to nothing: frames without a rule in the NIC go nowhere; key "bridge" attaches it'
  return [`representor "${representor.link.name}" of "${facts.device.id}" ${words}`]
}

function refuseTakenName(kernel: Kernel, ifname: string): void {
  // The kernel expands the first % of a new name to a number: the pod would get another interface than asked for.
  if (ifname.includes('%')) {
    throw new CniError(code.invalidEnvironment, `Cannot use CNI_IFNAME "${ifname}": must not contain "%"`)
  }
  const taken = kernel.link('pod', ifname)
  if (taken === undefined) return
  const words =
    taken.name === ifname ? 'the pod has an interface of that name' : `it is an altname of "${taken.name}"`
  throw new CniError(code.invalidEnvironment, `Cannot use CNI_IFNAME "${ifname}": ${words}`)
}

/** Runs a restore; returns lines about the changes that it could not take back. */
function restored(restore: () => void): string[] {
  try {
    restore()
    return []
  } catch (error) {
    const { message, details } = failure(error)
    return [details === undefined ? message : `${message}: ${details}`]
  }
}
