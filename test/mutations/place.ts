/** Finds the place of a mutation and its test. */
import type { Mutation } from './mutation.ts'

/** Folders whose tests run the compiled program. */
const compiled = /^test\/(conformance|native|lab)\//

/** True when a test file, a path from the top, runs what hack/build.ts makes. */
export function isCompiled(file: string): boolean {
  return compiled.test(file)
}

/** The text with the mistake; undefined when the old text does not occur exactly once. */
export function mutated(text: string, { old, now }: Pick<Mutation, 'old' | 'now'>): string | undefined {
  const at = text.indexOf(old)
  if (old === '' || at < 0 || text.includes(old, at + 1)) return undefined
  return text.slice(0, at) + now + text.slice(at + old.length)
}

/** The line on which the old text begins, counted from 1; 0 when it is not there. */
export function lineOf(text: string, { old }: Pick<Mutation, 'old'>): number {
  const at = text.indexOf(old)
  return at < 0 ? 0 : text.slice(0, at).split('\n').length
}

/** Of `files`, the one test file whose path ends in `end`; undefined when none or several do. */
export function pathOfTest(files: readonly string[], end: string): string | undefined {
  const found = files.filter((file) => file.endsWith(`/${end}`))
  return found.length === 1 ? found[0] : undefined
}

/** A pattern for vitest's `-t`: tests whose full title has one of these words. */
export function namePattern(titles: readonly string[]): string {
  return [...new Set(titles)].map((title) => title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
}
