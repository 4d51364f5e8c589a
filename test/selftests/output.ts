/**
 * The output of a test of the kernel's folder net/forwarding, and of the tc in front of it (forwarding.config), to cases; and the
 * judgement of a case by the list. Pure.
 */
import type { Listed, Selftest } from './list.ts'

/** One case as the test reported it. */
export interface Case {
  readonly name: string
  readonly result: 'OK' | 'FAIL' | 'SKIP' | 'XFAIL'
  /** `card`: a filter of the case was in the card alone; `host`: all were the kernel's; `-`: there was none. */
  readonly where: 'card' | 'host' | '-'
  /** The test's own words on a failure, and tc's. */
  readonly words: readonly string[]
}

/** A case with the judgement. */
export interface Judged extends Case {
  readonly ok: boolean
  /** Reason of the list, or the reason why it is not ok; empty for a case that passed in the card. */
  readonly remark: string
}

const RESULT = /^TEST: (.*?)\s+\[\s*(OK|FAIL|SKIP|XFAIL)\s*\]$/

/** Reads all cases. Filters and refusals belong to the case that is reported next. */
export function casesOf(output: string): Case[] {
  const cases: { -readonly [key in keyof Case]: Case[key] }[] = []
  let where: Case['where'] = '-'
  let refused: string[] = []
  for (const line of output.split('\n')) {
    const [, name, result] = RESULT.exec(line.trimEnd()) ?? []
    const last = cases.at(-1)
    if (line === '@card') where = 'card'
    else if (line === '@host') where = where === '-' ? 'host' : where
    else if (line.startsWith('@refused ')) refused.push(line.slice('@refused '.length))
    else if (name !== undefined) {
      cases.push({ name: name.trim(), result: result as Case['result'], where, words: refused })
      where = '-'
      refused = []
    } else if (/^\t\S/.test(line) && last !== undefined && last.result !== 'OK')
      last.words = [line.trim(), ...last.words]
  }
  return cases
}

/** Judges a case: it has to pass in the card, or to be in the list as what it is. */
export function judge(test: Selftest, one: Case): Judged {
  const reason = (list: readonly Listed[] = []) => list.find(({ cases }) => isLike(one.name, cases))?.reason
  const [fails, host] = [reason(test.fails), reason(test.host)]
  if (one.result !== 'OK') return { ...one, ok: fails !== undefined, remark: fails ?? one.words.join('; ') }
  if (fails !== undefined) return { ...one, ok: false, remark: `passes, but the list says: ${fails}` }
  if (one.where !== 'host') return { ...one, ok: true, remark: '' }
  return { ...one, ok: host !== undefined, remark: host ?? 'passes without a filter in the card' }
}

/** Entries of the list that no case had a use for, by their reason. */
export function needless(test: Selftest, cases: readonly Case[]): string[] {
  const used = ({ cases: pattern }: Listed) => cases.some(({ name }) => isLike(name, pattern))
  return [...(test.fails ?? []), ...(test.host ?? [])].flatMap((one) =>
    used(one) ? [] : [`no case is like ${one.cases.source}: ${one.reason}`],
  )
}

function isLike(name: string, pattern: RegExp): boolean {
  return new RegExp(`^(?:${pattern.source})$`).test(name)
}
