/**
 * The fault table: every operation, file write and call of the address manager, before and after it, killed or failed with
 * an errno, in each verb; afterwards DEL, or GC alone, must lead back. In: a Lab, a plugin with what it works on, a
 * seed. Out: what was hit, and a line for whatever was not as it must be.
 */
import type { Lab } from '../../hack/lab/lab.ts'
import { type Case, type Extent, type Point, planCases, type Verb } from './fault-cases.ts'
import { explore } from './fault-points.ts'
import { runLanes } from './run.ts'
import type { CallAnswer, Call as CallStep, Job, JobAnswer, LookAnswer, Place, Step } from './script.ts'
import type { Subject } from './subject.ts'

/** The number of hits of each point of a verb, by fault. */
export interface FaultRow extends Point {
  readonly hits: Readonly<Record<'before' | 'after', Readonly<Record<string, number>>>>
}

export interface FaultReport {
  readonly rows: readonly FaultRow[]
  readonly cases: number
  /** Names of cases whose fault was not hit at the first try. */
  readonly retried: readonly string[]
  readonly failedCases: number
  readonly failures: readonly string[]
}

export interface FaultOptions {
  readonly subject: Subject
  /** One VF each. */
  readonly places: readonly Place[]
  readonly seed: number
  readonly extent: Extent
  /** Also the way back of an ADD whose last operation was refused. */
  readonly wayBack?: boolean
  /** Only these points: what no other table hits. */
  readonly chosen?: (point: Point) => boolean
  /** Only cases whose names hold this, to look at a failure again. */
  readonly only?: string | undefined
  /** Hears of each case that has ended, with what was wrong. */
  readonly onCase?: (name: string, failures: readonly string[]) => void
}

/** Runs the table. */
export async function runFaultTable(lab: Lab, options: FaultOptions): Promise<FaultReport> {
  const { subject, places, seed, extent, only, wayBack = false, chosen } = options
  if (places.length === 0) throw new Error('no VF to work on')
  await lab.must(places.map((place) => subject.dressUp(place)).join('\n'))
  try {
    const { points: all, before } = await explore(lab, subject, places, wayBack)
    const points = chosen === undefined ? all : all.filter(chosen)
    const cases = planCases(points, seed, extent).filter(
      ({ name }) => only === undefined || name.includes(only),
    )
    const outcomes = new Map<Case, readonly string[]>()
    const play = (some: readonly Case[]) => playCases(lab, options, some, before, outcomes)
    await play(cases)
    // The number of a verb's steps can depend on what the kernel was busy with: a case that hit nothing gets a second try.
    const missed = cases.filter((one) => outcomes.get(one)?.join() === notHit)
    await play(missed)
    const failed = cases.filter((one) => outcomes.get(one)?.length !== 0)
    return {
      rows: rowsOf(points, cases, outcomes),
      cases: cases.length,
      retried: missed.map(({ name }) => name),
      failedCases: failed.length,
      failures: failed.flatMap((one) =>
        (outcomes.get(one) ?? ['no answer']).map((line) => `${one.name}: ${line}`),
      ),
    }
  } finally {
    await lab.must(places.map((place) => subject.undress(place)).join('\n'))
  }
}

/** Carries cases out, shared out among the places; what was wrong with each goes into `outcomes`, nothing as a rule. */
async function playCases(
  lab: Lab,
  { subject, places, extent, onCase = () => undefined }: FaultOptions,
  cases: readonly Case[],
  before: ReadonlyMap<Place, LookAnswer>,
  outcomes: Map<Case, readonly string[]>,
): Promise<void> {
  const quick = subject.quick === true && extent !== 'full'
  const lanes = places
    .map((place, lane) => ({ place, cases: cases.filter((_, index) => index % places.length === lane) }))
    .filter(({ cases: own }) => own.length > 0)
  const byName = new Map(
    lanes.flatMap(({ place, cases: own }) => own.map((one) => [one.name, { one, place }])),
  )
  const onAnswer = (answer: JobAnswer): void => {
    const { one, place } = byName.get(answer.id) ?? {}
    if (one === undefined || place === undefined) return
    const lines = judge(subject, one, answer, place, before.get(place))
    outcomes.set(one, lines)
    onCase(one.name, lines)
  }
  const jobs = lanes.map(({ place, cases: own }) => ({
    place,
    jobs: own.map((one) => jobOf(subject, place, one, quick)),
  }))
  await runLanes(lab, jobs, { ...subject, quick, onAnswer })
}

/** Points that were not hit both before and after, or with `once` not at all. */
export function missedRows(rows: readonly FaultRow[], once = false): FaultRow[] {
  return rows.filter(({ hits }) => {
    const missed = [hits.before, hits.after].filter((hit) => Object.keys(hit).length === 0)
    return missed.length > (once ? 1 : 0)
  })
}

/** The table as lines: step, then the faults that were hit before and after it. */
export function faultTable(rows: readonly FaultRow[]): string[] {
  const shown = (hits: Readonly<Record<string, number>>) => Object.keys(hits).join(' ')
  const cells = rows.map(({ verb, point, what, hits }) => [
    `${verb} ${point}`,
    what.length > 70 ? `${what.slice(0, 67)}...` : what,
    shown(hits.before),
    shown(hits.after),
  ])
  const all = [['step', 'what', 'before', 'after'], ...cells]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/**
 * ADD where there must be one, the fault, the way back, and a look; one in between, too, where that tells anything. If
 * `quick`, the way back is left out where neither record nor address says that there is anything to take back.
 */
function jobOf({ call, look, kill, revive }: Subject, place: Place, one: Case, quick: boolean): Job {
  const { name, verb, told, by } = one
  const isAdd = called(verb) === 'ADD'
  const isLooked = mayHaveEnded(one)
  const dies = by === 'GC' && verb !== 'GC'
  const back: Step[] = [
    ...(dies ? [kill(place)] : []),
    call(place, by),
    look(place),
    ...(dies ? [revive(place)] : []),
  ]
  const steps: Step[] = [
    ...(isAdd ? [] : [call(place, 'ADD')]),
    ...(verb === 'GC' ? [kill(place)] : []),
    call(place, called(verb), { fault: told, traced: true }),
    ...(isLooked ? [look(place)] : []),
    ...(quick ? [{ do: 'ifLeft', steps: back, otherwise: isLooked ? [] : [look(place)] } as const] : back),
    ...(verb === 'GC' ? [revive(place)] : []),
    call(place, 'DEL', { ifRecord: true }),
  ]
  return { id: name, steps }
}

/** The verb of the CNI specification. */
function called(verb: Verb): CallStep['verb'] {
  return verb === 'failed ADD' ? 'ADD' : verb
}

/** An ADD that fails may leave nothing behind, not even a record. One that is killed, or another verb, has no such claim. */
function mayHaveEnded({ verb, fault }: Case): boolean {
  return called(verb) === 'ADD' && fault !== 'SIGKILL'
}

const notHit = 'the fault was not hit'

function judge(
  subject: Subject,
  one: Case,
  answer: JobAnswer,
  place: Place,
  before: LookAnswer | undefined,
): string[] {
  const { differences } = subject
  if (answer.error !== undefined) return [answer.error]
  if (before === undefined) return ['no look at the state before']
  const calls = answer.answers.filter((step) => step.do === 'call').slice(0, -1)
  const looks = answer.answers.filter((step) => step.do === 'look')
  const [faulty, last] = called(one.verb) === 'ADD' ? calls : calls.slice(1)
  const end = looks.at(-1)
  const middle = mayHaveEnded(one) ? looks[0] : undefined
  if (faulty === undefined || end === undefined) return ['cut short']
  const lines: string[] = []
  // No worker was free, so the program was struck that runs alone: another agent was just taking over.
  const isAlone = subject.warm === true && faulty.signal === 'SIGKILL'
  const isHit = faulty.trace?.includes(`${one.point}:${one.when}`) === true && !isAlone
  if (!isHit) lines.push(notHit)
  if (called(one.verb) !== 'ADD' && calls[0]?.code !== 0) lines.push(`ADD failed: ${words(calls[0])}`)
  if (isHit && one.fault === 'SIGKILL') lines.push(...ofKilled(subject, one, faulty))
  if (isHit && one.fault !== 'SIGKILL' && faulty.signal !== null) lines.push(`ended by ${faulty.signal}`)
  lines.push(...ofFailedAdd(subject, one, faulty, place, before, middle))
  if (last !== undefined && (last.code !== 0 || last.object !== undefined))
    lines.push(`${one.by} failed: ${words(last)}`)
  lines.push(...differences(place, before, end, one.by).map((line) => `in the end: ${line}`))
  return lines
}

/** A program that is killed has no answer. Where a worker is killed, the call is done all the same, and answered once. */
function ofKilled({ warm = false }: Subject, { verb }: Case, faulty: CallAnswer): string[] {
  if (!warm) return faulty.signal === 'SIGKILL' ? [] : [`not killed: ${words(faulty)}`]
  // Its last operation is refused in the worker's place, too.
  if (verb === 'failed ADD') return faulty.signal === null ? [] : [`no answer: ${words(faulty)}`]
  const isRight = faulty.code === 0 && (faulty.object !== undefined) === (called(verb) === 'ADD')
  return isRight ? [] : [`not done in the place of the worker: ${words(faulty)}`]
}

/** Whoever fails and leaves no record must have left nothing at all, and an error on the way back hides no other. */
function ofFailedAdd(
  { differences }: Subject,
  one: Case,
  faulty: CallAnswer,
  place: Place,
  before: LookAnswer,
  middle: LookAnswer | undefined,
): string[] {
  if (middle === undefined || faulty.code === 0 || faulty.signal !== null) return []
  const lines: string[] = []
  const told = JSON.stringify(faulty.object)
  const [kind, number, when] = one.told.split(':')
  if (one.verb === 'failed ADD' && !told.includes(`injected fault at ${kind} ${number} ${when}`))
    lines.push(`its own error is hidden: ${told}`)
  if (Object.keys(middle.records).length > 0) return lines
  // Addresses have no record: they may stay when the error says so.
  const isTold = (line: string) => line.startsWith('address left') && told.includes('not freed')
  const left = differences(place, before, middle, 'DEL').filter((line) => !isTold(line))
  return [...lines, ...left.map((line) => `after the failed ADD: ${line}`)]
}

function words(answer: CallAnswer | undefined): string {
  return answer === undefined
    ? 'no answer'
    : `code ${answer.code}, signal ${answer.signal}: ${JSON.stringify(answer.object)} ${answer.stderr}`
}

function rowsOf(
  points: readonly Point[],
  cases: readonly Case[],
  outcomes: ReadonlyMap<Case, readonly string[]>,
): FaultRow[] {
  const hit = cases.filter((one) => outcomes.get(one)?.includes(notHit) === false)
  const counted = ({ verb, point }: Point, when: Case['when']) => {
    const faultsHit = hit.filter((one) => one.verb === verb && one.point === point && one.when === when)
    const counts: Record<string, number> = {}
    for (const { fault } of faultsHit) counts[fault] = (counts[fault] ?? 0) + 1
    return counts
  }
  // A run in pieces shows what it was asked for.
  const isMeant = ({ verb, point }: Point) => cases.some((one) => one.verb === verb && one.point === point)
  return points.filter(isMeant).map((point) => ({
    ...point,
    hits: { before: counted(point, 'before'), after: counted(point, 'after') },
  }))
}
