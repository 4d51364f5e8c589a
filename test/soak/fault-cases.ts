/**
 * The faults of each point. In: the points that each verb passes, a seed. Out: the cases of the fault table, in its
 * short or long form. Pure.
 */

/** Calls that are interrupted; `failed ADD` is the way back of an ADD whose last operation was refused. */
export const verbs = ['ADD', 'failed ADD', 'CHECK', 'DEL', 'GC'] as const
export type Verb = (typeof verbs)[number]

/** All faults; what the tests of the table ask for. */
export const faults = ['SIGKILL', 'EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC'] as const
type Fault = (typeof faults)[number]
const errnos = faults.filter((fault) => fault !== 'SIGKILL')

/** A step of a verb that can fail. */
export interface Point {
  readonly verb: Verb
  /** e.g. `op:3` */
  readonly point: string
  /** Kind of the operation, e.g. `link.move`; undefined for a file or a call of the IPAM plugin. */
  readonly op: string | undefined
  /** The step there, e.g. `ip link set dev eth1 up`. */
  readonly what: string
  /** The fault that leads there, if it takes one. */
  readonly first?: string
}

/** The part of the table that is run; see {@link planCases}. */
export type Extent = 'full' | 'short' | 'sparse' | 'once' | 'killed' | 'killed twice'

export interface Case {
  readonly name: string
  readonly verb: Verb
  readonly point: string
  readonly when: 'before' | 'after'
  readonly fault: string
  /** As the plugin is told of it; with the fault that leads there. */
  readonly told: string
  readonly by: 'DEL' | 'GC'
}

/**
 * The cases: `full` is all faults before and after every point, `short` one each, in turn, so that each verb sees each
 * fault, `sparse` one each, and no more, and `once` one before or after each, in turn. With `killed` that one is SIGKILL. `killed twice`
 * is SIGKILL before and after every point. On the short way back of a failed ADD each step is killed once, and refused once.
 */
export function planCases(points: readonly Point[], seed: number, extent: Extent): Case[] {
  const cases: Case[] = []
  for (const verb of verbs) {
    const own = points.filter((point) => point.verb === verb)
    for (const [index, point] of own.entries()) {
      for (const [half, when] of (['before', 'after'] as const).entries()) {
        const struck = ((): readonly Fault[] => {
          if (extent === 'full') return faults
          if ((extent === 'once' || extent === 'killed') && half !== (seed + index) % 2) return []
          if (extent === 'killed' || extent === 'killed twice') return ['SIGKILL']
          if (verb === 'failed ADD') return [onWayBack(seed + index, half)]
          return inTurn(seed, 2 * index + half, extent === 'short' ? 2 * own.length : faults.length)
        })()
        for (const fault of struck) cases.push(caseOf(point, when, fault, seed + cases.length))
      }
    }
  }
  return cases
}

/** One fault; more where a verb has so few slots that it would miss some. */
function inTurn(seed: number, slot: number, slots: number): Fault[] {
  const each = Math.ceil(faults.length / slots)
  return Array.from({ length: each }, (_, more) => pick(faults, seed + slot * each + more))
}

function onWayBack(turn: number, half: number): Fault {
  return half === turn % 2 ? 'SIGKILL' : pick(errnos, turn >> 1)
}

function caseOf({ verb, point, first }: Point, when: Case['when'], fault: Fault, turn: number): Case {
  const by = verb === 'GC' || turn % 3 === 0 ? 'GC' : 'DEL'
  const one = `${point}:${when}:${fault}`
  const told = first === undefined ? one : `${first},${one}`
  return { name: `${verb} ${one} then ${by}`, verb, point, when, fault, told, by }
}

function pick<T>(list: readonly T[], turn: number): T {
  return list[turn % list.length] as T
}
