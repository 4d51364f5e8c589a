/**
 * Several entries of one list that serve one attachment under one name, as one for port mappings and one for limits: they
 * share a record, and each has features of its own in it. DEL of any takes all: runtimes delete whole lists.
 */
import { CniError, code } from '../../cni/error.ts'
import { isGone } from '../../ops/held-netns.ts'
import { isOwnersNetns } from '../../ops/owner-netns.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordName } from '../../records/store.ts'
import type { Feature } from '../feature.ts'
import { type Attachment, identityOf } from '../state/identity.ts'
import { otherRecords } from '../state/sibling-records.ts'
import type { OffloadContext } from './context.ts'
import { removeDead } from './dead-owners.ts'

/**
 * The record of earlier entries of the list for this attachment; undefined when there are none. This entry brings the features `wanted`.
 * A second ADD of a feature, without a DEL between, is refused: both would have the same cookie and names, and the rollback of the
 * second would remove the work of the first. The record of the first ADD tells of it. Where the record is lost, its filters and other
 * traces tell. An earlier attachment whose namespace is gone holds nothing, and its leftovers are removed. `hasEswitch`: the frames of
 * the pod pass an eSwitch.
 * @throws CniError 11
 */
export function earlierEntries(
  context: OffloadContext,
  attachment: Attachment,
  wanted: readonly Feature[],
  hasEswitch: boolean,
): PluginRecord<OffloadJournal> | undefined {
  const { machine, store, pod } = context
  const { network, containerID, ifname } = attachment
  const own = store.find(network, containerID, ifname)
  const found = own === undefined ? undefined : store.read(own)
  const isDead =
    own !== undefined && found !== undefined && removeIfDead(context, attachment, store, own, found)
  const record = isDead ? undefined : found
  if (record === undefined) {
    refuseTraces(context, attachment, wanted, hasEswitch)
    return undefined
  }
  // Of what was there before the last boot nothing is left.
  if (record.owner.bootId !== machine.bootId()) return undefined
  const isWhole = record.phase === 'attached' && isOwnersNetns(record.owner, pod)
  if (isWhole && !wanted.some((feature) => feature.recorded(record.journal))) return record
  throw servedAlready(attachment, own?.path)
}

/**
 * The wishes of the one that lost its record may have been others than these; but a feature that is not wished for may also be
 * another entry's of the same list, which has its record under another name.
 */
function refuseTraces(
  context: OffloadContext,
  attachment: Attachment,
  wanted: readonly Feature[],
  hasEswitch: boolean,
): void {
  const { machine, kernel, features } = context
  const elsewhere = otherRecords(context, attachment).filter(
    ({ store, name, record }) => !removeIfDead(context, attachment, store, name, record),
  )
  const reserved = kernel.hasReservation(identityOf(attachment, machine.sha256).cookie)
  for (const feature of elsewhere.length > 0 ? wanted : features) {
    const trace = feature.trace({ machine, kernel, attachment, reserved, hasEswitch })
    if (trace !== undefined) throw servedAlready(attachment, `its record is lost, ${trace}`)
  }
}

/** Removes what an ADD of the same attachment has left whose namespace is gone, and not this one's. True when it did. */
function removeIfDead(
  context: OffloadContext,
  attachment: Attachment,
  store: OffloadContext['store'],
  name: RecordName,
  { owner }: PluginRecord<OffloadJournal>,
): boolean {
  const { machine, pod } = context
  if (owner.bootId !== machine.bootId() || isOwnersNetns(owner, pod) || !isGone(machine, owner)) return false
  removeDead(context, attachment, { store, name })
  return true
}

function servedAlready({ containerID, ifname, network }: Attachment, details: string | undefined): CniError {
  return new CniError(
    code.tryAgainLater,
    `Cannot serve container "${containerID}", interface "${ifname}", network "${network}": it is served already and needs a DEL first`,
    { details },
  )
}
