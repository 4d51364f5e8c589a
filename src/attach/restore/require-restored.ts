/** The last word on a restore: nothing differs, or an error that names everything that does. */
import { CniError, code } from '../../cni/error.ts'
import { notice } from '../../lib/log/notice.ts'
import { commandLine } from '../../ops/command-line.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { LiveState } from '../device/live-state.ts'
import { dirtOf, untoldPrograms } from '../device/residue.ts'
import { keptByMode, planRestore } from '../plan/restore.ts'
import { isMissing } from './find-device.ts'

/**
 * Makes sure that `live` is the journal's state; names on stderr the things that nobody can give back. `errors`: refusals of the
 * last round.
 * @throws CniError 103
 */
export function requireRestored(journal: AttachJournal, live: LiveState, errors: readonly string[]): void {
  const { original, device } = journal
  const left = planRestore(journal, live, false)
  const missing = [
    ...(isMissing(journal, live)
      ? [live.elsewhere?.words ?? 'the interface is neither in the pod nor on the host']
      : []),
    ...(original.vf !== undefined && live.vf === undefined
      ? ['its physical function has no network interface on the host']
      : []),
  ]
  const dirt = dirtOf(journal, live)
  if (left.length === 0 && missing.length === 0 && dirt.length === 0) {
    const kept = keptByMode(journal, live)
    if (kept.length > 0) {
      notice(
        `vf-attach: the PF of "${device.id}" has ${live.vf?.switchdev === true ? 'changed to' : 'left'} switchdev mode since ADD, ${kept.join(', ')} of its VF ${kept.length === 1 ? 'stays' : 'stay'} as set now`,
      )
    }
    for (const line of changesAtHome(journal, live)) notice(`vf-attach: ${line}`)
    for (const what of untoldPrograms(journal, live))
      notice(
        `vf-attach: ${what} stays on "${device.id}": its record does not say whether it was there before ADD`,
      )
    return
  }
  throw new CniError(code.notRestored, `Cannot restore "${device.id}" to its state before ADD`, {
    details: [...missing, ...dirt, ...errors, ...left.map((op) => `still to do: ${commandLine(op)}`)].join(
      '; ',
    ),
  })
}

/** Lines about names and a number that an interface at home could not get back, because others have them now. */
function* changesAtHome(
  { device, original }: AttachJournal,
  { link, taken, lostMasters = new Set() }: LiveState,
): Iterable<string> {
  for (const name of lostMasters)
    yield `"${device.id}" was attached to "${name}" before ADD, which the host does not have any more`
  const now = link?.side === 'host' ? link.facts : undefined
  for (const name of taken) {
    const instead = name === original.link?.name && now !== undefined ? `; it is "${now.name}" now` : ''
    yield `"${device.id}" had the name "${name}" before ADD, another interface has it now${instead}`
  }
  if (now === undefined || device.ifindex === undefined || now.ifindex === device.ifindex) return
  yield `"${device.id}" had the number ${device.ifindex} before ADD, "${now.name}" has ${now.ifindex} now`
}
