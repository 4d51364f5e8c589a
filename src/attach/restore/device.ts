/** The way home: from any state of a device back to its journal's, in rounds of looks and changes. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { addVerbFields, step } from '../../lib/log/steps.ts'
import { stackOf } from '../../nic/netdev.ts'
import { applyAll } from '../../ops/apply.ts'
import type { Runner } from '../../ops/runner.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { homeward } from '../device/homeward.ts'
import { isSoftware, isSole } from '../device/identity.ts'
import { pciOf, readLive } from '../device/live.ts'
import type { LiveState, PodView } from '../device/live-state.ts'
import { noteAnewAtHome, noteHome, noteReturn } from '../device/pod-had-note.ts'
import { dirtOf } from '../device/residue.ts'
import { planRestore } from '../plan/restore.ts'
import { onePfChangeAtATime } from '../state/locks.ts'
import { isMissing, returnMilliseconds, waitForDevice } from './find-device.ts'
import { giveBack } from './give-back.ts'
import { awaitName, bindNamed } from './names.ts'
import { requireRestored } from './require-restored.ts'
import { leadTuning } from './tuning.ts'

/** A driver that was told to start anew has an interface again within so many milliseconds. */
const rebindMilliseconds = 20_000

/** Rounds of look and restore before giving up. */
const maxRounds = 4
/** Rounds more for a device that a pod moves away between the look and the change. */
const maxChases = 16

/** Calls of a restore to those who want it. */
export interface RestoreHooks {
  /** Writes the journal down before an interface moves home that nothing but its number there tells from others. */
  readonly keep?: (journal: AttachJournal) => void
  /** Called when the interface was set down in the pod, right before it moves home. */
  readonly leaving?: (() => void) | undefined
}

/**
 * Leads the device back to its journal, in as many rounds as it takes: a driver may change one side when the other is
 * set (igb's PF reports the MAC that a VF gives itself), so only a look afterwards tells.
 * @throws CniError 103
 */
export function restoreDevice(
  machine: Machine,
  kernel: Kernel,
  before: AttachJournal,
  view: PodView,
  { keep = () => undefined, leaving }: RestoreHooks = {},
): void {
  let journal = before
  const changes = onePfChangeAtATime(machine, kernel, before.device.pfPci)
  const runner = homeward(kernel, before, leaving === undefined ? changes : tellingLeave(changes, leaving))
  addVerbFields({ device: journal.device.id })
  const wait = view.moved === false ? 0 : returnMilliseconds
  const awaitDevice = (milliseconds: number) => waitForDevice(machine, kernel, journal, view, milliseconds)
  const find = (milliseconds: number) =>
    awaitName(machine, kernel, journal, awaitDevice(milliseconds), () => awaitDevice(0))
  let live = step('find', () => find(wait))
  if (live === 'gone' && isSoftware(journal) && view.moved !== false) {
    notice(
      `vf-attach: "${journal.device.id}" is neither in the pod nor on the host: it has ended, or somebody has taken it`,
    )
  }
  if (view.moved === false && live !== 'gone' && isMissing(journal, live)) {
    notice(`vf-attach: "${journal.device.id}" was taken to another namespace meanwhile and is left there`)
    return
  }
  if (view.moved !== false) noteReturn(machine, journal, pciOf(journal))
  let errors: string[] = []
  const rebind = (why: string): LiveState | 'gone' => {
    const { pci = '', driver = '', ifindex } = journal.device
    notice(`vf-attach: "${pci}" ${why}, its driver ${driver} is bound anew`)
    const refusals = bindNamed(machine, kernel, runner, journal, () => {
      const lines = applyAll(runner, [{ do: 'driver.rebind', pci, driver }])
      awaitDevice(rebindMilliseconds)
      return lines
    })
    errors.push(...refusals)
    if (refusals.length === 0) noteAnewAtHome(machine, pci, ifindex)
    return find(0)
  }
  const startAnew = (found: LiveState): LiveState | 'gone' => {
    // The PF side first: a driver that starts anew takes what its PF holds for it.
    errors = applyAll(runner, planRestore(journal, { ...found, link: undefined }, true))
    return rebind('is in no namespace that can be reached')
  }
  if (live !== 'gone' && isMissing(journal, live) && mayRebind(journal)) live = startAnew(live)
  /** In rounds from `found` to where nothing differs, or nothing helps. */
  const lead = (found: LiveState | 'gone'): LiveState | 'gone' => {
    let now = found
    let chases = 0
    for (let round = 0; round < maxRounds && now !== 'gone'; round++) {
      const ops = planRestore(journal, now, round === 0)
      if (ops.length === 0) break
      const { homeIfindex } = now
      if (homeIfindex !== undefined && !isSole(journal)) {
        journal = { ...journal, device: { ...journal.device, homeIfindex } }
        noted(keep, journal)
      }
      errors = applyAll(runner, ops)
      // A device at home is out of the pod's reach, and was looked at.
      const seen = errors.length > 0 ? view : { ...view, home: homeIfindex }
      const lookAgain = () => readLive(kernel, journal, seen)
      now = awaitName(machine, kernel, journal, lookAgain(), lookAgain)
      if (now === 'gone' || now.link?.side === 'host' || !errors.some(saysItLeft)) continue
      if (++chases < maxChases) now = find(wait)
      if (now !== 'gone' && (isMissing(journal, now) || chases === maxChases) && mayRebind(journal))
        now = startAnew(now)
      if (chases < maxChases) round--
    }
    return now
  }
  live = lead(live)
  const dirt = live === 'gone' ? [] : dirtOf(journal, live)
  // Interfaces of the node on the device would end with its driver.
  if (dirt.length > 0 && mayRebind(journal) && !bearsOfNode(live)) {
    live = lead(rebind(`is not clean (${dirt.join(', ')})`))
  }
  if (live === 'gone') return
  requireRestored(journal, live, errors)
  const link = live.link?.facts
  if (link === undefined) return
  if (lacksSomething(kernel, journal, link)) giveBack(kernel, runner, journal, link)
  noteHome(machine, journal, leadTuning(kernel, runner, journal, link))
}

/** `runner`, which calls `leaving` between the operation that sets the interface down in the pod and the move home. */
function tellingLeave(runner: Runner, leaving: () => void): Runner {
  let isDown = false
  return {
    run: (op) => {
      if (op.do === 'link.move' && op.from === 'pod' && op.to === 'host' && isDown) leaving()
      const outcome = runner.run(op)
      if (op.do === 'link.set' && op.side === 'pod') isDown = op.set.up === false
      return outcome
    },
  }
}

/** True for a device on the host that has something of the host on it. */
function bearsOfNode(live: LiveState | 'gone'): boolean {
  if (live === 'gone' || live.link?.side !== 'host') return false
  return stackOf(live.link.facts.name, live.master).uppers.length > 0
}

/** True for an operation's failure on an interface that has just left the pod. */
function saysItLeft(line: string): boolean {
  return /ENODEV|has taken the place of/.test(line)
}

/** True when the interface may not have all that it had beside itself. */
function lacksSomething(kernel: Kernel, { carried, settings }: AttachJournal, link: LinkFacts): boolean {
  if (carried !== undefined) return true
  if (settings === undefined) return false
  const now = kernel.settings(link)
  return now.v4 !== settings.v4 || now.v6 !== settings.v6
}

/** A DEL needs no room: without the note a DEL that is killed now leaves its repetition to go by name and MAC. */
function noted(keep: (journal: AttachJournal) => void, journal: AttachJournal): void {
  try {
    keep(journal)
  } catch (error) {
    notice(`vf-attach: Cannot note the number that "${journal.device.id}" gets on the host: ${String(error)}`)
  }
}

/**
 * A namespace can be held for minutes by TCP sockets that nobody owns any more. Taking the function from its driver
 * brings its interface home at once, but it would take the VFs of a PF with it, and the other interfaces of the function.
 */
function mayRebind(journal: AttachJournal): boolean {
  const pci = pciOf(journal)
  const { driver } = journal.device
  // Without a driver it is where a call was killed that had it start anew.
  const isOurs = driver !== undefined && (pci?.driver ?? driver) === driver
  return pci !== undefined && isSole(journal) && isOurs && !pci.userspace && (pci.sriovNumvfs ?? 0) === 0
}
