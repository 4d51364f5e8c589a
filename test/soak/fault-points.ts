/**
 * Points at which the fault table can strike. In: a Lab, a plugin with what it works on. Out: the points that each verb passes, and
 * what the host looks like before.
 */
import type { Lab } from '../../hack/lab/lab.ts'
import type { Point, Verb } from './fault-cases.ts'
import { runLanes } from './run.ts'
import type { CallAnswer, LookAnswer, Place } from './script.ts'
import type { Subject } from './subject.ts'

const told = { traced: true, logged: true } as const

/** Each verb once without a fault; with `wayBack` also an ADD whose last operation is refused. */
export async function explore(lab: Lab, subject: Subject, places: readonly Place[], wayBack: boolean) {
  const { call, look, kill, revive } = subject
  const lanes = places.map((place, lane) => {
    const calls = [call(place, 'ADD', told), call(place, 'CHECK', told), call(place, 'DEL', told)]
    const collected = [call(place, 'ADD'), kill(place), call(place, 'GC', told), revive(place)]
    const steps = lane === 0 ? [look(place), ...calls, ...collected] : [look(place)]
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
    for (const [index, verb] of (['ADD', 'CHECK', 'DEL', 'GC'] as const).entries()) {
      const one = traced[index]
      if (one !== undefined) points.push(...pointsOf(verb, one))
    }
  }
  if (wayBack) points.push(...(await pointsOnWayBack(lab, subject, places[0], points)))
  return { points, before }
}

/** The points that an ADD passes after the refusal of its last operation. */
async function pointsOnWayBack(
  lab: Lab,
  subject: Subject,
  place: Place | undefined,
  points: readonly Point[],
): Promise<Point[]> {
  const last = points.findLast(({ verb, op }) => verb === 'ADD' && op !== undefined)
  if (place === undefined || last === undefined) throw new Error('an ADD without operations has no way back')
  const first = `${last.point}:before:EBUSY`
  const steps = [subject.call(place, 'ADD', { ...told, fault: first })]
  const answers = await runLanes(lab, [{ place, jobs: [{ id: first, steps }] }], subject)
  const failed = answers.get(first)?.answers[0]
  if (failed?.do !== 'call' || failed.code === 0) throw new Error(`no ADD failed: ${JSON.stringify(failed)}`)
  const all = pointsOf('failed ADD', failed, last.point)
  return all
    .slice(all.findIndex(({ point }) => point === last.point) + 1)
    .map((point) => ({ ...point, first }))
}

/**
 * Points with what happens there: operations from the log's lines, the others from the steps of the verb. `refused` is the
 * point of an operation that was not carried out, of which the log says nothing.
 */
function pointsOf(verb: Verb, { trace = [], log = [] }: CallAnswer, refused?: string): Point[] {
  const steps = log.flatMap((line) => (line.steps as { step: string }[] | undefined) ?? [])
  const run = log.filter((line) => typeof line.command === 'string')
  const others: Readonly<Record<string, string[]>> = {
    file: steps.flatMap(({ step }) => (/^(record|note)\./.test(step) ? [step] : [])),
    ipam: steps.flatMap(({ step }) => (step.startsWith('ipam.') ? [step] : [])),
  }
  const points = trace.filter((line) => line.endsWith(':before')).map((line) => line.replace(':before', ''))
  return points.map((point) => {
    const [kind = '', number = ''] = point.split(':')
    const line = kind in others || point === refused ? undefined : run.shift()
    const what = String(line?.command ?? others[kind]?.[Number(number) - 1] ?? '')
    const op = line === undefined ? undefined : String(line.op)
    return { verb, point, op, what }
  })
}
