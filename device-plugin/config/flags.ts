/** Flags as Go's package `flag` reads them, because scripts and DaemonSets are written for a program that uses it. */

/** A flag. */
export interface Flag<D> {
  /** Placeholder of the value for help and documents; undefined: a switch. */
  readonly value: string | undefined
  /** One sentence for help and documents. */
  readonly effect: string
  /** The flag's default, for help and documents. */
  readonly without: string
  /** Takes the value; the text of a switch is `true` or `false`. Returns the allowed values when it is none of them. */
  readonly take: (draft: D, value: string) => string | undefined
}

/** Flags by name, with hyphens. */
export type Flags<D> = Readonly<Record<string, Flag<D>>>

/** The rest of a command line behind its flags, or the first mistake as a sentence. */
export type Parsed = { readonly rest: readonly string[] } | { readonly problem: string }

/**
 * Reads flags into `draft`, up to the first word that is none, or up to `--`. One hyphen or two, `-flag=value` or `-flag value`;
 * a switch takes a value behind `=` only. `_` and `-` in names are equal. Of a repeated flag the last counts.
 */
export function parseFlags<D>(args: readonly string[], flags: Flags<D>, draft: D): Parsed {
  let at = 0
  for (; at < args.length; at++) {
    const word = args[at] ?? ''
    if (word === '--') return { rest: args.slice(at + 1) }
    const [, given = '', , inline] = /^--?([^=-][^=]*)(=(.*))?$/s.exec(word) ?? []
    if (given === '') break
    const name = given.replaceAll('_', '-')
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
    if (flag === undefined) return { problem: `Cannot use ${word}: there is no such flag` }
    const value = flag.value === undefined ? switchOf(inline) : (inline ?? args[++at])
    if (value === undefined) {
      const allowed = flag.value === undefined ? 'true or false' : `followed by ${flag.value}`
      return { problem: `Cannot use ${word}: must be ${allowed}` }
    }
    const allowed = flag.take(draft, value)
    if (allowed !== undefined)
      return { problem: `Cannot use --${name}: is ${JSON.stringify(value)}; must be ${allowed}` }
  }
  return { rest: args.slice(at) }
}

/** Words for true and false of Go's strconv.ParseBool. */
function switchOf(text: string | undefined): string | undefined {
  if (text === undefined || /^(1|t|T|true|TRUE|True)$/.test(text)) return 'true'
  return /^(0|f|F|false|FALSE|False)$/.test(text) ? 'false' : undefined
}
