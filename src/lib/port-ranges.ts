/** Lists of ports as configs have them: numbers, and texts such as "30000-32767". */

/** Ports from `first` to `last`, 1 to 65535, both included. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** The allowed values of a list, as a message says them after "must be". */
export const allowedRanges = 'ports and ranges such as [8080, "30000-32767"]'

/** The ranges of a list, or of one value that stands for a list; undefined where a value is neither a port nor a range. */
export function tryParseRanges(value: unknown): PortRange[] | undefined {
  const ranges = (Array.isArray(value) ? value : [value]).map(tryParseRange)
  return ranges.every((range) => range !== undefined) ? ranges : undefined
}

function tryParseRange(entry: unknown): PortRange | undefined {
  if (typeof entry !== 'string' && typeof entry !== 'number') return undefined
  const [, from = '', to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(entry)) ?? []
  const [first, last] = [Number(from), Number(to)]
  return from === '' || first < 1 || last > 65535 || first > last ? undefined : { first, last }
}

/** True when a range holds the port. */
export function hasPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => first <= port && port <= last)
}

/** The ranges as people write them; `none` for an empty list. */
export function showRanges(ranges: readonly PortRange[]): string {
  const list = ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return list.length === 0 ? 'none' : list.join(', ')
}
