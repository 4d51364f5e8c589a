/** An ADD that a worker had when it died: what it left is removed, before the ADD is repeated. */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import { readOffloadConfig } from '../config/config.ts'
import type { Feature } from '../feature.ts'

/** The plugin's features and records. */
export interface LostContext {
  readonly store: RecordStore<OffloadJournal>
  readonly features: readonly Feature[]
}

/**
 * Removes by `remove`, as DEL does, what an ADD has left. Another entry of the same list may have served the attachment before, and DEL would
 * take its work too. Then nothing is removed if the lost ADD had not begun, and the ADD is refused if it had.
 * @throws CniError 11
 */
export function removeLost(
  { store, features }: LostContext,
  request: Request,
  remove: (request: Request) => void,
): void {
  const record = recordOf(store, request)
  const wanted = record === undefined ? [] : wishes(features, request)
  const others = features.filter(
    (feature) => record !== undefined && feature.recorded(record.journal) && !wanted.includes(feature),
  )
  if (record === undefined || others.length === 0) {
    remove(request)
    return
  }
  // An ADD writes its record before its first change.
  if (record.phase === 'attached' && !wanted.some((feature) => feature.recorded(record.journal))) return
  throw new CniError(
    code.tryAgainLater,
    'another entry of the list has served the same interface, and one record tells of both: DEL takes both back',
  )
}

/** The record that an ADD of the request would write; undefined without one that can be read, which DEL knows to treat. */
function recordOf(
  store: RecordStore<OffloadJournal>,
  { name: subject, containerID, ifname }: Request,
): PluginRecord<OffloadJournal> | undefined {
  const name = store
    .list()
    .find((one) => one.subject === subject && one.containerID === containerID && one.ifname === ifname)
  try {
    return name === undefined ? undefined : store.read(name)
  } catch {
    return undefined
  }
}

/** Features that the config wishes for: none in a config that the ADD will refuse. */
function wishes(features: readonly Feature[], request: Request): readonly Feature[] {
  try {
    const config = readOffloadConfig(request)
    return features.filter((feature) => feature.wanted(config))
  } catch {
    return []
  }
}
