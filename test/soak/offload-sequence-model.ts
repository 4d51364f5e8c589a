/**
 * Owners of host ports in a random sequence of vf-offload: the answers that a call may give, and the entries that the
 * node's map must hold.
 */
import { textDifferences } from './offload-subject.ts'
import type { Answer, Call, CallAnswer, JobAnswer, LookAnswer } from './script.ts'

/** A container of a sequence, with the host ports that it wants at the node's IPv4 address, and its limits if any. */
export interface Container {
  readonly id: string
  readonly pod: 'one' | 'two'
  readonly ports: readonly { readonly hostPort: number; readonly protocol: 'tcp' | 'udp' }[]
  readonly bandwidth?: Readonly<Record<string, number>>
}

/** One call of a sequence, or the death of a container. */
export interface Act {
  readonly verb: Call['verb'] | 'die'
  /** Of a GC those that are valid, of other verbs the one that is spoken to. */
  readonly containers: readonly Container[]
  /** Value of VF_FLOWER_FAULT. */
  readonly fault: string | undefined
  readonly killAfterMs: number | undefined
}

export interface Sequence {
  readonly seed: number
  readonly containers: readonly Container[]
  readonly acts: readonly Act[]
}

/**
 * Known state of a container: nothing of it, all of it, all of it without a namespace, or whatever a call that was cut short
 * has left.
 */
type Known = 'absent' | 'attached' | 'dead' | 'unknown'

/** Violations of the model; `verbs` is counted up. */
export function judge(
  { containers, acts }: Sequence,
  before: Answer | undefined,
  answer: JobAnswer | undefined,
  verbs: Record<'succeeded' | 'failed' | 'killed', number>,
): string[] {
  if (answer === undefined || answer.error !== undefined) return [answer?.error ?? 'no answer']
  const steps = answer.answers
  const last = steps.at(-1)
  if (before?.do !== 'look' || last?.do !== 'look') return ['cut short']
  const known = new Map<Container, Known>(containers.map((container) => [container, 'absent']))
  const lines: string[] = []
  for (const [index, act] of acts.entries()) {
    const [call, now] = steps.slice(2 * index)
    if (call === undefined || call.do === 'look' || now?.do !== 'look') return [...lines, 'cut short']
    if (call.do === 'sh') {
      for (const one of act.containers) if (known.get(one) === 'attached') known.set(one, 'dead')
      continue
    }
    verbs[call.signal !== null ? 'killed' : call.code === 0 ? 'succeeded' : 'failed']++
    const told = [...judgeAct(act, call, known), ...invariants(known, now)]
    lines.push(...told.map((line) => `act ${index + 1}, ${words(act)}: ${line}${heard(call)}`))
  }
  for (const call of steps.slice(2 * acts.length)) {
    if (call.do === 'call' && call.code !== 0) lines.push(`the last DEL failed${heard(call)}`)
  }
  return [...lines, ...textDifferences(before, last).map((line) => `in the end: ${line}`)]
}

/** Judges the answer of a call; `known` is brought up to date. */
function* judgeAct(
  { verb, containers, fault, killAfterMs }: Act,
  call: CallAnswer,
  known: Map<Container, Known>,
) {
  const isHurt = fault !== undefined || killAfterMs !== undefined
  if (!isHurt && call.signal !== null) yield `ended by ${call.signal}`
  if (call.code !== 0 && call.signal === null && typeof call.object?.code !== 'number')
    yield 'no error object'
  if (call.object?.code === 199) yield 'a defect'
  const [container] = containers
  if (verb === 'GC') {
    // Whoever's namespace lives is kept by GC, which says so when it is not listed.
    for (const [one, state] of known)
      if (state === 'dead' && !containers.includes(one)) known.set(one, isHurt ? 'unknown' : 'absent')
    return
  }
  if (container === undefined) return
  const was = known.get(container) ?? 'absent'
  if (verb === 'CHECK') {
    if (!isHurt && was === 'attached' && call.code !== 0) yield 'failed though nothing has changed'
    if (was === 'absent' && call.code === 0) yield 'succeeded for one that has nothing'
    if (was === 'dead' && call.code === 0) yield 'succeeded for one whose namespace is gone'
    return
  }
  if (verb === 'DEL') {
    if (!isHurt && call.code !== 0) yield 'failed'
    known.set(container, call.code === 0 ? 'absent' : 'unknown')
    return
  }
  const others = [...known].filter(([other]) => other !== container && sharesPort(other, container))
  const isTaken = others.some(([, state]) => state === 'attached')
  const mayBeTaken = others.some(([, state]) => state === 'unknown')
  const isFree = was === 'absent' || was === 'dead'
  if (call.code === 0 && was === 'attached') yield 'succeeded a second time'
  if (call.code === 0 && isTaken) yield 'succeeded though another container has the port'
  if (!isHurt && was === 'attached' && call.object?.code !== 11) yield 'not refused with code 11'
  if (!isHurt && isFree && isTaken && call.object?.code !== 100) yield 'not refused with code 100'
  if (!isHurt && isFree && !isTaken && !mayBeTaken && call.code !== 0) yield 'failed'
  // A refusal of a second ADD takes nothing away; any other that was not cut short takes all back.
  if (call.code === 0) known.set(container, 'attached')
  else if (isFree) known.set(container, isHurt ? 'unknown' : 'absent')
  // The dead give way; to one that failed perhaps before it came to them.
  for (const [other, state] of others)
    if (state === 'dead')
      known.set(other, call.code === 0 ? 'absent' : was === 'attached' ? 'dead' : 'unknown')
}

/** Whoever is attached has all its ports in the node's map, whoever is absent none. */
function* invariants(known: ReadonlyMap<Container, Known>, now: LookAnswer): Iterable<string> {
  for (const [container, state] of known) {
    // One port stands in the map, and in the set of those whose clients get another source address.
    const held = [
      ...new Set(
        [...now.text.matchAll(/ \. (tcp|udp) \. (\d+) [^{},]*comment "[0-9a-f]{32} ([^/"]+)\//g)]
          .filter(([, , , id]) => id === container.id)
          .map(([, protocol, hostPort]) => `${protocol} ${hostPort}`),
      ),
    ].sort()
    const wanted = container.ports.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`).sort()
    const isWhole = held.join() === wanted.join()
    if ((state === 'attached' || state === 'dead') && !isWhole)
      yield `${container.id} has ${held.join()} of ${wanted.join()}`
    if (state === 'absent' && held.length > 0) yield `${container.id} has ${held.join()} and no right to it`
  }
}

function sharesPort(one: Container, other: Container): boolean {
  return one.ports.some(({ hostPort, protocol }) =>
    other.ports.some((port) => port.hostPort === hostPort && port.protocol === protocol),
  )
}

/** An act as a message tells it. */
export function words({ verb, containers, fault, killAfterMs }: Act): string {
  const ids = containers.map(({ id, ports, bandwidth = {} }) =>
    `${id} ${ports.map(({ hostPort, protocol }) => `${protocol}${hostPort}`)} ${Object.keys(bandwidth)}`.trim(),
  )
  const hurt = fault ?? (killAfterMs === undefined ? '' : `killed after ${killAfterMs} ms`)
  return `${verb} ${verb === 'GC' ? `valid ${ids.join(', ')}` : ids.join()} ${hurt}`.trim()
}

function heard({ signal, code, object, stderr }: CallAnswer): string {
  return `; it ended with ${signal ?? code}, ${JSON.stringify(object)} ${stderr}`.slice(0, 500)
}
