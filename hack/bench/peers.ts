/**
 * The Go plugins that ours are compared with: those that the distribution installs, and the newest ones of Debian sid. Those come
 * through apt with a configuration of its own, are unpacked below the cache folder, and are never installed. In: nothing. Out: folders.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { cacheFolder, madeOnce } from '../lab/kernel.ts'

const PACKAGE = 'containernetworking-plugins'
/** The suite that has the newest plugins. */
const SUITE = 'sid'

/** The plugins of one version. */
export interface Peer {
  /** Version of the plugins, e.g. `1.1.1`. */
  readonly version: string
  /** The folder that holds the programs. */
  readonly folder: string
}

/** The plugins that are installed. @throws Error of dpkg-query if none are */
export async function installedPeer(): Promise<Peer> {
  const { stdout } = await execa('dpkg-query', ['-W', PACKAGE])
  return { version: upstream(stdout.split('\t')[1] ?? ''), folder: '/usr/lib/cni' }
}

/**
 * The newest plugins. Without network the newest ones of the cache.
 * @throws Error with apt's own words if there are none in the cache either
 */
export async function newestPeer(): Promise<Peer> {
  const apt = await aptOfSuite().catch((error: unknown) => {
    process.stderr.write(`bench: no plugins of ${SUITE}: ${String(error)}\n`)
    return undefined
  })
  if (apt === undefined) return cachedPeer()
  const folder = join(cacheFolder(), `peers-${apt.version}`)
  await madeOnce(folder, async (temporary) => {
    process.stderr.write(`bench: downloading ${PACKAGE}=${apt.version}\n`)
    const archives = join(temporary, 'archives')
    await mkdir(archives)
    await execa('apt-get', [...apt.options, '-q', 'download', `${PACKAGE}=${apt.version}`], { cwd: archives })
    for (const archive of await readdir(archives))
      await execa('dpkg-deb', ['-x', join(archives, archive), temporary])
    await rm(archives, { recursive: true })
  })
  return peerIn(apt.version)
}

/** `1.1.1` of `1.1.1+ds1-3+b17`. */
function upstream(version: string): string {
  return /^(?:\d+:)?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? version
}

function peerIn(version: string): Peer {
  return { version: upstream(version), folder: join(cacheFolder(), `peers-${version}`, 'usr/lib/cni') }
}

async function cachedPeer(): Promise<Peer> {
  const names = await readdir(cacheFolder()).catch(() => [])
  const versions = names.flatMap((name) => /^peers-([^/]*)$/.exec(name)?.[1] ?? [])
  const newest = versions
    .filter((version) => !version.includes('.part-'))
    .sort(byVersion)
    .at(-1)
  if (newest === undefined) throw new Error(`Cannot find ${PACKAGE} of ${SUITE}: not in the cache either`)
  return peerIn(newest)
}

function byVersion(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true })
}

/** apt for the suite alone: options for its programs, and the version of the package there. Lists are kept for a day. */
async function aptOfSuite(): Promise<{ options: string[]; version: string }> {
  const folder = join(cacheFolder(), `apt-${SUITE}`)
  await mkdir(join(folder, 'lists/partial'), { recursive: true })
  await mkdir(join(folder, 'archives/partial'), { recursive: true })
  const sources = join(folder, 'suite.sources')
  await writeFile(sources, await sourceOfSuite())
  const options = Object.entries({
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    // apt's download user can't read root's own folders.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const policy = async () => {
    const { stdout } = await execa('apt-cache', [...options, 'madison', PACKAGE], { reject: false })
    return stdout.split('\n').flatMap((line) => line.split('|')[1]?.trim() ?? [])[0]
  }
  const stamp = join(folder, 'stamp')
  const known = existsSync(stamp) && !(await isOld(stamp)) ? await policy() : undefined
  if (known !== undefined) return { options, version: known }
  await execa('apt-get', [...options, '-q', 'update'])
  await writeFile(stamp, '')
  const version = await policy()
  if (version === undefined) throw new Error(`Cannot find ${PACKAGE} in ${SUITE}`)
  return { options, version }
}

async function isOld(file: string): Promise<boolean> {
  const { stdout } = await execa('find', [file, '-mtime', '+0'])
  return stdout !== ''
}

/** The configured source of the running release, with another suite. */
async function sourceOfSuite(): Promise<string> {
  const { stdout: release } = await execa('sh', ['-c', '. /etc/os-release && echo "$VERSION_CODENAME"'])
  const format = '$(CREATED_BY)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)'
  const { stdout } = await execa('apt-get', ['indextargets', '--format', format])
  for (const line of stdout.split('\n')) {
    const [kind, site, name, component, signedBy = ''] = line.split('|')
    if (kind !== 'Packages' || name !== release || component !== 'main') continue
    const key = signedBy === '' || signedBy.startsWith('$') ? '' : `Signed-By: ${signedBy}\n`
    return `Types: deb\nURIs: ${site}\nSuites: ${SUITE}\nComponents: main\n${key}`
  }
  throw new Error(`Cannot find a source of ${release} among apt's sources`)
}
