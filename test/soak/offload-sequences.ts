/**
 * Random sequences of ADD, DEL, CHECK and GC of vf-offload with crashes and with containers that die without DEL: containers behind
 * two pods want the same few host ports, and some of them limits. In: a bed, a seed. Out: a line for whatever was not as a
 * model of who owns which port has it.
 */

import { type BedPod, type PortBed, portOf } from '../../hack/lab/bed/port-bed.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { type Act, type Container, judge, type Sequence, words } from './offload-sequence-model.ts'
import { limits, offloadLook, offloadPlace } from './offload-subject.ts'
import { runLanes } from './run.ts'
import type { Call, Job, Step } from './script.ts'
import { type Random, randomFrom } from './seed.ts'

export interface OffloadSequenceReport {
  readonly sequences: number
  readonly verbs: Readonly<Record<'succeeded' | 'failed' | 'killed', number>>
  readonly failedSeeds: number
  /** A line for each sequence that went wrong, with the seed that replays it. */
  readonly failures: readonly string[]
}

const containerCount = 4
const errnos = ['EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC'] as const

/** The limits that a machine can set for any kind of port: frames from a pod behind a veth take a filter of every frame. */
export type Limited = 'both ways' | 'to the pod'

/** Runs `count` sequences with the seeds `seed`, `seed` + 1, ... `onEnd` hears when one has ended. `warm`: an agent serves the calls. */
export async function runOffloadSequences(
  bed: PortBed,
  seed: number,
  count: number,
  limited: Limited,
  { onEnd = () => undefined, ...way }: { readonly onEnd?: () => void; readonly warm?: true } = {},
): Promise<OffloadSequenceReport> {
  // The things of a dead container in its pod go with the namespace: only where nothing is there can one be played dead.
  const mayDie = portOf[bed.kind] === 'veth'
  const sequences = Array.from({ length: count }, (_, index) => planSequence(seed + index, limited, mayDie))
  // Each sequence begins with what the one before it has left.
  const jobs = [
    { id: 'before', steps: [offloadLook(bed)] },
    ...sequences.map((sequence) => jobOf(bed, sequence)),
  ]
  const answers = await runLanes(bed.lab, [{ place: offloadPlace, jobs }], {
    ...{ plugin: 'vf-offload', onAnswer: onEnd },
    ...way,
  })
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
function planSequence(seed: number, limited: Limited, mayDie: boolean): Sequence {
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
    const mortal = containers.filter(({ bandwidth }) => bandwidth === undefined)
    if (mayDie && mortal.length > 0 && random.chance(20))
      return { verb: 'die', containers: [random.pick(mortal)], fault: undefined, killAfterMs: undefined }
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
  const steps = acts.flatMap((act): Step[] => [stepOf(bed, act), glance])
  const ends = containers.map(
    (container): Call => ({ ...callOf(bed, { verb: 'DEL', containers: [container] }), ifRecord: true }),
  )
  return { id: String(seed), steps: [...steps, ...ends, look] }
}

/** A container is dead when its record speaks of a namespace that nobody finds: this one's never was. */
function stepOf(bed: PortBed, { verb, containers, ...hurt }: Act): Step {
  if (verb !== 'die') return callOf(bed, { verb, containers, ...hurt })
  const record = `/var/lib/cni/vf-flower/offload/${offloadPlace.network} ${containers[0]?.id}@net1.json`
  return {
    do: 'sh',
    script: `[ ! -e '${record}' ] || sed -i 's/"netnsId": "[^"]*"/"netnsId": "0:1"/' '${record}'`,
  }
}

function callOf(
  bed: PortBed,
  {
    verb,
    containers,
    fault,
    killAfterMs,
  }: Pick<Call, 'verb'> & Pick<Act, 'containers'> & Partial<Omit<Act, 'verb'>>,
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
