// One case, from nothing attached to nothing attached: a call that is spoilt, and those around it that are not. In: a seed
// and a number. Out: the same case each time. Pure.
import { type Random, randomFrom } from '../../soak/seed.ts'
import { type Draft, type Plugin, plainDraft } from './draft.ts'
import { MUTATORS } from './mutate.ts'
import type { Mutation } from './spoil-config.ts'
import { type Tree, withValue } from './tree.ts'

/**
 * `first`: the spoilt call is an ADD. `nothing`: a DEL without an ADD before it. That DEL must succeed, because it is only spoilt in
 * ways that are no reason to fail. The others come after a successful ADD; `record` spoils the record too.
 */
export type Kind = 'first' | 'nothing' | 'CHECK' | 'DEL' | 'GC' | 'STATUS' | 'VERSION' | 'record'

/** One case. */
export interface FuzzCase {
  readonly seed: number
  readonly number: number
  readonly plugin: Plugin
  readonly kind: Kind
  readonly verb: string
  readonly mutations: readonly Mutation[]
}

/** Kinds with their weights; most mistakes are possible in ADD. */
const KINDS: readonly (readonly [kind: Kind, weight: number])[] = [
  ['first', 48],
  ['nothing', 8],
  ['CHECK', 7],
  ['DEL', 10],
  ['GC', 6],
  ['STATUS', 5],
  ['VERSION', 3],
  ['record', 13],
]

type Name = keyof typeof MUTATORS

/** Things that are spoilt, as often as they are drawn. */
const WEIGHTS: Readonly<Partial<Record<Name, number>>> = {
  key: 30,
  newKey: 12,
  text: 10,
  variable: 16,
  descriptor: 8,
  handicap: 10,
  surrounding: 8,
  inTheWay: 3,
}

/** The case with this number. */
export function fuzzCase(plugin: Plugin, seed: number, number: number): FuzzCase {
  const random = randomFrom(mixed(plugin, seed, number) ^ 0x5bd1e995)
  const kind = weighted(random, KINDS)
  const verb =
    { first: 'ADD', nothing: 'DEL', record: random.pick(['DEL', 'DEL', 'CHECK', 'ADD', 'GC']) }[
      kind as string
    ] ?? kind
  const names = Object.entries({
    ...WEIGHTS,
    ...(plugin === 'vf-attach' && ['first', 'CHECK', 'DEL', 'STATUS'].includes(kind) ? { ipam: 16 } : {}),
  }) as [Name, number][]
  const draft = draftOf({ plugin, seed, number, verb, kind })
  const drawn = kind === 'nothing' ? blameless(random, draft) : spoilt(random, draft, names)
  const mutations = kind === 'record' ? [MUTATORS.record(random), ...(random.chance(15) ? drawn : [])] : drawn
  return { seed, number, plugin, kind, verb, mutations }
}

/** The call of a case before it is spoilt; `verb` asks for another call of the same attachment. */
export function draftOf(
  { plugin, seed, number, verb, kind }: Omit<FuzzCase, 'mutations'>,
  other?: string,
): Draft {
  // The same random numbers for each verb, so that DEL has the config of the ADD.
  const draft = plainDraft(plugin, verb, randomFrom(mixed(plugin, seed, number)))
  // A missing IPAM plugin would be a reason to fail.
  if (kind === 'nothing') draft.config = withValue(draft.config, ['ipam'], undefined)
  if (other !== undefined) draft.env.CNI_COMMAND = other
  return draft
}

/** The spoilt call, with these mutations of a case; `prevResult` is the output of the ADD before it. */
export function spoiltDraft(
  one: FuzzCase,
  mutations: readonly Mutation[],
  prevResult: Tree | undefined,
): Draft {
  const draft = draftOf(one)
  if (prevResult !== undefined && ['CHECK', 'DEL'].includes(one.verb))
    draft.config = withValue(draft.config, ['prevResult'], prevResult)
  for (const { apply } of mutations) apply(draft)
  return draft
}

function spoilt(random: Random, draft: Draft, names: readonly (readonly [Name, number])[]): Mutation[] {
  return Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () =>
    MUTATORS[weighted(random, names)](random, draft),
  )
}

// DEL has to succeed where nothing is attached, however spoilt paths, names and folders are.
function blameless(random: Random, draft: Draft): Mutation[] {
  const names = ['CNI_NETNS', 'CNI_PATH', 'CNI_CONTAINERID="x']
  for (;;) {
    const one = MUTATORS[random.pick(['variable', 'variable', 'surrounding', 'inTheWay'] as const)](
      random,
      draft,
    )
    if (!one.name.startsWith('CNI_') || names.some((name) => one.name.startsWith(name))) return [one]
  }
}

function weighted<T>(random: Random, list: readonly (readonly [T, number])[]): T {
  let left = random.below(list.reduce((sum, [, weight]) => sum + weight, 0))
  for (const [value, weight] of list) {
    left -= weight
    if (left < 0) return value
  }
  throw new Error('Cannot draw from an empty list')
}

// Each plugin has cases of its own.
function mixed(plugin: Plugin, seed: number, number: number): number {
  const start = plugin === 'vf-attach' ? 1 : 0x40000001
  return (Math.imul(seed + start, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0
}
