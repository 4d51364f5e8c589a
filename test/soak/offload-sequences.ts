/**
 * Random sequences of ADD, DEL, CHECK and GC of vf-offload with crashes: containers behind two pods want the same few host
 * ports, and some of them limits. In: a bed, a seed. Out: a line for whatever was not as a model of who owns which port has it.
 */
import type { JsonObject } from '../../src/lib/json.ts'
import type { BedPod, PortBed } from '../support/port-bed.ts'
import { HOST } from '../support/topology.ts'
import { limits, offloadLook, offloadPlace, textDifferences } from './offload-subject.ts'
import { runLanes } from './run.ts'
import type { Answer, Call, CallAnswer, Job, JobAnswer, LookAnswer, Step } from './script.ts'
import { type Random, randomFrom } from './seed.ts'

export interface OffloadSequenceReport {
  readonly sequences: number
  readonly verbs: Readonly<Record<'succeeded' | 'failed' | 'killed', number>>
  readonly failedSeeds: number
  /** A line for each sequence that went wrong, with the seed that replays it. */
  readonly failures: readonly string[]
}

/** A container of a sequence, with the host ports that it wants at the node's IPv4 address, and its limits if any. */
export interface Container {
  readonly id: string
  readonly pod: 'one' | 'two'
  readonly ports: readonly { readonly hostPort: number; readonly protocol: 'tcp' | 'udp' }[]
  readonly bandwidth?: Readonly<Record<string, number>>
}

/** One call of a sequence. */
export interface Act {
  readonly verb: Call['verb']
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

const containerCount = 4
const errnos = ['EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC'] as const

/** Which limits a machine can set for any kind of port: what comes from a pod behind a veth takes a filter of every frame. */
export type Limited = 'both ways' | 'to the pod'

/** Runs `count` sequences with the seeds `seed`, `seed` + 1, ... */
export async function runOffloadSequences(
  bed: PortBed,
  seed: number,
  count: number,
  limited: Limited,
): Promise<OffloadSequenceReport> {
  const sequences = Array.from({ length: count }, (_, index) => planSequence(seed + index, limited))
  // Each sequence begins with what the one before it has left.
  const jobs = [
    { id: 'before', steps: [offloadLook(bed)] },
    ...sequences.map((sequence) => jobOf(bed, sequence)),
  ]
  const answers = await runLanes(bed.lab, [{ place: offloadPlace, jobs }], { plugin: 'vf-offload' })
  // Half a record of a process that was killed while it wrote it; the next call clears that away, but after ten minutes only.
  await bed.lab.must('rm -f /var/lib/cni/vf-flower/offload/.*.tmp /run/vf-flower/.*.tmp')
  const verbs = { succeeded: 0, failed: 0, killed: 0 }
  const failures: string[] = []
  let before = answers.get('before')?.answers.at(-1)
  for (const sequence of sequences) {
    const answer = answers.get(String(sequence.seed))
    const lines = judge(sequence, before, answer, verbs)
    before = answer?.answers.at(-1) ?? before
    const [first] = lines
    if (first === undefined) continue
    const more = lines.length === 1 ? '' : ` (and ${lines.length - 1} more)`
    failures.push(`seed ${sequence.seed}: ${first}${more}; all of it: ${sequence.acts.map(words).join('; ')}`)
  }
  return { sequences: count, verbs, failedSeeds: failures.length, failures }
}

/** The sequence of a seed. */
function planSequence(seed: number, limited: Limited): Sequence {
  const random = randomFrom(seed)
  // One interface has one limit: of those behind a pod only the first may have some.
  const mayBeLimited = new Set<Container['pod']>(['one', 'two'])
  const containers = Array.from({ length: containerCount }, (_, index): Container => {
    const all = ([8080, 8081, 8082] as const).flatMap((hostPort) =>
      (['tcp', 'udp'] as const).map((protocol) => ({ hostPort, protocol })),
    )
    const ports = all.filter(() => random.chance(35))
    const pod = random.pick(['one', 'two'] as const)
    const bandwidth = mayBeLimited.delete(pod) && random.chance(60) ? limitsOf(random, limited) : undefined
    return {
      id: `s${seed}-${index}`,
      pod,
      ports: ports.length > 0 ? ports : [random.pick(all)],
      ...(bandwidth === undefined ? {} : { bandwidth }),
    }
  })
  const acts = Array.from({ length: 4 + random.below(4) }, (): Act => {
    const verb = random.pick(['ADD', 'ADD', 'ADD', 'DEL', 'DEL', 'CHECK', 'GC'] as const)
    const named = verb === 'GC' ? containers.filter(() => random.chance(50)) : [random.pick(containers)]
    return { verb, containers: named, ...hurtOf(random) }
  })
  return { seed, containers, acts }
}

/** In one direction or both, by whatever can do it. */
function limitsOf(random: Random, limited: Limited): NonNullable<Container['bandwidth']> {
  const { ingressRate, ingressBurst, egressRate, egressBurst } = random.pick([limits.nic, limits.software])
  const [toPod, fromPod] = [
    { ingressRate, ingressBurst },
    { egressRate, egressBurst },
  ]
  const wish = random.pick([toPod, fromPod, { ...toPod, ...fromPod }] as Record<string, number>[])
  return limited === 'both ways' ? wish : toPod
}

function hurtOf(random: Random): Pick<Act, 'fault' | 'killAfterMs'> {
  if (!random.chance(40)) return { fault: undefined, killAfterMs: undefined }
  if (random.chance(25)) return { fault: undefined, killAfterMs: random.below(800) }
  const kind = random.pick(['op', 'op', 'op', 'file'] as const)
  const number = 1 + random.below(kind === 'op' ? 10 : 2)
  const what = random.chance(60) ? 'SIGKILL' : random.pick(errnos)
  return { fault: `${kind}:${number}:${random.pick(['before', 'after'])}:${what}`, killAfterMs: undefined }
}

function jobOf(bed: PortBed, { seed, containers, acts }: Sequence): Job {
  const look: Step = offloadLook(bed)
  // All of it is looked at in the end; between acts the node's tables tell who has what.
  const glance: Step = { do: 'look', pods: [], script: 'nft list ruleset' }
  const steps = acts.flatMap((act): Step[] => [callOf(bed, act), glance])
  const ends = containers.map(
    (container): Call => ({ ...callOf(bed, { verb: 'DEL', containers: [container] }), ifRecord: true }),
  )
  return { id: String(seed), steps: [...steps, ...ends, look] }
}

function callOf(
  bed: PortBed,
  { verb, containers, fault, killAfterMs }: Pick<Act, 'verb' | 'containers'> & Partial<Act>,
): Call {
  const [first] = containers
  const pod: BedPod = bed[first?.pod ?? 'one']
  const valid = containers.map(({ id }) => ({ containerID: id, ifname: 'net1' }))
  const config: JsonObject = {
    cniVersion: verb === 'GC' ? '1.1.0' : '1.0.0',
    name: offloadPlace.network,
    type: 'vf-offload',
    ...(verb === 'GC'
      ? { 'cni.dev/valid-attachments': valid }
      : {
          runtimeConfig: {
            portMappings: (first?.ports ?? []).map((port) => ({
              ...port,
              containerPort: 80,
              hostIP: HOST.v4,
            })),
            ...(first?.bandwidth === undefined ? {} : { bandwidth: first.bandwidth }),
          },
          prevResult: pod.result as unknown as JsonObject,
        }),
  }
  return {
    do: 'call',
    verb,
    container: verb === 'GC' ? 'gc' : (first?.id ?? ''),
    netns: verb === 'GC' ? '' : pod.netns,
    ifname: 'net1',
    config,
    ...(fault === undefined ? {} : { fault }),
    ...(killAfterMs === undefined ? {} : { killAfterMs }),
  }
}

/** What is known of a container: nothing of it, all of it, or whatever a call that was cut short has left. */
type Known = 'absent' | 'attached' | 'unknown'

/** What was not as it must be; `verbs` is counted up. */
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
    if (call?.do !== 'call' || now?.do !== 'look') return [...lines, 'cut short']
    verbs[call.signal !== null ? 'killed' : call.code === 0 ? 'succeeded' : 'failed']++
    const told = [...judgeAct(act, call, known), ...invariants(known, now)]
    lines.push(...told.map((line) => `act ${index + 1}, ${words(act)}: ${line}${heard(call)}`))
  }
  for (const call of steps.slice(2 * acts.length)) {
    if (call.do === 'call' && call.code !== 0) lines.push(`the last DEL failed${heard(call)}`)
  }
  return [...lines, ...textDifferences(before, last).map((line) => `in the end: ${line}`)]
}

/** What a call may have answered; `known` is brought up to date. */
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
  // Whoever's namespace lives is kept by GC, which says so when it is not listed.
  if (verb === 'GC' || container === undefined) return
  const was = known.get(container) ?? 'absent'
  if (verb === 'CHECK') {
    if (!isHurt && was === 'attached' && call.code !== 0) yield 'failed though nothing has changed'
    if (was === 'absent' && call.code === 0) yield 'succeeded for one that has nothing'
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
  if (call.code === 0 && was === 'attached') yield 'succeeded a second time'
  if (call.code === 0 && isTaken) yield 'succeeded though another container has the port'
  if (!isHurt && was === 'attached' && call.object?.code !== 11) yield 'not refused with code 11'
  if (!isHurt && was === 'absent' && isTaken && call.object?.code !== 100) yield 'not refused with code 100'
  if (!isHurt && was === 'absent' && !isTaken && !mayBeTaken && call.code !== 0) yield 'failed'
  if (call.code === 0) known.set(container, 'attached')
  // A refusal of a second ADD takes nothing away; any other that was not cut short takes all back.
  else if (was === 'absent' && isHurt) known.set(container, 'unknown')
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
    if (state === 'attached' && !isWhole) yield `${container.id} has ${held.join()} of ${wanted.join()}`
    if (state === 'absent' && held.length > 0) yield `${container.id} has ${held.join()} and no right to it`
  }
}

function sharesPort(one: Container, other: Container): boolean {
  return one.ports.some(({ hostPort, protocol }) =>
    other.ports.some((port) => port.hostPort === hostPort && port.protocol === protocol),
  )
}

function words({ verb, containers, fault, killAfterMs }: Act): string {
  const ids = containers.map(({ id, ports, bandwidth = {} }) =>
    `${id} ${ports.map(({ hostPort, protocol }) => `${protocol}${hostPort}`)} ${Object.keys(bandwidth)}`.trim(),
  )
  const hurt = fault ?? (killAfterMs === undefined ? '' : `killed after ${killAfterMs} ms`)
  return `${verb} ${verb === 'GC' ? `valid ${ids.join(', ')}` : ids.join()} ${hurt}`.trim()
}

function heard({ signal, code, object, stderr }: CallAnswer): string {
  return `; it ended with ${signal ?? code}, ${JSON.stringify(object)} ${stderr}`.slice(0, 500)
}
