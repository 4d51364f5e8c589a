/** Suggestions for names that are not known. */

/** The name that a text was likely meant to be: at most two characters differ, at most a third of them, in any case. undefined: none is near. */
export function nearest(text: string, names: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.min(2, Math.max(1, Math.floor(text.length / 3))) + 1
  for (const name of names) {
    const changes = distance(text.toLowerCase(), name.toLowerCase())
    if (changes < least) [best, least] = [name, changes]
  }
  return best
}

/** Least number of characters to insert, remove or replace (Levenshtein). */
function distance(left: string, right: string): number {
  // A key of any length must cost little.
  if (Math.abs(left.length - right.length) > 12) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (const [at, char] of [...left].entries()) {
    const next = [at + 1]
    for (const [index, other] of [...right].entries()) {
      const replaced = (row[index] ?? 0) + (char === other ? 0 : 1)
      next.push(Math.min(replaced, (row[index + 1] ?? 0) + 1, (next[index] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? Number.POSITIVE_INFINITY
}
