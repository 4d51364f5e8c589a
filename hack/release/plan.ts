// The decision whether this tree may become a release, and by what name. In: facts of the tree, the changelog. Out: version and notes.
import { ReleaseError } from './errors.ts'

/** The state of a checkout. */
export interface TreeFacts {
  /** Of package.json. */
  readonly version: string
  /** The hash of HEAD in hexadecimal. */
  readonly commit: string
  /** Paths that are not as in HEAD, as `git status --porcelain` has them. */
  readonly changes: readonly string[]
}

/** A release. */
export interface Plan {
  /** As it is compiled in, and as files are named. */
  readonly version: string
  /** Markdown: the changelog's section. */
  readonly notes: string
  /** Date of the release, YYYY-MM-DD; a snapshot has none. */
  readonly date?: string
}

/** Digits of a commit in the version of a snapshot. */
const DIGITS = 12

/**
 * A release has the version of package.json, is made of a commit alone, and has a section with a date in the changelog. A snapshot may be of any
 * tree; its version says which, and its notes are those that are not released yet.
 * @throws ReleaseError
 */
export function planRelease(tree: TreeFacts, changelog: string, isSnapshot: boolean): Plan {
  const { version, commit, changes } = tree
  if (!/^\d+\.\d+\.\d+$/.test(version))
    throw new ReleaseError(`The version of package.json is "${version}"; must be like 1.2.3`)
  if (isSnapshot) {
    const state = changes.length > 0 ? '.dirty' : ''
    const name = `${version}-snapshot.${commit.slice(0, DIGITS)}${state}`
    return { version: name, notes: sectionOf(changelog, 'Unreleased') ?? 'Nothing that a user notices.\n' }
  }
  if (changes.length > 0)
    throw new ReleaseError(
      `Cannot release ${version}: ${changes.length} files are not as in the commit ${commit.slice(0, DIGITS)} (${shown(changes)}). Commit or remove them, or make a snapshot: --snapshot`,
    )
  const notes = sectionOf(changelog, version)
  if (notes === undefined)
    throw new ReleaseError(
      `Cannot release ${version}: CHANGELOG.md has no section "## [${version}] - DATE" with a text. Give the section "## [Unreleased]" that name, or make a snapshot: --snapshot`,
    )
  return { version, notes, date: dateOf(changelog, version) }
}

/** The date of a section of a changelog. @throws ReleaseError without one */
function dateOf(changelog: string, version: string): string {
  const [, word = ''] = headingOf(changelog, version)?.split(' - ') ?? []
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(word) && new Date(`${word}T00:00Z`).toJSON()?.startsWith(word)
  if (isDate === true) return word
  throw new ReleaseError(
    `Cannot release ${version}: the date of its section in CHANGELOG.md is "${word}"; must be the day of the release, as in "## [${version}] - 2026-11-29"`,
  )
}

function headingOf(changelog: string, name: string): string | undefined {
  return changelog.split('\n').find((line) => line === `## [${name}]` || line.startsWith(`## [${name}] - `))
}

/**
 * The text of a section of a changelog in the form of Keep a Changelog 1.1.0, without its heading; undefined when there is none, or
 * nothing in it.
 */
export function sectionOf(changelog: string, name: string): string | undefined {
  const lines = changelog.split('\n')
  const heading = headingOf(changelog, name)
  if (heading === undefined) return undefined
  const rest = lines.slice(lines.indexOf(heading) + 1)
  const end = rest.findIndex((line) => /^## |^\[[^\]]+\]: /.test(line))
  const text = rest
    .slice(0, end < 0 ? undefined : end)
    .join('\n')
    .trim()
  return text.replace(/^#+ .*$/gm, '').trim() === '' ? undefined : `${text}\n`
}

function shown(paths: readonly string[]): string {
  const first = paths.slice(0, 5).join(', ')
  return paths.length > 5 ? `${first} and ${paths.length - 5} more` : first
}

/** The notes as a page of their own: the files that they name are not beside it. */
export function releaseNotes({ version, date, notes, commit }: Plan & { readonly commit: string }): string {
  const title = `# vf-flower ${version}${date === undefined ? '' : ` - ${date}`}`
  return `${title}\n\nFiles below \`docs\` and others that are named here are in the sources, commit ${commit}.\n\n${notes}`
}
