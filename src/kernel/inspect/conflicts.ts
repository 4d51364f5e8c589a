/**
 * Who else looks at the frames that an interface receives, before our filters do: XDP and tcx programs, filters of other
 * programs at an earlier priority. In: the filters that we are about to make. Out: those that may take frames from them.
 */
import { fromHex } from '../../lib/hex.ts'
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
import { steerKey, steerPlace } from '../tc/flow-filter-spec.ts'
import { filterLine, type NameOf } from '../tc/format-filter.ts'
import { exitValues } from './bpf-return-values.ts'

const XDP_PASS = 2
/** TCX_NEXT, and of a filter TC_ACT_UNSPEC: the next one is asked. */
const goOn = -1

/** Rivals of filters `specs`, all of which are to be on `link`; `ownPrefix` is how cookies of ours begin (hex). */
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

/** None for a program that always lets frames go on. */
function programConflict(hook: 'XDP' | 'tcx', id: number, harmless: number): Conflict[] {
  const program = bpfProgram(id)
  const exits = program?.instructions === undefined ? undefined : exitValues(program.instructions)
  if (exits !== undefined && [...exits].every((value) => value === harmless)) return []
  const name = `${hook} program ${id}${program === undefined ? '' : ` "${program.name}"`}`
  // Both come after the NIC's own rules. Most XDP programs let most frames pass; one on tcx that can end with a verdict
  // decides about every frame, in the way of a network that keeps the interface to itself.
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
  const ownCookie = Buffer.from([20, 0, 6, 0, ...fromHex(ownPrefix)])
  const conflicts: Conflict[] = []
  for (const { payload } of socket.dump(dumpFilters(ifindex, { chain: 0 }))) {
    // Nodes have hundreds of filters of ours: the priority and a look at the bytes tell them without decoding.
    const prio = new DataView(payload.buffer, payload.byteOffset).getUint16(18, true)
    if (prio > last || Buffer.from(payload.buffer, payload.byteOffset, payload.length).includes(ownCookie))
      continue
    const filter = decodeFilter({ type: 0, flags: 0, seq: 0, pid: 0, payload })
    // The guard takes only what comes from or goes to 127.0.0.0/8, which no rule of ours is about.
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
      certain: verdict !== 'nobody knows',
    })
  }
  return conflicts
}

/** Whether a frame can meet both filters; of classifiers other than flower and matchall nobody can tell. */
function mayShareFrames(filter: Tc, ifindex: number, spec: FlowFilter): boolean {
  const { protocol } = placeOf(filter)
  // 3 is ETH_P_ALL.
  if (protocol !== 3 && protocol !== steerPlace(ifindex, spec).protocol) return false
  const theirs = flowerOf(filter)
  if (theirs === undefined) return true
  const ours = steerKey(spec)
  return Object.keys(ours).every(
    (name) => name.endsWith('_MASK') || name === 'TCA_FLOWER_KEY_ETH_TYPE' || overlaps(ours, theirs, name),
  )
}

/** True unless some bit that both match on is another one. */
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

/** What becomes of frames at a filter; `nobody knows` which ones it matches. */
type Verdict = 'goes on' | 'ends' | 'nobody knows'

/** After a filter another one is asked only if the result is TC_ACT_UNSPEC (tcf_classify). */
function verdictOf(filter: Tc): Verdict {
  if (filter.TCA_KIND === 'bpf') return programVerdict(filter)
  if (flowerOf(filter) === undefined && matchallOf(filter) === undefined) return 'nobody knows'
  const verdicts = verdictsOf(filter)
  return verdicts.length > 0 && verdicts.every((value) => value === TC_ACT.TC_ACT_UNSPEC) ? 'goes on' : 'ends'
}

/** A program looks at every frame: one that can end with a verdict, or whose verdicts can't be told, is in the way. */
function programVerdict(filter: Tc): Verdict {
  const options = filter.TCA_OPTIONS
  if (options === undefined || options instanceof Uint8Array || !('TCA_BPF_ID' in options))
    return 'nobody knows'
  const { TCA_BPF_FLAGS: flags = 0, TCA_BPF_ID: id = 0 } = options
  const isDirect = (flags & TCA_BPF_FLAG.TCA_BPF_FLAG_ACT_DIRECT) !== 0
  const instructions = isDirect ? bpfProgram(id)?.instructions : undefined
  const exits = instructions === undefined ? undefined : exitValues(instructions)
  return exits !== undefined && [...exits].every((value) => value === goOn) ? 'goes on' : 'ends'
}
