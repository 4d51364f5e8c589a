import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { notice } from '../../lib/log/notice.ts'
import { applyAll } from '../../ops/apply.ts'
import { commandLine } from '../../ops/command-line.ts'
import type { Runner } from '../../ops/runner.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { pciOf } from '../device/live.ts'
import { startsAnew } from '../device/pod-had-note.ts'

/** Queues that the pod has taken away have no files before the channels are back: rounds of looks and changes. */
const tuningRounds = 3

/**
 * Gives the interface back the settings that ethtool and sysfs showed before ADD; true when it has them.
 * @throws CniError 103 for a device that does not take them back. A device that starts anew before the next pod gets it is only told on stderr
 */
export function leadTuning(kernel: Kernel, runner: Runner, journal: AttachJournal, link: LinkFacts): boolean {
  const { device, tuning } = journal
  if (tuning === undefined) return true
  const opsNow = () =>
    kernel.tuningOps(link.name, tuning, kernel.tuning(link.name, Object.keys(tuning.files)))
  let left = opsNow()
  let errors: string[] = []
  for (let round = 0; round < tuningRounds && left.length > 0; round++) {
    errors = applyAll(runner, left)
    left = opsNow()
  }
  if (left.length === 0) return true
  const details = [...errors, ...left.map((op) => `still to do: ${commandLine(op)}`)].join('; ')
  if (!startsAnew(device.id, pciOf(journal), link.mac))
    throw new CniError(code.notRestored, `Cannot restore "${device.id}" to its state before ADD`, { details })
  notice(`vf-attach: "${device.id}" starts anew before a pod gets it again, until then: ${details}`)
  return false
}
