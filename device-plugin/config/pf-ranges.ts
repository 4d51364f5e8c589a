/**
 * The grammar of `pfNames` and `rootDevices`: a PF, and perhaps the indexes of its VFs or subfunctions.
 *
 *     selector = PF [ "#" item { "," item } ]
 *     item     = INDEX | INDEX "-" INDEX
 *     INDEX    = decimal digits, 0 to 65535
 *
 * Spaces and tabs may stand around every part. A range includes both ends, and its first index is not above its last. Ranges may
 * overlap and come in any order: the result is a set.
 */
import type { PfSelector } from './plugin-config.ts'

/** Inclusive ranges in ascending order that neither overlap nor touch. */
export type IndexRanges = readonly (readonly [first: number, last: number])[]

/** Highest index: SR-IOV counts VFs with 16 bits (TotalVFs, PCI Express base specification 9.3.3.6). */
export const highestIndex = 65_535

/** The allowed form, as a message says it after "must be". */
export const allowedPfSelector = `PF or PF#INDEXES such as p0#0-3,7; indexes are 0 to ${highestIndex}, the lower one first`

/** Reads one entry; undefined for a text that is not of the grammar. */
export function parsePfSelector(text: string): PfSelector | undefined {
  const hash = text.indexOf('#')
  const pf = (hash < 0 ? text : text.slice(0, hash)).trim()
  if (pf === '') return undefined
  if (hash < 0) return { text, pf, indexes: undefined }
  const indexes = parseIndexes(text.slice(hash + 1))
  return indexes === undefined ? undefined : { text, pf, indexes }
}

/** Joins entries of one PF: names of interfaces are equal in any case, as they match in any case. Keeps the order of the PFs. */
export function unitePfSelectors(entries: readonly PfSelector[]): readonly PfSelector[] {
  const byPf = new Map<string, PfSelector>()
  for (const entry of entries) {
    const key = entry.pf.toLowerCase()
    const first = byPf.get(key)
    byPf.set(key, first === undefined ? entry : united(first, entry))
  }
  return [...byPf.values()]
}

/** True if an index is in the set; all are in the set `undefined`. */
export function hasIndex(indexes: IndexRanges | undefined, index: number): boolean {
  return indexes === undefined || indexes.some(([first, last]) => first <= index && index <= last)
}

function united(left: PfSelector, right: PfSelector): PfSelector {
  const indexes =
    left.indexes === undefined || right.indexes === undefined
      ? undefined
      : merged([...left.indexes, ...right.indexes])
  return { text: `${left.text}, ${right.text}`, pf: left.pf, indexes }
}

function parseIndexes(list: string): IndexRanges | undefined {
  const ranges: [number, number][] = []
  for (const item of list.split(',')) {
    const [, from = '', to = from] = /^[ \t]*(\d+)[ \t]*(?:-[ \t]*(\d+)[ \t]*)?$/.exec(item) ?? []
    const [first, last] = [Number(from), Number(to)]
    if (from === '' || first > last || last > highestIndex) return undefined
    ranges.push([first, last])
  }
  return merged(ranges)
}

function merged(ranges: IndexRanges): IndexRanges {
  const out: [number, number][] = []
  for (const [first, last] of ranges.toSorted(([left], [right]) => left - right)) {
    const before = out.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else out.push([first, last])
  }
  return out
}
