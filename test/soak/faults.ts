/**
 * The fault table: every operation, file write and call of the address manager, before and after it, killed or failed with
 * an errno, in each verb; afterwards DEL, or GC alone, must lead back. In: a Lab, a plugin with what it works on, a
 * seed. Out: what was hit, and a line for whatever was not as it must be.
 */
import type { Lab } from '../../hack/lab/lab.ts'
import { type RunOptions, runLanes } from './run.ts'
import type { CallAnswer, Call as CallStep, Job, JobAnswer, LookAnswer, Place, Step } from './script.ts'

const verbs = ['ADD', 'CHECK', 'DEL', 'GC'] as const
export type Verb = (typeof verbs)[number]
const faults = ['SIGKILL', 'EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC'] as const

/** How often each point of a verb was hit, by fault. */
export interface FaultRow {
  readonly verb: Verb
  /** e.g. `op:3` */
  readonly point: string
  /** What happens there, e.g. `link.move`. */
  readonly what: string
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

/** A plugin, as far as the table must know it. */
export interface Subject extends RunOptions {
  /** Scripts that prepare a place, and take that back. */
  dressUp(place: Place): string
  undress(place: Place): string
  call(place: Place, verb: Verb, more?: Partial<CallStep>): CallStep
  readonly look: Step & { readonly do: 'look' }
  /** The namespace dies, and another one takes its name. */
  kill(place: Place): Step
  revive(place: Place): Step
  /** Lines that say what is not as before; after GC nothing is said about the namespace, which died. */
  differences(place: Place, before: LookAnswer, now: LookAnswer, by: 'DEL' | 'GC'): string[]
}

export interface FaultOptions {
  readonly subject: Subject
  /** One VF each. */
  readonly places: readonly Place[]
  readonly seed: number
  /** All faults at every point; else one, in turn, the first by the seed. */
  readonly full: boolean
  /** One fault at every point, before or after it in turn: half of what is done otherwise. */
  readonly once?: boolean
  /** Only cases whose names hold this, to look at a failure again. */
  readonly only?: string | undefined
  /** Hears of each case that has ended, with what was wrong. */
  readonly onCase?: (name: string, failures: readonly string[]) => void
}

interface Case {
  readonly name: string
  readonly verb: Verb
  readonly point: string
  readonly when: 'before' | 'after'
  readonly fault: string
  readonly by: 'DEL' | 'GC'
}

/** Runs the table. */
export async function runFaultTable(lab: Lab, options: FaultOptions): Promise<FaultReport> {
  const { subject, places, only } = options
  if (places.length === 0) throw new Error('no VF to work on')
  await lab.must(places.map((place) => subject.dressUp(place)).join('\n'))
  try {
    const { points, before } = await explore(lab, subject, places)
    const cases = plan(points, options).filter(({ name }) => only === undefined || name.includes(only))
    const outcomes = new Map<Case, readonly string[]>()
    const play = (some: readonly Case[]) => playCases(lab, options, some, before, outcomes)
    await play(cases)
    // How many steps a verb takes can depend on what the kernel was busy with: who was not hit gets a second try.
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
  { subject, places, onCase = () => undefined }: FaultOptions,
  cases: readonly Case[],
  before: ReadonlyMap<Place, LookAnswer>,
  outcomes: Map<Case, readonly string[]>,
): Promise<void> {
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
    jobs: own.map((one) => jobOf(subject, place, one)),
  }))
  await runLanes(lab, jobs, { ...subject, onAnswer })
}

/** The table as lines: step, then the faults that were hit before and after it. */
export function faultTable(rows: readonly FaultRow[]): string[] {
  const shown = (hits: Readonly<Record<string, number>>) => Object.keys(hits).join(' ')
  const cells = rows.map(({ verb, point, what, hits }) => [
    `${verb} ${point}`,
    what,
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

interface Point {
  readonly verb: Verb
  readonly point: string
  readonly what: string
}

/** Each verb once without a fault: the points that it passes, and what the host looks like before. */
async function explore(lab: Lab, subject: Subject, places: readonly Place[]) {
  const { call, look, kill, revive } = subject
  const told = { traced: true, logged: true } as const
  const lanes = places.map((place, lane) => {
    const calls = [call(place, 'ADD', told), call(place, 'CHECK', told), call(place, 'DEL', told)]
    const collected = [call(place, 'ADD'), kill(place), call(place, 'GC', told), revive(place)]
    const steps = lane === 0 ? [look, ...calls, ...collected] : [look]
    return { place, jobs: [{ id: place.network, steps }] }
  })
  const answers = await runLanes(lab, lanes, subject)
  const before = new Map<Place, LookAnswer>()
  const points: Point[] = []
  for (const place of places) {
    const answer = answers.get(place.network)
    const [seen, ...others] = answer?.answers ?? []
    if (answer?.error !== undefined || seen?.do !== 'look') throw new Error(`${answer?.error}`)
    before.set(place, seen)
    const calls = others.filter((one) => one.do === 'call')
    for (const one of calls) {
      if (one.code !== 0) throw new Error(`a call without a fault failed: ${JSON.stringify(one.object)}`)
    }
    const traced = calls.filter(({ trace }) => trace !== undefined)
    traced.forEach((one, index) => {
      points.push(...pointsOf(verbs[index] ?? 'GC', one))
    })
  }
  return { points, before }
}

/** Points with what happens there: operations from the log's lines, the others from the steps of the verb. */
function pointsOf(verb: Verb, { trace = [], log = [] }: CallAnswer): Point[] {
  const steps = log.flatMap((line) => (line.steps as { step: string }[] | undefined) ?? [])
  const names: Record<string, string[]> = {
    op: log.flatMap((line) => (typeof line.command === 'string' ? [line.command] : [])),
    file: steps.flatMap(({ step }) => (/^(record|note)\./.test(step) ? [step] : [])),
    ipam: steps.flatMap(({ step }) => (step.startsWith('ipam.') ? [step] : [])),
  }
  const points = trace.filter((line) => line.endsWith(':before')).map((line) => line.replace(':before', ''))
  return points.map((point) => {
    const [kind = '', number = ''] = point.split(':')
    const what = names[kind]?.[Number(number) - 1] ?? ''
    return { verb, point, what: what.length > 70 ? `${what.slice(0, 67)}...` : what }
  })
}

function plan(points: readonly Point[], { seed, full, once = false }: FaultOptions): Case[] {
  const cases: Case[] = []
  for (const [index, { verb, point }] of points.entries()) {
    for (const [half, when] of (['before', 'after'] as const).entries()) {
      if (once && half !== (seed + index) % 2) continue
      const turn = faults[(seed + 2 * index + half) % faults.length] ?? 'SIGKILL'
      for (const fault of full ? faults : [turn]) {
        const by = verb === 'GC' || (seed + cases.length) % 3 === 0 ? 'GC' : 'DEL'
        const name = `${verb} ${point}:${when}:${fault} then ${by}`
        cases.push({ name, verb, point, when, fault, by })
      }
    }
  }
  return cases
}

function jobOf(
  { call, look, kill, revive }: Subject,
  place: Place,
  { name, verb, point, when, fault, by }: Case,
): Job {
  const faulty = call(place, verb, { fault: `${point}:${when}:${fault}`, traced: true })
  const steps: Step[] = [
    ...(verb === 'ADD' ? [] : [call(place, 'ADD')]),
    ...(verb === 'GC' ? [kill(place)] : []),
    faulty,
    ...(isToldApart({ verb, fault }) ? [look] : []),
    ...(by === 'GC' && verb !== 'GC' ? [kill(place)] : []),
    call(place, by),
    look,
    ...(by === 'GC' ? [revive(place)] : []),
    call(place, 'DEL', { ifRecord: true }),
  ]
  return { id: name, steps }
}

/** An ADD that fails and has its say before it ends: whatever it leaves is its own doing. */
function isToldApart({ verb, fault }: Pick<Case, 'verb' | 'fault'>): boolean {
  return verb === 'ADD' && fault !== 'SIGKILL'
}

const notHit = 'the fault was not hit'

function judge(
  { differences }: Subject,
  one: Case,
  answer: JobAnswer,
  place: Place,
  before: LookAnswer | undefined,
): string[] {
  if (answer.error !== undefined) return [answer.error]
  if (before === undefined) return ['no look at the state before']
  const calls = answer.answers.filter((step) => step.do === 'call').slice(0, -1)
  const looks = answer.answers.filter((step) => step.do === 'look')
  const [faulty, last] = one.verb === 'ADD' ? calls : calls.slice(1)
  const end = looks.at(-1)
  const middle = isToldApart(one) ? looks[0] : undefined
  if (faulty === undefined || last === undefined || looks.length !== (isToldApart(one) ? 2 : 1))
    return ['cut short']
  if (end === undefined) return ['no look at the end']
  const lines: string[] = []
  const isHit = faulty.trace?.includes(`${one.point}:${one.when}`) === true
  if (!isHit) lines.push(notHit)
  if (one.verb !== 'ADD' && calls[0]?.code !== 0) lines.push(`ADD failed: ${words(calls[0])}`)
  if (isHit && one.fault === 'SIGKILL' && faulty.signal !== 'SIGKILL')
    lines.push(`not killed: ${words(faulty)}`)
  if (isHit && one.fault !== 'SIGKILL' && faulty.signal !== null) lines.push(`ended by ${faulty.signal}`)
  // Whoever fails and leaves no record must have left nothing at all.
  const hasFailed = faulty.code !== 0 && faulty.signal === null
  if (hasFailed && middle !== undefined && Object.keys(middle.records).length === 0) {
    lines.push(...differences(place, before, middle, 'DEL').map((line) => `after the failed ADD: ${line}`))
  }
  if (last.code !== 0 || last.object !== undefined) lines.push(`${one.by} failed: ${words(last)}`)
  lines.push(...differences(place, before, end, one.by).map((line) => `in the end: ${line}`))
  return lines
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
