import { CniError, code } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import { type IsListed, listedBy } from '../../cni/listed.ts'
import type { Request } from '../../cni/request.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { isAlive } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type PluginRecord, RecordError } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import { holderWords, holdingOfRecord } from '../device/userspace.ts'
import { restoreAttachment } from '../restore/attachment.ts'
import { passOver } from '../state/broken.ts'
import { withPatience } from '../state/locks.ts'
import { awaitIpam } from './spawn.ts'
import { collectInTime, gcMilliseconds, OutOfTime, type Waits } from './wait-budget.ts'

/** Runs an action under the locks of a device, each of which it waits for at most so long. */
export type Locked = (machine: Machine, subject: string, action: () => void, milliseconds?: number) => void

/**
 * Restores devices of this network whose attachment is not valid any more. A namespace that lives keeps its device, and so does a
 * program in user space that has the device open. Without a list GC touches nothing alive. An attachment that lives and is missing
 * from the list is an error, and keeps its device unless `gcLive` is set: a running pod must not lose its network. Goes on after an
 * error; returns all of them. A device that is still waited for when the time of one GC is over is named on stderr and left to the
 * next GC: that is no error.
 */
export function collectGarbage(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  request: Request,
  gcLive: boolean,
  locked: Locked,
): CniError[] {
  const errors: CniError[] = []
  const isListed = listedBy(request)
  const attempt = ({ isShort }: Waits, action: () => void) => {
    try {
      action()
    } catch (error) {
      // A change that waited for its lock in vain is one of many reasons in an error.
      if (error instanceof OutOfTime || isShort()) throw new OutOfTime()
      errors.push(failure(error))
    }
  }
  const collect = (waits: Waits, name: RecordName) => {
    const patient = withPatience(waits.machine)
    const soon: Locked = (on, subject, action) =>
      waits.locking((milliseconds) => locked(on, subject, action, milliseconds))
    attempt(waits, () => {
      try {
        collectOne(patient, store, { request, isListed, gcLive }, name, soon)
      } catch (error) {
        if (!(error instanceof RecordError)) throw error
        // The network of such a record is not known.
        passOver(patient, store, name, error, isListed(name) === true, soon)
      }
    })
  }
  const left = collectInTime(machine, store.list(), collect).map(({ subject }) => `"${subject}"`)
  if (left.length > 0) {
    const why = `the ${gcMilliseconds / 1000} s are over for devices that are locked, or in no namespace to be seen`
    notice(`vf-attach: ${why}: the next GC goes on with ${left.join(', ')}`)
  }
  return errors
}

/** The facts by which one GC decides. */
interface Rule {
  readonly request: Request
  readonly isListed: IsListed
  readonly gcLive: boolean
}

function collectOne(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  rule: Rule,
  name: RecordName,
  locked: Locked,
): void {
  const isDue = () => mustGo(machine, store, rule, name)
  if (!isDue()) return
  // The same container may have got the device anew while the lock was waited for (a restart keeps its ID).
  locked(machine, name.subject, () => {
    awaitIpam(machine, name)
    if (isDue()) restoreAttachment(machine, store, name, '')
  })
}

/** @throws CniError 103 for one that is not valid, lives and must not be taken from its pod */
function mustGo(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  { request, isListed, gcLive }: Rule,
  name: RecordName,
): boolean {
  const record = store.read(name)
  if (record === undefined || record.owner.network !== request.name) return false
  // Its DEL was called.
  if (record.journal.pendingClose === true) return true
  if (isListed(name) === true) return false
  const alive = signOfLife(machine, record)
  if (alive === undefined) return true
  if (request.validAttachments === undefined) return false
  if (gcLive) return true
  throw new CniError(
    code.notRestored,
    `Cannot collect "${name.subject}": it is not a valid attachment, but ${alive}; key "gcLive" has it taken all the same`,
    { details: name.path },
  )
}

/** The sign by which an attachment counts as alive; undefined when there is none. */
function signOfLife(machine: Machine, record: PluginRecord<AttachJournal>): string | undefined {
  if (isAlive(machine, record.owner)) return 'its namespace lives'
  const holding = holdingOfRecord(machine, record)
  return holding === undefined ? undefined : holderWords(holding)
}
