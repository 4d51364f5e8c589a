/**
 * The record that `vf-offload` keeps of an attachment under each of its names: the wishes and what became of them. CHECK, DEL, GC,
 * error messages and reports go by it. `vf-attach` and `vfctl` read it here, too.
 */
import { anything, at, type Form, list, maybe, object, oneOf, orElse, type ValueOf, whole } from './form.ts'
import { flowFilter } from './ops/filters.ts'
import { op } from './ops/table.ts'
import { type RecordStore, recordStore } from './store.ts'
import { amount, anyInt, anyText, family, ip, mappedPort, offload, proto } from './values.ts'

/** One filter as an operator would type it, and where it runs. */
const rule = object({
  line: at('line', anyText),
  where: at('where', oneOf('nic', 'host')),
  /** Why it does not run in the NIC: the driver's own words. */
  refusal: maybe('refusal', anyText),
  /** The wish that it serves: `tcp 8080 -> 80`. */
  mapping: at('mapping', anyText),
  rule: at('rule', flowFilter),
  prio: at('prio', anyInt),
  handle: maybe('handle', anyInt),
})

/** One limit: what was asked for, in bits/s and bits, and what became of it. Without `where` the ADD has not come that far. */
const limit = object({
  direction: at('direction', oneOf('toPod', 'fromPod')),
  rate: at('rate', amount),
  burst: at('burst', amount),
  /** `pod` is where a pod with CAP_NET_ADMIN can take it away. */
  where: maybe('where', oneOf('nic', 'host', 'pod')),
  /** `tbf`, `ifb`, `max_tx_rate`, `tx_max`, `police`. */
  means: maybe('means', anyText),
  /** The bytes that count: of frames without their checksum, or of IP packets. Absent: unknown. */
  counts: maybe('counts', oneOf('frame', 'packet')),
  /** The operations as an operator would type them. */
  lines: maybe('lines', list(anyText)),
  /** The operations; while the ADD has not come that far, those that it may have done. */
  ops: at('ops', list(op)),
  /** Ways that were given up, each with the reason. */
  refusals: maybe('refusals', list(anyText)),
  notes: maybe('notes', list(anyText)),
})
/** One limit of a record. */
export type LimitRecord = ValueOf<typeof limit>

const named = object({ name: at('name', anyText), ifindex: at('ifindex', anyInt) })

/** The journal. Fields that a version before did not write are optional, and none of its fields changes its meaning. */
export const offloadJournal = object({
  /** Kind of the pod's port (offload/port/port.ts). */
  port: maybe('port', anyText),
  device: maybe('device', anyText),
  uplink: maybe('uplink', named),
  representor: maybe('representor', named),
  /**
   * The pod's end of a veth pair: its number and MAC there, and the number of the other end where that is on the host. A pod
   * can give an interface any number, but not another pod's pair.
   */
  link: maybe(
    'link',
    object({ ifindex: at('ifindex', anyInt), mac: at('mac', anyText), peer: maybe('peer', anyInt) }),
  ),
  keys: at(
    'keys',
    list(
      object({
        address: at('address', ip),
        proto: at('proto', proto),
        port: at('port', mappedPort),
        toAddress: at('toAddress', ip),
        toPort: at('toPort', mappedPort),
      }),
    ),
  ),
  /** Families in which the pod behind a veth pair had its default route by the interface, where prevResult named one. */
  defaultRoutes: maybe('defaultRoutes', list(family)),
  /** The place where addresses and ports are translated; absent without port mappings. */
  nat: maybe('nat', oneOf('pod', 'nic', 'host')),
  /** Other operations of the ADD, in order: the reservation, the pod's tables, routes and policy rules, qdiscs. */
  ops: orElse('ops', list(op), () => []),
  rules: at('rules', list(whole(rule))),
  /**
   * Packets that had come to the pod before the NIC took filters which send frames back by their own port (hairpin): as the PF counts
   * for its VF, and as the interface in the pod does. Absent without such filters.
   */
  received: maybe('received', object({ byPf: maybe('byPf', amount), byPod: maybe('byPod', amount) })),
  /** Entries of one list that share the record, where there are several. */
  entries: maybe('entries', anyInt),
  /** The wishes of the entry with port mappings; absent without. */
  asked: maybe(
    'asked',
    object({ offload: at('offload', offload), nat: at('nat', oneOf('auto', 'pod', 'nic')) }),
  ),
  /** Absent: none was asked for. */
  limits: maybe('limits', list(limit)),
  notes: at('notes', list(anyText)),
})

/** Journal of one attachment. */
export type OffloadJournal = ValueOf<typeof offloadJournal>

/** Of an attachment for which nothing was done yet. */
export const emptyJournal: OffloadJournal = { keys: [], ops: [], rules: [], notes: [] }

/** A journal of another plugin, of whose records only the owner counts. */
export const anyJournal: Form<unknown> = anything

/** Folders below the state folder in which vf-offload keeps records: one for each name that it is called by. */
export const offloadFolders = ['offload', 'portmap', 'bandwidth'] as const
export type OffloadFolder = (typeof offloadFolders)[number]

/** The records in one of these folders. */
export function offloadRecords(stateDir: string, folder: OffloadFolder): RecordStore<OffloadJournal> {
  return recordStore(stateDir, folder, offloadJournal)
}
