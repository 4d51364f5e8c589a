/**
 * Keys in their official spelling, as Go's encoding/json finds them: in any case, null counts as "not given", of several spellings
 * the last one counts, and a key that is not known has no effect, which is told.
 */
import { fold } from '../../../src/lib/json.ts'
import type { KeyRow, KeyRows } from '../keys/key-rows.ts'
import type { Findings, Node } from './document.ts'
import { nearest } from './near.ts'

/** Keys that the SR-IOV network operator writes into each pool, and that mean nothing. */
const generated = ['SelectorObj', 'SelectorObjs', 'SelectorObj(s)'].map(fold)

/** Keys at other levels: a key that stands at the wrong place gets this hint. */
export type Misplaced = Readonly<Record<string, string>>

/** The work on one text. */
export interface Context {
  readonly findings: Findings
  /** Hints by folded key. */
  readonly misplaced: (rows: KeyRows) => Misplaced
}

/**
 * The tree with its keys in official spelling. A row with `isOneOrMany` has a list afterwards, also of one object. Below a key of
 * this project an unknown key is a mistake, because no other program's configs have such a key.
 */
export function official(node: Node, rows: KeyRows, context: Context, isStrict = false): Node {
  if (node.kind !== 'object') return node
  const names = new Map(Object.keys(rows).map((name) => [fold(name), name]))
  const members = new Map<string, Node>()
  const spelled = new Map<string, string>()
  for (const [spelling, value] of node.members) {
    const name = names.get(fold(spelling))
    const row = name === undefined ? undefined : rows[name]
    if (name === undefined || row === undefined) {
      reportStranger(spelling, value, rows, context, isStrict)
      continue
    }
    const earlier = spelled.get(name)
    if (earlier !== undefined)
      context.findings.add('warning', atKey(value), `comes after "${earlier}" and is the one that counts`)
    spelled.set(name, spelling)
    if (isAbsent(value, row)) members.delete(name)
    else members.set(name, officialMember(value, row, context))
  }
  return { ...node, members: [...members] }
}

/** The place of a node's key, for findings about the key and not about its value. */
export const atKey = (node: Node) => ({ ...node, at: node.keyAt })

function officialMember(node: Node, { members, isOneOrMany, isOwn }: KeyRow, context: Context): Node {
  if (members === undefined) return node
  const inner = (one: Node) => official(one, members, context, isOwn === true)
  if (node.kind === 'list') return { ...node, items: node.items.map(inner) }
  if (node.kind === 'object' && isOneOrMany === true) return { ...node, kind: 'list', items: [inner(node)] }
  return inner(node)
}

/** Go's zero values: null, and an empty text where the key may be left out. */
function isAbsent(node: Node, { isRequired }: KeyRow): boolean {
  return node.kind === 'scalar' && (node.value === null || (node.value === '' && isRequired !== true))
}

function reportStranger(
  spelling: string,
  value: Node,
  rows: KeyRows,
  { findings, misplaced }: Context,
  isStrict: boolean,
): void {
  const isNull = value.kind === 'scalar' && value.value === null
  if (generated.includes(fold(spelling)) && !isStrict) {
    if (!isNull)
      findings.add('warning', atKey(value), 'has no effect: the program that writes it keeps it empty')
    return
  }
  const place = misplaced(rows)[fold(spelling)]
  const near = nearest(spelling, Object.keys(rows))
  const hint = place ?? (near === undefined ? '' : `; did you mean "${near}"?`)
  if (isStrict)
    findings.add('error', atKey(value), `is not known; must be one of ${Object.keys(rows).join(', ')}`)
  else findings.add('warning', atKey(value), `is not known and has no effect${hint}`)
}

/** Hints for the keys of a table that stand elsewhere. */
export function misplacedKeys(rows: KeyRows, hint: string): Misplaced {
  return Object.fromEntries(Object.keys(rows).map((name) => [fold(name), hint]))
}

/** Removes members of an object that do not fit, with a finding for each. */
export function without(
  node: Node,
  unfit: (key: string) => string | undefined,
  tell: (node: Node, text: string) => void,
): Node {
  if (node.kind !== 'object') return node
  const members = node.members.filter(([name, value]) => {
    const text = unfit(name)
    if (text !== undefined) tell(value, text)
    return text === undefined
  })
  return { ...node, members }
}
