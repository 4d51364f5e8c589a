/**
 * A random sequence of ADD, DEL, CHECK and GC with crashes, over containers that come and die. In: a seed and a place. Out:
 * what is done, as data. The same seed gives the same sequence.
 */
import type { JsonObject } from '../../src/lib/json.ts'
import { addressesFor } from './run.ts'
import { type Call, ipBatch, type Job, type Place, type Step } from './script.ts'
import { type Random, randomFrom } from './seed.ts'
import type { DeviceKind } from './sequence-devices.ts'

/** A container of a sequence. */
export interface Container {
  readonly id: string
  /** Name of its namespace; a later container may get the same. */
  readonly pod: string
  readonly config: JsonObject
}

/** One step of a sequence; each is followed by a look. */
export type Act =
  | {
      readonly do: 'ADD' | 'DEL' | 'CHECK'
      readonly container: Container
      readonly device: string
      readonly hurt: Hurt | undefined
      /** Of a DEL whose pod is gone: its path leads to the host's own namespace. */
      readonly atHost?: boolean
    }
  | { readonly do: 'GC'; readonly valid: readonly Container[]; readonly hurt: Hurt | undefined }
  /** The pod makes an interface of the device's kind, with the number that the device has on the host just now. */
  | { readonly do: 'alike'; readonly container: Container; readonly device: string }
  /** The namespace dies, with all that is in it; `next` takes its place. */
  | { readonly do: 'die'; readonly container: Container; readonly next: Container }

/** The fault in a call: a fault point or a kill at any time. */
export type Hurt = { readonly fault: string } | { readonly killAfterMs: number }

export interface Sequence {
  readonly seed: number
  readonly place: Place
  readonly kind: DeviceKind
  readonly acts: readonly Act[]
  /** All containers that there ever were. */
  readonly containers: readonly Container[]
  /** Its end: a DEL for each container that had an ADD, or all pods die and GC has to do. */
  readonly end: 'DEL' | 'GC'
}

const podCount = 3
const ifname = 'net1'
const errnos = ['EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC'] as const

/** The sequence of a seed. */
export function planSequence(seed: number, place: Place, kind: DeviceKind): Sequence {
  const random = randomFrom(seed)
  const containers: Container[] = []
  const newContainer = (pod?: string): Container => {
    const id = `s${seed}-${containers.length}`
    const container = { id, pod: pod ?? `${place.network}-${id}`, config: wishes(random, place, kind) }
    containers.push(container)
    return container
  }
  const pods = Array.from({ length: podCount }, () => newContainer())
  const acts: Act[] = []
  const length = 4 + random.below(5)
  while (acts.length < length) {
    const turn = random.below(100)
    const device = random.pick(kind.devices(place))
    const hurt = random.chance(35) ? hurtOf(random, kind) : undefined
    if (turn < 45) acts.push({ do: 'ADD', container: random.pick(pods), device, hurt })
    else if (turn < 62) {
      acts.push({ do: 'DEL', container: random.pick(containers), device, hurt, atHost: random.chance(50) })
    } else if (turn < 67) acts.push({ do: 'alike', container: random.pick(pods), device })
    else if (turn < 76) acts.push({ do: 'CHECK', container: random.pick(pods), device, hurt })
    else if (turn < 86) {
      const valid = random.chance(70) ? [...pods] : containers.filter(() => random.chance(50))
      acts.push({ do: 'GC', valid, hurt })
    } else {
      const slot = random.below(pods.length)
      const container = pods[slot] as Container
      const next = newContainer(random.chance(30) ? container.pod : undefined)
      pods[slot] = next
      acts.push({ do: 'die', container, next })
    }
  }
  return { seed, place, kind, acts, containers, end: random.chance(60) ? 'DEL' : 'GC' }
}

/**
 * The sequence as a job: a look, then each act and a look, then the end and a look. The first answer is that of the
 * namespaces' making.
 */
export function jobOf({ seed, place, kind, acts, containers, end }: Sequence): Job {
  const first = containers.slice(0, podCount).map(({ pod }) => pod)
  const steps: Step[] = [shell(kind.change(place, [], first)), { do: 'look', pods: first }]
  const deviceOf = new Map<Container, string>()
  const live = new Set(first)
  const call = (
    verb: Call['verb'],
    container: Container,
    hurt: Hurt | undefined,
    device: string,
    gone = '',
  ): Call => ({
    do: 'call',
    verb,
    container: container.id,
    netns: live.has(container.pod) ? `/run/netns/${container.pod}` : gone,
    ifname,
    config: { ...container.config, ...kind.keys(device) },
    ...(verb === 'CHECK' ? { prev: true } : {}),
    ...hurt,
  })
  for (const act of acts) {
    if (act.do === 'die') {
      live.delete(act.container.pod)
      live.add(act.next.pod)
      steps.push(shell(kind.change(place, [act.container.pod], [act.next.pod])))
    } else if (act.do === 'alike') {
      steps.push(shell(kind.alike(act.device, act.container.pod)))
    } else if (act.do === 'GC') {
      steps.push({ ...collect(place, act.valid), ...act.hurt })
    } else {
      // A runtime sends the config of the ADD with every later call.
      if (act.do === 'ADD') deviceOf.set(act.container, act.device)
      const gone = act.atHost === true ? '/proc/self/ns/net' : ''
      steps.push(call(act.do, act.container, act.hurt, deviceOf.get(act.container) ?? act.device, gone))
    }
    steps.push({ do: 'look', pods: [...live] })
  }
  const gone = namespacesGone([...live])
  // A device that has died is there again after GC, which may find it or not.
  if (end === 'GC') steps.push(gone, collect(place, []), shell(kind.revive(place)))
  else {
    for (const [container, device] of deviceOf) steps.push(call('DEL', container, undefined, device))
    steps.push(gone)
  }
  steps.push({ do: 'look', pods: [] })
  return { id: String(seed), steps }
}

/** True for an interface that the act `alike` has made. */
export function isLookAlike({ ifname }: JsonObject): boolean {
  return String(ifname).startsWith('alike')
}

/** An act in a few words. */
export function actWords(act: Act): string {
  if (act.do === 'die') return `${act.container.id} dies, ${act.next.id} comes at ${act.next.pod}`
  if (act.do === 'alike') return `${act.container.id} makes one like ${act.device}`
  const hurt = act.hurt === undefined ? '' : ` ${JSON.stringify(act.hurt)}`
  if (act.do === 'GC') return `GC [${act.valid.map(({ id }) => id).join(', ')}]${hurt}`
  return `${act.do} ${act.container.id}${act.do === 'ADD' ? ` ${act.device}` : ''}${hurt}`
}

function collect(place: Place, valid: readonly Container[]): Call {
  const list = valid.map(({ id }) => ({ containerID: id, ifname }))
  const config = {
    cniVersion: '1.1.0',
    name: place.network,
    type: 'vf-attach',
    ipam: addressesFor(place),
    'cni.dev/valid-attachments': list,
  }
  return { do: 'call', verb: 'GC', container: 'gc', netns: '', ifname, config }
}

function shell(script: string): Step {
  return { do: 'sh', script }
}

function namespacesGone(pods: readonly string[]): Step {
  return shell(ipBatch(pods.map((pod) => `netns del ${pod}`)))
}

function wishes(random: Random, place: Place, kind: DeviceKind): JsonObject {
  return { cniVersion: '1.0.0', name: place.network, type: 'vf-attach', ...kind.wishes(random, place) }
}

function hurtOf(random: Random, { killWithinMs }: DeviceKind): Hurt {
  if (random.chance(25)) return { killAfterMs: random.below(killWithinMs) }
  const kind = random.pick(['op', 'op', 'op', 'file', 'ipam'] as const)
  const number = 1 + random.below(kind === 'op' ? 12 : kind === 'file' ? 2 : 1)
  const what = random.chance(60) ? 'SIGKILL' : random.pick(errnos)
  return { fault: `${kind}:${number}:${random.pick(['before', 'after'])}:${what}` }
}
