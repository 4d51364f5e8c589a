// Debian packages of either processor, unpacked and not installed. Those of this machine come as apt is configured; those of another one
// by a configuration of its own, made from the configured sources. In: names. Out: folders and versions.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { cacheFolder, madeOnce } from '../lab/kernel.ts'
import { unpackedPackage } from '../lab/packages.ts'
import type { Architecture } from './layout.ts'

/** An unpacked package. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: Architecture
  /** The package's files are below it. */
  readonly folder: string
}

/** A package can't be had. The message has apt's own words. */
export class DebianError extends Error {
  override readonly name = 'DebianError'
}

/** Milliseconds for which lists of packages count. */
const DAY = 24 * 3600 * 1000

/** The processor of this machine. */
export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** The packages `names` for a processor, in the newest versions of the sources. @throws DebianError, AptError */
export async function debianPackages(
  names: readonly string[],
  architecture: Architecture,
): Promise<readonly DebianPackage[]> {
  if (architecture === ownArchitecture)
    return names.map((name) => ({ name, architecture, ...unpackedPackage(name) }))
  const options = aptOptions(architecture)
  const packages: DebianPackage[] = []
  for (const name of names) packages.push(await foreign(name, architecture, options))
  return packages
}

async function foreign(
  name: string,
  architecture: Architecture,
  options: readonly string[],
): Promise<DebianPackage> {
  const shown = run('apt-cache', [...options, 'show', '--no-all-versions', name])
  const version = /^Version: (.+)$/m.exec(shown)?.[1]
  if (version === undefined)
    throw new DebianError(`Cannot find the package ${name} for ${architecture} in the configured sources`)
  const folder = join(cacheFolder(), `package-${architecture}-${name}-${version}`)
  await madeOnce(folder, async (temporary) => {
    const archives = join(temporary, 'archives')
    mkdirSync(archives)
    run('apt-get', [...options, '-q', 'download', `${name}=${version}`], archives)
    for (const archive of readdirSync(archives))
      run('dpkg-deb', ['-x', join(archives, archive), temporary], archives)
    rmSync(archives, { recursive: true })
  })
  return { name, version, architecture, folder }
}

/** Options with which apt knows the packages of another processor alone. Its lists are kept for a day. */
function aptOptions(architecture: Architecture): readonly string[] {
  const folder = join(cacheFolder(), `apt-${architecture}`)
  for (const one of ['lists/partial', 'archives/partial']) mkdirSync(join(folder, one), { recursive: true })
  const sources = join(folder, 'configured.list')
  writeFileSync(sources, sourcesFor(architecture))
  const options = Object.entries({
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(folder, 'lists'),
    // What is installed on this machine has no say.
    'Dir::State::status': '/dev/null',
    'Dir::Cache': folder,
    // apt's download user can't read root's own folders.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const stamp = join(folder, 'stamp')
  if (!existsSync(stamp) || Date.now() - statSync(stamp).mtimeMs > DAY) {
    run('apt-get', [...options, '-q', 'update'])
    writeFileSync(stamp, '')
  }
  return options
}

/** The configured sources with packages of Debian, one a line (sources.list(5)). */
function sourcesFor(architecture: Architecture): string {
  const format = '$(CREATED_BY)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)'
  const lines = run('apt-get', ['indextargets', '--format', format]).split('\n')
  return lines
    .flatMap((line) => {
      const [kind, site = '', release, component, key = ''] = line.split('|')
      if (kind !== 'Packages' || !/^https?:/.test(site)) return []
      const signed = key === '' || key.startsWith('$') ? '' : ` signed-by=${key}`
      return [`deb [arch=${architecture}${signed}] ${site} ${release} ${component}\n`]
    })
    .join('')
}

function run(program: string, args: readonly string[], cwd = '/'): string {
  const { failed, stdout, stderr, message } = execaSync(program, args, { cwd, reject: false })
  if (failed)
    throw new DebianError(`Cannot run "${program} ${args.join(' ')}": ${stderr === '' ? message : stderr}`)
  return stdout
}
