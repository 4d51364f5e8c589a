/**
 * Finds conflicts: XDP programs, tcx programs and foreign filters at an earlier priority that see the frames of an interface before
 * our filters, and that may take frames from them.
 */
import type { Row } from '../../netlink/codec/tlv.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import {
  decodeFilter,
  dumpFilters,
  flagsOf,
  flowerOf,
  isSlotOnly,
  matchallOf,
  placeOf,
} from '../../netlink/tc/filter.ts'
import { TCA_BPF_FLAG } from '../../netlink/tc/kinds/bpf.ts'
import { type Flower, flower as flowerTable, TCA_CLS_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import type { Tc } from '../../netlink/tc/msg.ts'
import { loopbackGuard } from '../../ops/marks/loopback-guard.ts'
import type { FlowFilter } from '../../ops/op.ts'
import { bpfProgram, tcxIngressPrograms } from '../../sys/bpf.ts'
import type { LinkFacts } from '../api/facts.ts'
import type { Conflict, EveryFrame } from '../api/filters.ts'
import { keepsFrames, verdictsOf } from '../tc/filter-verdicts.ts'
import { flowFilterKey, flowFilterPlace } from '../tc/flow-filter-spec.ts'
import { filterLine, type NameOf } from '../tc/format-filter.ts'
import { exitValues } from './bpf-return-values.ts'
import { strangersIn } from './stranger-filters.ts'

const XDP_PASS = 2
/** TCX_NEXT, and TC_ACT_UNSPEC of a filter: the frame goes on to the next program or filter. */
const goOn = -1

/** Conflicts with the filters `specs`, which are all for `link`. Cookies of ours begin with `ownPrefix` (hex). */
export function conflictsOf(
  socket: NetlinkSocket,
  link: LinkFacts,
  specs: readonly FlowFilter[] | EveryFrame,
  ownPrefix: string,
): Conflict[] {
  if (!('everyFrameAt' in specs) && specs.length === 0) return []
  const programs = [
    ...link.xdp.flatMap((id) => programConflict('XDP', id, XDP_PASS)),
    ...tcxIngressPrograms(link.ifindex).flatMap((id) => programConflict('tcx', id, goOn)),
  ]
  const nameOf: NameOf = (ifindex) => (ifindex === link.ifindex ? link.name : undefined)
  return [...programs, ...filterConflicts(socket, link.ifindex, specs, ownPrefix, nameOf)]
}

/** The conflict with a program; empty for a program that passes every frame. */
function programConflict(hook: 'XDP' | 'tcx', id: number, harmless: number): Conflict[] {
  const program = bpfProgram(id)
  const exits = program?.instructions === undefined ? undefined : exitValues(program.instructions)
  if (exits !== undefined && [...exits].every((value) => value === harmless)) return []
  const name = `${hook} program ${id}${program === undefined ? '' : ` "${program.name}"`}`
  // Both run after the filters in the NIC. Most XDP programs pass most frames. A tcx program that can return another verdict
  // usually belongs to a network that claims the interface, and decides about every frame.
  return [{ name, hook, software: true, hardware: false, certain: hook === 'tcx' }]
}

function filterConflicts(
  socket: NetlinkSocket,
  ifindex: number,
  specs: readonly FlowFilter[] | EveryFrame,
  ownPrefix: string,
  nameOf: NameOf,
): Conflict[] {
  const last = 'everyFrameAt' in specs ? specs.everyFrameAt : Math.max(...specs.map(({ prio }) => prio))
  const takesOurs = (filter: Tc, prio: number) =>
    'everyFrameAt' in specs ||
    specs.some((spec) => prio <= spec.prio && mayShareFrames(filter, ifindex, spec))
  const conflicts: Conflict[] = []
  const request = dumpFilters(ifindex, { chain: 0 })
  for (const payload of socket.skim(request, (datagram) => strangersIn(datagram, last, ownPrefix))) {
    const filter = decodeFilter({ type: 0, flags: 0, seq: 0, pid: 0, payload })
    const { priority: prio } = placeOf(filter)
    // The loopback guard takes only packets from and to 127.0.0.0/8, and no flow filter matches these.
    if (isSlotOnly(filter) || (prio === loopbackGuard.priority && filter.tcm_handle === loopbackGuard.handle))
      continue
    if (!takesOurs(filter, prio)) continue
    const verdict = verdictOf(filter)
    if (verdict === 'goes on') continue
    const flags = flagsOf(filter)
    const hardware = (flags & TCA_CLS_FLAGS.TCA_CLS_FLAGS_IN_HW) !== 0
    conflicts.push({
      name: filterLine(filter, nameOf),
      hook: 'filter',
      software: (flags & TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW) === 0 || (hardware && keepsFrames(filter)),
      hardware,
      certain: verdict !== 'unknown',
    })
  }
  return conflicts
}

/** True when a frame can match both filters, or when the classifier of `filter` cannot be read (not flower, not matchall). */
function mayShareFrames(filter: Tc, ifindex: number, spec: FlowFilter): boolean {
  const { protocol } = placeOf(filter)
  // 3 is ETH_P_ALL.
  if (protocol !== 3 && protocol !== flowFilterPlace(ifindex, spec).protocol) return false
  const theirs = flowerOf(filter)
  if (theirs === undefined) return true
  const ours = flowFilterKey(spec)
  return Object.keys(ours).every(
    (name) => name.endsWith('_MASK') || name === 'TCA_FLOWER_KEY_ETH_TYPE' || overlaps(ours, theirs, name),
  )
}

/** False when the two keys differ in a bit that both masks have. */
function overlaps(ours: Flower, theirs: Flower, name: string): boolean {
  const table = flowerTable.table as Readonly<Record<string, Row>>
  const codec = table[name]?.[1]
  const [a, b] = [attributeOf(ours, name), attributeOf(theirs, name)]
  if (codec === undefined || a === undefined || b === undefined) return true
  const [left, right] = [codec.encode(a), codec.encode(b)]
  const masks = [ours, theirs].map((options) => {
    const mask = attributeOf(options, `${name}_MASK`)
    return mask === undefined ? undefined : codec.encode(mask)
  })
  return left.every((byte, at) => {
    const bits = masks.reduce((sum, mask) => sum & (mask?.[at] ?? 0xff), 0xff)
    return ((byte ^ (right[at] ?? 0)) & bits) === 0
  })
}

function attributeOf(options: Flower, name: string): unknown {
  return (options as Readonly<Record<string, unknown>>)[name]
}

/** The effect of a filter on its frames; `unknown` when the filter's match cannot be read. */
type Verdict = 'goes on' | 'ends' | 'unknown'

/** The effect of a filter. The kernel goes on to the next filter only after TC_ACT_UNSPEC (tcf_classify). */
function verdictOf(filter: Tc): Verdict {
  if (filter.TCA_KIND === 'bpf') return programVerdict(filter)
  if (flowerOf(filter) === undefined && matchallOf(filter) === undefined) return 'unknown'
  const verdicts = verdictsOf(filter)
  return verdicts.length > 0 && verdicts.every((value) => value === TC_ACT.TC_ACT_UNSPEC) ? 'goes on' : 'ends'
}

/** The effect of a filter that is a BPF program. A program sees every frame, so another or an unknown verdict ends them. */
function programVerdict(filter: Tc): Verdict {
  const options = filter.TCA_OPTIONS
  if (options === undefined || options instanceof Uint8Array || !('TCA_BPF_ID' in options)) return 'unknown'
  const { TCA_BPF_FLAGS: flags = 0, TCA_BPF_ID: id = 0 } = options
  const isDirect = (flags & TCA_BPF_FLAG.TCA_BPF_FLAG_ACT_DIRECT) !== 0
  const instructions = isDirect ? bpfProgram(id)?.instructions : undefined
  const exits = instructions === undefined ? undefined : exitValues(instructions)
  return exits !== undefined && [...exits].every((value) => value === goOn) ? 'goes on' : 'ends'
}
