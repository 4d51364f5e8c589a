/**
 * The rules of a sequence, judged from looks alone. In: the acts, and the answers of the guest. Out: a line for each
 * violation. Records say who owns what: never two of one device, none forgotten, and whoever's pod lives is not touched.
 */
import type { JsonObject } from '../../src/lib/json.ts'
import type { CallAnswer, JobAnswer, LookAnswer } from './script.ts'
import type { DeviceKind } from './sequence-devices.ts'
import { type Act, actWords, type Container, isLookAlike, type Sequence } from './sequence-plan.ts'
import { laneDifferences, stable, vfDifferences } from './state.ts'

interface Held {
  readonly file: string
  readonly text: string
  /** The device's name in the record. */
  readonly subject: string
  readonly container: string
  readonly netns: string
  readonly netnsCookie: string
  readonly attached: boolean
}

/** The outcome of a sequence. */
export interface Verdict {
  readonly violations: readonly string[]
  /** Things that it left behind. */
  readonly left: { readonly devices: number; readonly addresses: number; readonly records: number }
  /** Verbs that succeeded, failed and were killed. */
  readonly ended: Readonly<Record<'succeeded' | 'failed' | 'killed', number>>
}

/** Judges one sequence by its answers. */
export function judgeSequence(sequence: Sequence, answer: JobAnswer | undefined): Verdict {
  const { place, kind, acts, containers, end } = sequence
  const ended = { succeeded: 0, failed: 0, killed: 0 }
  const none = { violations: ['no answer'], left: { devices: 0, addresses: 0, records: 0 }, ended }
  if (answer?.error !== undefined) return { ...none, violations: [answer.error] }
  const looks = (answer?.answers ?? []).filter((one) => one.do === 'look')
  const [first] = looks
  const last = looks.at(-1)
  if (answer === undefined || first === undefined || last === undefined) return none
  const steps = answer.answers.slice(2)
  const violations: string[] = laneDifferences(place, first, first).map((line) => `at the beginning: ${line}`)
  const story: Story = { sequence, original: first, dead: new Set(), intact: new Set() }
  let before = first
  for (const [index, act] of acts.entries()) {
    const done = steps[2 * index]
    const now = steps[2 * index + 1]
    if (now?.do !== 'look') return { ...none, violations: [`act ${index + 1} has no look`] }
    if (act.do === 'die') story.dead.add(act.container)
    const call = done?.do === 'call' ? done : undefined
    count(ended, call)
    const lines = [...invariants(story, act, before, now), ...judgeAct(story, act, call, before, now)]
    violations.push(...lines.map((line) => `act ${index + 1}, ${actWords(act)}: ${line}${heard(call)}`))
    before = now
  }
  for (const call of steps.slice(2 * acts.length)) {
    if (call.do !== 'call') continue
    count(ended, call)
    if (call.code !== 0) violations.push(`last ${end} failed${heard(call)}`)
  }
  violations.push(...laneDifferences(place, first, last).map((line) => `in the end: ${line}`))
  const stuck = kind.devices(place).filter((device) => changes(sequence, device, first, last).length > 0)
  const left = {
    devices: stuck.length,
    addresses: Object.keys(last.addresses).length,
    records: Object.keys(last.records).length,
  }
  return { violations: violations.map((line) => `${line} (${containers.length} containers)`), left, ended }
}

interface Story {
  readonly sequence: Sequence
  readonly original: LookAnswer
  /** Containers whose namespace has died. */
  readonly dead: Set<Container>
  /** Containers with an ADD that succeeded, and nothing after it that may have touched it. */
  readonly intact: Set<Container>
}

/** Lines that say how a device differs from what it was. */
function changes(
  { place, kind }: Sequence,
  device: string,
  before: LookAnswer,
  now: LookAnswer,
  own?: string,
): string[] {
  return vfDifferences(kind.state(place, device, before), kind.state(place, device, now), own)
}

/** Rules that hold after every act, whatever it was. */
function* invariants(story: Story, act: Act, before: LookAnswer, now: LookAnswer): Iterable<string> {
  const { sequence, original, dead } = story
  const records = held(now)
  for (const name of Object.keys(now.records)) {
    if (!records.some(({ file }) => file === name)) yield `"${name}" is no record`
  }
  const { place, kind } = sequence
  for (const device of kind.devices(place)) {
    const owners = records.filter(({ subject }) => subject === kind.subject(device))
    if (owners.length > 1) yield `${device} has several records`
    // Nobody's device is as it was in the beginning.
    if (owners.length > 0) continue
    for (const line of changes(sequence, device, original, now)) yield `nobody's ${device}: ${line}`
  }
  for (const container of sequence.containers) {
    const own = records.filter(({ container: id }) => id === container.id)
    if (own.length > 1) yield `${container.id} has several records`
  }
  for (const [pod, { links }] of Object.entries(now.pods)) {
    const owners = sequence.containers.filter((container) => container.pod === pod && !dead.has(container))
    for (const link of links) {
      if (isLookAlike(link)) continue
      const subject = kind.subject(kind.deviceOf(link))
      if (records.some((one) => one.subject === subject && owners.some(({ id }) => id === one.container)))
        continue
      yield `${pod} has ${JSON.stringify(link.ifname)} and no record`
    }
  }
  yield* strangers(before, now)
  // Whoever lives and is not spoken to keeps everything as it is.
  for (const one of held(before)) {
    const container = sequence.containers.find(({ id }) => id === one.container)
    if (container === undefined || dead.has(container)) continue
    if ('container' in act && act.do !== 'CHECK' && act.do !== 'alike' && act.container === container)
      continue
    yield* untouched(story, one, container, before, now)
  }
}

/** Interfaces that a pod has made by itself, like a device in number and kind, are nobody's business. */
function* strangers(before: LookAnswer, now: LookAnswer): Iterable<string> {
  for (const [pod, { id, links }] of Object.entries(before.pods)) {
    const after = now.pods[pod]
    if (after?.id !== id) continue
    for (const link of links.filter(isLookAlike)) {
      const live = after.links.find(({ ifname }) => ifname === link.ifname)
      if (stable(link) !== (live && stable(live)))
        yield `${pod}: its own ${link.ifname} became ${JSON.stringify(live)}`
    }
  }
}

function* untouched(
  { sequence, original }: Story,
  one: Held,
  container: Container,
  before: LookAnswer,
  now: LookAnswer,
): Iterable<string> {
  const { place, kind } = sequence
  const name = `${container.id}, which owns ${one.subject}`
  if (now.records[one.file] !== one.text) yield `${name}, lost its record or has another one`
  for (const device of kind.devices(place).filter((each) => kind.subject(each) === one.subject)) {
    const own = kind.state(place, device, original).mac
    for (const line of changes(sequence, device, before, now, own)) yield `${name}: ${line}`
  }
  const [old, live] = [before, now].map((look) => podLink(kind, look, container, one.subject))
  if (old !== live) yield `${name}: ${old} -> ${live}`
}

function* judgeAct(
  story: Story,
  act: Act,
  call: CallAnswer | undefined,
  before: LookAnswer,
  now: LookAnswer,
): Iterable<string> {
  const { intact } = story
  if (act.do === 'die') {
    intact.delete(act.container)
    return
  }
  if (act.do === 'alike') return
  if (call === undefined) {
    yield 'no answer'
    return
  }
  const isWhole = act.hurt === undefined
  if (call.signal !== null && isWhole) yield `ended by ${call.signal}`
  if (call.code !== 0 && call.signal === null && typeof call.object?.code !== 'number')
    yield 'no error object'
  if (act.do === 'ADD') yield* judgeAdd(story, act.container, act.device, call, before, now, isWhole)
  if (act.do === 'DEL') {
    intact.delete(act.container)
    if (isWhole && call.code !== 0) yield 'failed'
    if (call.code === 0) yield* nothingOf(act.container, now)
  }
  if (act.do === 'CHECK' && call.leftOut !== true) {
    const owns = held(before).some(({ container }) => container === act.container.id)
    if (isWhole && intact.has(act.container) && call.code !== 0) yield 'failed though nothing has changed'
    if (!owns && call.code === 0) yield 'succeeded without a record'
  }
  if (act.do === 'GC') yield* judgeGc(story, act.valid, call, before, now, isWhole)
}

function* judgeAdd(
  { intact, sequence: { kind } }: Story,
  container: Container,
  device: string,
  call: CallAnswer,
  before: LookAnswer,
  now: LookAnswer,
  isWhole: boolean,
): Iterable<string> {
  const subject = kind.subject(device)
  const owners = held(before).filter((one) => one.subject === subject || one.container === container.id)
  const taken = owners.some((one) => isAlive(one, before))
  if (taken && call.code === 0) yield 'succeeded though somebody owns the device or the container has one'
  if (taken && isWhole && call.object?.code !== 11) yield 'not refused with code 11'
  // An address that a killed DEL left: host-local refuses another one until the next DEL.
  const addressLeft = addressesOf(container, before).length > 0
  if (!taken && !addressLeft && isWhole && call.code !== 0) yield 'failed'
  // Its next CHECK comes with the config of this ADD, and has to name the other device.
  if (owners.some((one) => one.container === container.id && one.subject !== subject))
    intact.delete(container)
  if (call.code === 0) {
    const mine = held(now).find((one) => one.subject === subject)
    if (mine?.container !== container.id || !mine.attached) yield 'no record of success'
    if (podLink(kind, now, container, subject) === undefined) yield 'the pod has no interface'
    intact.add(container)
  }
}

function* judgeGc(
  { sequence, intact, original }: Story,
  valid: readonly Container[],
  call: CallAnswer,
  before: LookAnswer,
  now: LookAnswer,
  isWhole: boolean,
): Iterable<string> {
  const isListed = (id: string) => valid.some((container) => container.id === id)
  const after = held(now)
  let kept = false
  for (const one of held(before)) {
    const stays = after.some(({ text, file }) => text === one.text && file === one.file)
    const alive = isAlive(one, before)
    if (!isListed(one.container) && alive) kept = true
    if ((isListed(one.container) || alive) && !stays) yield `${one.container} lost its record`
    if (isListed(one.container) || alive || !isWhole) continue
    if (stays) yield `${one.container} is dead and keeps its record`
    const { place, kind } = sequence
    for (const device of kind.devices(place).filter((each) => kind.subject(each) === one.subject)) {
      for (const line of changes(sequence, device, original, now)) yield `${device}: ${line}`
    }
  }
  if (isWhole && kept !== (call.code !== 0)) yield kept ? 'is silent about a pod that lives' : 'failed'
  for (const container of sequence.containers) {
    if (isListed(container.id)) {
      const [old, live] = [before, now].map((look) => addressesOf(container, look).join(' '))
      if (old !== live) yield `${container.id} lost its address: ${old} -> ${live}`
      continue
    }
    // Its addresses are free now, whatever became of its device: the list has said so.
    intact.delete(container)
    if (isWhole && addressesOf(container, now).length > 0) yield `${container.id} keeps its address`
  }
}

function* nothingOf(container: Container, now: LookAnswer): Iterable<string> {
  if (held(now).some((one) => one.container === container.id)) yield 'left a record'
  if (container.config.ipam !== undefined && addressesOf(container, now).length > 0) yield 'left an address'
}

/** Records of a look; files that are none are missing here. */
function held({ records }: LookAnswer): Held[] {
  return Object.entries(records).flatMap(([file, text]) => {
    const parts = /^(\S+) (\S+)@net1\.json$/.exec(file)
    if (parts === null) return []
    const { owner, phase } = JSON.parse(text) as { owner: JsonObject; phase: string }
    const [, subject = '', container = ''] = parts
    const place = { netns: String(owner.netns), netnsCookie: String(owner.netnsCookie) }
    return [{ file, text, subject, container, ...place, attached: phase === 'attached' }]
  })
}

/** True when the namespace at the record's path is the one of its ADD: paths and inodes come back, cookies don't. */
function isAlive({ netns, netnsCookie }: Held, look: LookAnswer): boolean {
  return look.pods[netns.replace('/run/netns/', '')]?.id === netnsCookie
}

function podLink(
  kind: DeviceKind,
  look: LookAnswer,
  { pod }: Container,
  subject: string,
): string | undefined {
  const link = look.pods[pod]?.links.find((each) => kind.subject(kind.deviceOf(each)) === subject)
  if (link === undefined) return undefined
  // The flag "tentative" of an IPv6 address and its lifetimes are a matter of time.
  const { addr_info, ...rest } = link
  const addresses = ((addr_info ?? []) as JsonObject[]).flatMap(({ local, scope }) =>
    scope === 'global' ? [`${local}`] : [],
  )
  return `${stable(rest)} ${addresses.join(' ')}`
}

function addressesOf({ id }: Container, { addresses }: LookAnswer): string[] {
  return Object.entries(addresses).flatMap(([address, owner]) =>
    owner.split(/\s/)[0] === id ? [address] : [],
  )
}

function count(
  ended: { succeeded: number; failed: number; killed: number },
  call: CallAnswer | undefined,
): void {
  if (call === undefined || call.leftOut === true) return
  if (call.signal !== null) ended.killed++
  else if (call.code === 0) ended.succeeded++
  else ended.failed++
}

function heard(call: CallAnswer | undefined): string {
  if (call === undefined) return ''
  return `; it ended with ${call.signal ?? call.code}, ${JSON.stringify(call.object)} ${call.stderr}`.slice(
    0,
    700,
  )
}
