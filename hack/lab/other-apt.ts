// apt for another suite of the running distribution, such as sid, or for another processor: with a configuration and lists of its own below
// the cache folder, so that the machine's apt knows nothing of it. In: a suite or a processor. Out: options for apt's programs.
import { spawnSync } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './kernel.ts'

/** A program of apt failed, or its sources say nothing of the running release. The message has its words. */
export class AptError extends Error {
  override readonly name = 'AptError'
}

/** Milliseconds for which lists and answers of apt count. */
const DAY = 24 * 3600 * 1000

/** Options for apt's programs with the packages of another suite beside those that are installed. @throws AptError */
export function suiteOptions(suite: string): string[] {
  return optionsOf(suite, 'suite.sources', sourceOf(suite), {
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
  })
}

/** Options for apt's programs with the packages of another processor alone, such as arm64. @throws AptError */
export function architectureOptions(architecture: string): string[] {
  return optionsOf(architecture, 'configured.list', sourcesFor(architecture), {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    // What is installed on this machine has no say.
    'Dir::State::status': '/dev/null',
  })
}

/** Options with lists and sources of their own, below `apt-NAME` of the cache folder. The lists are got once a day. @throws AptError */
function optionsOf(
  name: string,
  file: string,
  text: string,
  more: Readonly<Record<string, string>>,
): string[] {
  const folder = join(cacheFolder(), `apt-${name}`)
  for (const part of ['lists', 'archives']) mkdirSync(join(folder, part, 'partial'), { recursive: true })
  const sources = join(folder, file)
  writeFileSync(sources, text)
  const options = Object.entries({
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'Acquire::Languages': 'none',
    ...more,
  }).flatMap(([option, value]) => ['-o', `${option}=${value}`])
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

/** Name of the running release, such as trixie. @throws AptError */
export function releaseName(): string {
  return apt('sh', ['-c', '. /etc/os-release && echo "$VERSION_CODENAME"']).trim()
}

/** The configured source of the running release, with another suite. */
function sourceOf(suite: string): string {
  const release = releaseName()
  const found = configured().find(({ name, component }) => name === release && component === 'main')
  if (found === undefined) throw new AptError(`Cannot find a source of ${release} among apt's sources`)
  const key = found.key === '' ? '' : `Signed-By: ${found.key}\n`
  return `Types: deb\nURIs: ${found.site}\nSuites: ${suite}\nComponents: main\n${key}`
}

/** The configured sources of the network, one a line (sources.list(5)), for a processor. */
function sourcesFor(architecture: string): string {
  return configuredSources(`arch=${architecture}`)
    .map((line) => `${line}\n`)
    .join('')
}

/** The same as lines. `more` are options of each (sources.list(5)). */
export function configuredSources(...more: readonly string[]): readonly string[] {
  return configured()
    .filter(({ site }) => /^https?:/.test(site))
    .map(({ site, name, component, key }) => {
      const options = [...more, ...(key === '' ? [] : [`signed-by=${key}`])]
      return `deb ${options.length === 0 ? '' : `[${options.join(' ')}] `}${site} ${name} ${component}`
    })
}

/** The configured sources with packages of Debian. */
function configured() {
  const format = '$(CREATED_BY)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)'
  return apt('apt-get', ['indextargets', '--format', format])
    .split('\n')
    .flatMap((line) => {
      const [kind, site = '', name = '', component = '', key = ''] = line.split('|')
      return kind === 'Packages' ? [{ site, name, component, key: key.startsWith('$') ? '' : key }] : []
    })
}
