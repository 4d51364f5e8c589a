/** Findings about a config file: mistakes, warnings and notes, each with its place in the file. */

/** `error`: the config is refused. `warning`: something has no effect. `note`: worth knowing, shown by `--check` alone. */
export type Severity = 'error' | 'warning' | 'note'

/** One finding. */
export interface Finding {
  readonly severity: Severity
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 units. */
  readonly column: number
  /** The way to the key as the file spells it, `resourceList[0].selectors.vendors[1]`; '' for the whole file. */
  readonly key: string
  /** Predicate and reason, to be read behind the key: `is "x"; must be four hex digits`. */
  readonly text: string
}

/** A config that can not be used. The message has all mistakes, a line for each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** Mistakes, warnings and notes in the order of the file. */
  readonly findings: readonly Finding[]
  /** The mistakes alone, as sentences with their places. */
  readonly mistakes: readonly string[]

  constructor(findings: readonly Finding[]) {
    const mistakes = findings.filter(({ severity }) => severity === 'error').map(showFinding)
    super(['Cannot use the config:', ...mistakes.map((one) => `  ${one}`)].join('\n'))
    this.findings = findings
    this.mistakes = mistakes
  }
}

/** A finding as one sentence with its place: `line 3, column 9: KEY is VALUE; must be ...`. */
export function showFinding({ line, column, key, text }: Finding): string {
  return `line ${line}, column ${column}: ${key === '' ? '' : `${key} `}${text}`
}
