// The half of the fuzzer that runs in the node. In: an Order as JSON on stdin. Out: a Report as JSON with the failures, each with
// the fewest mutations that still show it. Synchronous: one call after the other.
import { readFileSync, writeSync } from 'node:fs'
import { CLEAR, MAKE, NEIGHBOUR } from './bed.ts'
import { draftOf, type FuzzCase, fuzzCase, type Kind, spoiltDraft } from './case.ts'
import { CONTAINER, callOf, type Draft, GOOD_PATH, type Plugin, type RealCall } from './draft.ts'
import { canAnswer, type Ended, HUNG_MS, judge, objectOf } from './judge.ts'
import { callCount, differences, ipamAsked, type Look, look, make, sh, spoilRecord } from './node.ts'
import type { Mutation } from './spoil-config.ts'
import { type Tree, valueAt, withValue } from './tree.ts'

/** The cases to try. */
export interface Order {
  readonly plugin: Plugin
  readonly seed: number
  /** Number of the first case, and of the one after the last. */
  readonly from: number
  readonly to: number
  /** The number of failing cases that ends the run. */
  readonly enough: number
}

/** The outcome. */
export interface Report {
  /** The number of spoilt calls, and of all calls. */
  readonly spoilt: number
  readonly calls: number
  /** Spoilt calls by kind and exit, e.g. `first 7`, `CHECK ok`. */
  readonly ends: Readonly<Record<string, number>>
  readonly failures: readonly string[]
  readonly ms: number
}

/** The snapshot of node and pod with nothing attached but the neighbour. */
let normal: Look = []
/** The output of the neighbour's ADDs. */
const results = new Map<Plugin, Tree>()

function runAll({ plugin, seed, from, to, enough }: Order): Report {
  const started = performance.now()
  const ends: Record<string, number> = {}
  const failures: string[] = []
  begin()
  for (let number = from; number < to && failures.length < enough; number++) {
    const one = fuzzCase(plugin, seed, number)
    try {
      const outcome = tryCase(one, one.mutations)
      const key = `${one.kind} ${outcome.end}`
      ends[key] = (ends[key] ?? 0) + 1
      if (outcome.lines.length > 0) failures.push(report(one, outcome))
    } catch (error) {
      // One case that can't be set up does not end a long run.
      failures.push(`seed ${seed}, case ${number} could not be tried: ${String(error)}`)
      begin()
    }
    // Otherwise a long run would be silent.
    if ((number - from) % 1_000 === 999)
      console.error(`${plugin}: ${number + 1 - from} spoilt calls, ${failures.length} failed`)
  }
  failures.push(...neighbourLives())
  const ms = Math.round(performance.now() - started)
  return {
    spoilt: Object.values(ends).reduce((sum, count) => sum + count, 0),
    calls: callCount(),
    ends,
    failures,
    ms,
  }
}

/** Makes a new bed, with the neighbour in it. */
function begin(): void {
  sh(CLEAR)
  sh(MAKE)
  for (const [plugin, ifname, config] of NEIGHBOUR) {
    const { ended } = make(neighbourDraft(plugin, ifname, config, 'ADD'))
    if (ended.code !== 0)
      throw new Error(`the neighbour could not be attached: ${ended.stdout}${ended.stderr}`)
    results.set(plugin, JSON.parse(ended.stdout) as Tree)
  }
  ipamAsked()
  normal = look()
}

function neighbourLives(): string[] {
  return NEIGHBOUR.flatMap(([plugin, ifname, config]) => {
    const checked = withValue(config, ['prevResult'], results.get(plugin))
    const { ended } = make(neighbourDraft(plugin, ifname, checked, 'CHECK'))
    return ended.code === 0 ? [] : [`CHECK of the neighbour's ${plugin}: ${ended.stdout}${ended.stderr}`]
  })
}

function neighbourDraft(plugin: Plugin, ifname: string, config: Tree, verb: string): Draft {
  const env = {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: 'n1', CNI_NETNS: '/run/netns/neighbour', CNI_IFNAME: ifname },
    ...{ CNI_PATH: GOOD_PATH, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  }
  const none = {
    textChanges: [],
    before: [],
    redirect: [],
    prepare: [],
    restore: [],
    ipam: {},
    damage: undefined,
  }
  return { ...none, plugin, config, env }
}

/** One failing case as text: the fewest mutations that show it, the failures, and the call. */
function report(one: FuzzCase, first: Outcome): string {
  let mutations = one.mutations
  let outcome = first
  // Each try of a call that hangs takes as long as the first try.
  for (const left of first.isHung ? [] : one.mutations) {
    const fewer = mutations.filter((mutation) => mutation !== left)
    const again = tryCase(one, fewer)
    if (again.lines.length > 0) [mutations, outcome] = [fewer, again]
  }
  const { lines, call, draft } = outcome
  const told = [...lines.slice(0, 8), ...(lines.length > 8 ? [`and ${lines.length - 8} more`] : [])]
  return [
    `seed ${one.seed}, case ${one.number} (${one.kind} of ${one.plugin}): ${mutations.map(({ name }) => name).join('; ') || 'nothing spoilt'}`,
    ...told.map((line) => `  ${line}`),
    `  call: ${shownCall(call, draft)}`,
  ].join('\n')
}

function shownCall({ env, stdin, shell }: RealCall, { prepare, ipam }: Draft): string {
  const changed = Object.entries(env).filter(([name]) => name.startsWith('CNI_'))
  const shown = { env: Object.fromEntries(changed), shell, prepare, ipam, stdin: stdin.toString() }
  return JSON.stringify(shown, (_, value: unknown) =>
    typeof value === 'string' && value.length > 600 ? `${value.slice(0, 500)}... (${value.length})` : value,
  )
}

interface Outcome {
  readonly lines: readonly string[]
  /** `ok`, the error's code, or the signal. */
  readonly end: string
  readonly isHung: boolean
  readonly call: RealCall
  readonly draft: Draft
}

/** Differences of other owners' things. The port maps belong to everybody: the last CHECK checks them. */
const OTHERS = /neighbour|\bnb0\b|\bn0\b|n1@|n1\/eth0|\bu[01]\b|\/srv\//

/** Tries one case, from nothing attached to nothing attached. */
function tryCase(one: FuzzCase, mutations: readonly Mutation[]): Outcome {
  const lines: string[] = []
  const isAfterAdd = !(['first', 'nothing', 'STATUS', 'VERSION'] as Kind[]).includes(one.kind)
  let result: Tree | undefined
  let before = normal
  if (isAfterAdd) {
    const { ended } = make(draftOf(one, 'ADD'))
    if (ended.code !== 0) lines.push(`the ADD before it failed: ${ended.stdout}${ended.stderr}`)
    else result = JSON.parse(ended.stdout) as Tree
    before = look()
    ipamAsked()
  }
  const draft = spoiltDraft(one, mutations, result)
  const mend = isAfterAdd ? spoilRecord(draft) : undefined
  sh(draft.prepare.join('\n'))
  const { call, ended } = make(draft)
  lines.push(...judge(call, ended))
  const asked = ipamAsked()
  const isAdded = ended.code === 0 && call.env.CNI_COMMAND === 'ADD'
  if (isAdded && one.kind === 'first') lines.push(...withdrawn(draft, ended))
  sh(draft.restore.join('\n'))
  mend?.()
  if (isAdded && one.kind === 'first' && draft.prepare.length > 0) lines.push(...deleted(draft, undefined))
  if (one.kind === 'nothing' && ended.code !== 0) lines.push(`DEL of nothing failed: ${ended.stdout}`)
  if (mayNotChange(one, ended)) {
    lines.push(...differences(before, look()).map((line) => `after ${nameOf(call, ended)}: ${line}`))
    if (asked.at(-1) === 'ADD') lines.push(`IPAM was asked for ${asked.join(', ')}`)
  }
  if (isAfterAdd) {
    const said = deleted(draftOf(one, 'DEL'), result)
    if (draft.damage?.how !== 'tree') lines.push(...said)
  }
  const left = differences(normal, look())
  // A record with another value that could be true makes the plugin follow that value: then only others' things count.
  const counted =
    draft.damage?.how === 'tree'
      ? left.filter((line) => OTHERS.test(line) && !line.includes('nft {"map"'))
      : left
  lines.push(...counted.map((line) => `at the end: ${line}`))
  ipamAsked()
  const end = ended.signal ?? (ended.code === 0 ? 'ok' : String(objectOf(ended)?.code ?? 'silent'))
  if (lines.length + left.length > 0) begin()
  return { lines, end, isHung: ended.ms >= HUNG_MS, call, draft }
}

/** True if node and pod must be as they were before the spoilt call. */
function mayNotChange({ kind, verb }: FuzzCase, ended: Ended): boolean {
  if (kind === 'first') return ended.code !== 0
  if (['CHECK', 'STATUS', 'VERSION'].includes(verb) || verb === 'ADD') return true
  // A call that says that it could not begin has not begun.
  return ended.code !== 0 && [4, 6, 8].includes(Number(objectOf(ended)?.code))
}

function nameOf({ env }: RealCall, { code }: Ended): string {
  return `${env.CNI_COMMAND ?? 'a call'} that ${code === 0 ? 'succeeded' : 'failed'}`
}

/** Rules of an ADD that has succeeded although it was spoilt: its CHECK and its DEL succeed. */
function withdrawn(draft: Draft, added: Ended): string[] {
  // A changed text has no room for another key: its changes are at fractions of the length and would move.
  const isTold = canAnswer(callOf(draft).shell ?? '') && draft.textChanges.length === 0
  const result = isTold ? (objectOf(added) as Tree | undefined) : undefined
  const version = result === undefined ? undefined : valueAt(result, ['cniVersion'])
  const isChecked = result !== undefined && !['0.1.0', '0.2.0', '0.3.0', '0.3.1'].includes(String(version))
  const lines = isChecked ? succeeded(draft, 'CHECK', result) : []
  return [...lines, ...deleted(draft, result)]
}

function deleted(draft: Draft, result: Tree | undefined): string[] {
  return succeeded(draft, 'DEL', result)
}

/** Runs another verb for the same attachment, spoilt only in the config and the names. */
function succeeded(draft: Draft, verb: string, result: Tree | undefined): string[] {
  const config = result === undefined ? draft.config : withValue(draft.config, ['prevResult'], result)
  const names = draft.before.filter((line) => line.includes('CNI_'))
  const { call, ended } = make({
    ...{ ...draft, config, before: names, redirect: [], ipam: {}, env: { ...draft.env, CNI_COMMAND: verb } },
  })
  const lines = judge(call, ended)
  if (ended.code !== 0) lines.push(`${verb} after ADD failed: ${ended.stdout || ended.stderr}`)
  return lines.map((line) => `${CONTAINER}: ${line}`)
}

if (import.meta.main) {
  const report = `${JSON.stringify(runAll(JSON.parse(readFileSync(0, 'utf8')) as Order))}\n`
  let rest: Uint8Array = new TextEncoder().encode(report)
  while (rest.length > 0) rest = rest.subarray(writeSync(1, rest))
}
