// apt for another suite of the running distribution, such as sid: with a configuration and lists of its own below the cache folder, so that
// the machine's apt knows nothing of it. In: a suite. Out: options for apt's programs.
import { spawnSync } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './kernel.ts'

/** A program of apt failed, or its sources say nothing of the running release. The message has its words. */
export class AptError extends Error {
  override readonly name = 'AptError'
}

/** Milliseconds for which lists and answers of apt count. */
export const DAY = 24 * 3600 * 1000

/** Options for apt's programs; the lists are got once a day. @throws AptError */
export function aptOptions(suite: string): string[] {
  const folder = join(cacheFolder(), `apt-${suite}`)
  for (const part of ['lists', 'archives']) mkdirSync(join(folder, part, 'partial'), { recursive: true })
  const sources = join(folder, 'suite.sources')
  writeFileSync(sources, sourceOf(suite))
  const options = Object.entries({
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'Acquire::Languages': 'none',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const stamp = join(folder, 'stamp')
  if (!isYoung(stamp)) {
    apt('apt-get', [...options, ...AS_ROOT, '-q', 'update'])
    writeFileSync(stamp, '')
  }
  return options
}

/** apt's download user can't read root's own folders. */
export const AS_ROOT = ['-o', 'APT::Sandbox::User=root'] as const

/** True if a file is there that was written less than a day ago. */
export function isYoung(file: string): boolean {
  const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  return age >= 0 && age < DAY
}

/** Runs a program to its end and returns its standard output. @throws AptError */
export function apt(program: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  if (status === 0) return stdout
  throw new AptError(`Cannot run "${program} ${args.join(' ')}": ${error?.message ?? stderr.trim()}`)
}

/** The configured source of the running release, with another suite. */
function sourceOf(suite: string): string {
  const release = apt('sh', ['-c', '. /etc/os-release && echo "$VERSION_CODENAME"']).trim()
  const format = '$(CREATED_BY)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)'
  for (const line of apt('apt-get', ['indextargets', '--format', format]).split('\n')) {
    const [kind, site, name, component, signedBy = ''] = line.split('|')
    if (kind !== 'Packages' || name !== release || component !== 'main') continue
    const key = signedBy === '' || signedBy.startsWith('$') ? '' : `Signed-By: ${signedBy}\n`
    return `Types: deb\nURIs: ${site}\nSuites: ${suite}\nComponents: main\n${key}`
  }
  throw new AptError(`Cannot find a source of ${release} among apt's sources`)
}
