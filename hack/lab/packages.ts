// Debian packages that tests use without installing them: a package that starts a service must not do so on this machine. apt downloads
// them; each is unpacked below the cache folder, once for each version. In: `NAME`, from the configured sources, `NAME/SUITE`, from
// another suite, or `NAME:ARCHITECTURE`, for another processor. Out: a folder. Synchronous: the tests' configuration asks before it has a promise to wait for.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './kernel.ts'
import { AptError, AS_ROOT, apt, architectureOptions, isYoung, suiteOptions } from './other-apt.ts'

/** An unpacked package. */
export interface UnpackedPackage {
  /** Debian's version, e.g. `1.9.1+ds1-1`. */
  readonly version: string
  readonly folder: string
}

/**
 * A package in the version that apt would install; apt is asked once a day. When apt doesn't know the package, or can't download it, the
 * newest version of the cache. @throws AptError
 */
export function unpackedPackage(wanted: string): UnpackedPackage {
  const source = sourceOf(wanted)
  try {
    const version = candidate(source)
    const folder = folderOf(source, version)
    if (!existsSync(folder))
      unpackInto(folder, [...source.options(), ...AS_ROOT], `${source.name}=${version}`)
    return { version, folder }
  } catch (error) {
    const kept = error instanceof AptError ? newestKept(source) : undefined
    if (kept === undefined) throw error
    process.stderr.write(`lab: ${String(error)}; using ${wanted} ${kept.version} of the cache\n`)
    return kept
  }
}

/** The reason why a package can't be had, or undefined: then its files are in the cache. */
export function lackOf(wanted: string): string | undefined {
  try {
    unpackedPackage(wanted)
    return undefined
  } catch (error) {
    if (error instanceof AptError) return error.message
    throw error
  }
}

/** A package as apt has to be asked for it. */
interface Source {
  readonly name: string
  /** Name of its folder in the cache, without the version. */
  readonly kept: string
  /** Name of the file in the cache with apt's last answer. */
  readonly note: string
  readonly options: () => readonly string[]
}

function sourceOf(wanted: string): Source {
  const [, name = '', sign, other = ''] = /^([^/:]+)(?:([/:])(.+))?$/.exec(wanted) ?? []
  if (sign === ':') {
    const kept = `package-${other}-${name}`
    return { name, kept, note: `${kept}.version`, options: () => architectureOptions(other) }
  }
  const kept = `package-${name}`
  if (sign === '/')
    return { name, kept, note: `${kept}.${other}.version`, options: () => suiteOptions(other) }
  return { name, kept, note: `${kept}.version`, options: () => [] }
}

function folderOf({ kept }: Source, version: string): string {
  return join(cacheFolder(), `${kept}-${version}`)
}

/** The version that apt would install. A question costs apt a second of a processor, so its answer is kept. */
function candidate({ name, note: file, options }: Source): string {
  const note = join(cacheFolder(), file)
  if (isYoung(note)) return readFileSync(note, 'utf8')
  const shown = apt('apt-cache', [...options(), 'show', '--no-all-versions', name])
  const version = /^Version: (.+)$/m.exec(shown)?.[1]
  if (version === undefined) throw new AptError(`apt knows no package ${name}`)
  mkdirSync(cacheFolder(), { recursive: true })
  // Another process may write the same at the same time.
  writeFileSync(`${note}.${process.pid}`, version)
  renameSync(`${note}.${process.pid}`, note)
  return version
}

function newestKept(source: Source): UnpackedPackage | undefined {
  const begin = `${source.kept}-`
  const versions = (existsSync(cacheFolder()) ? readdirSync(cacheFolder()) : [])
    .filter((one) => one.startsWith(begin) && /^\d/.test(one.slice(begin.length)) && !one.includes('.part-'))
    .map((one) => one.slice(begin.length))
  const version = versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  return version === undefined ? undefined : { version, folder: folderOf(source, version) }
}

function unpackInto(folder: string, options: readonly string[], what: string): void {
  process.stderr.write(`lab: downloading ${what}\n`)
  const temporary = mkdtempSync(`${folder}.part-`)
  try {
    const archives = join(temporary, 'archives')
    mkdirSync(archives)
    apt('apt-get', [...options, '-q', 'download', what], archives)
    for (const archive of readdirSync(archives)) apt('dpkg-deb', ['-x', archive, temporary], archives)
    rmSync(archives, { recursive: true })
    // Another process may have been faster and have made the same folder.
    if (!existsSync(folder)) renameSync(temporary, folder)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}
