// Debian packages that tests use without installing them: a package that starts a service must not do so on this machine. apt downloads
// from the configured sources; each package is unpacked below the cache folder, once for each version. In: a name. Out: a folder.
// Synchronous: the tests' configuration asks before it has a promise to wait for.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './kernel.ts'

/** A package can't be had. The message has apt's own words. */
export class PackageMissing extends Error {
  override readonly name = 'PackageMissing'
}

/** Milliseconds for which an answer of apt counts: a question costs it a second of a processor. */
const DAY = 24 * 3600 * 1000

/**
 * The folder with the unpacked files of a package, in the version that apt's lists have, asked once a day. Without network, or without
 * such a package in the lists, the newest version of the cache. @throws PackageMissing
 */
export function unpackedPackage(name: string): string {
  const kept = newestKept(name)
  const version = candidate(name)
  if (version === undefined) {
    if (kept !== undefined) return kept
    throw new PackageMissing(`apt's lists have no package ${name}, and the cache has none`)
  }
  const folder = folderOf(name, version)
  if (existsSync(folder)) return folder
  try {
    unpackInto(folder, name, version)
    return folder
  } catch (error) {
    if (kept === undefined) throw error
    process.stderr.write(`lab: ${String(error)}; using ${kept}\n`)
    return kept
  }
}

/** The reason why a package can't be had, or undefined: then its files are in the cache. */
export function lackOf(name: string): string | undefined {
  try {
    unpackedPackage(name)
    return undefined
  } catch (error) {
    if (error instanceof PackageMissing) return error.message
    throw error
  }
}

/** The version that apt would install. */
function candidate(name: string): string | undefined {
  const note = join(cacheFolder(), `package-${name}.version`)
  const age = Date.now() - (statSync(note, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  if (age >= 0 && age < DAY) return readFileSync(note, 'utf8')
  const { stdout } = spawnSync('apt-cache', ['show', '--no-all-versions', name], { encoding: 'utf8' })
  const version = /^Version: (.+)$/m.exec(stdout ?? '')?.[1]
  if (version === undefined) return undefined
  mkdirSync(cacheFolder(), { recursive: true })
  // Another process may write the same at the same time.
  writeFileSync(`${note}.${process.pid}`, version)
  renameSync(`${note}.${process.pid}`, note)
  return version
}

function folderOf(name: string, version: string): string {
  return join(cacheFolder(), `package-${name}-${version}`)
}

function newestKept(name: string): string | undefined {
  const begin = `package-${name}-`
  const versions = (existsSync(cacheFolder()) ? readdirSync(cacheFolder()) : [])
    .filter((one) => one.startsWith(begin) && /^\d/.test(one.slice(begin.length)) && !one.includes('.part-'))
    .map((one) => one.slice(begin.length))
  const newest = versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  return newest === undefined ? undefined : folderOf(name, newest)
}

function unpackInto(folder: string, name: string, version: string): void {
  process.stderr.write(`lab: downloading ${name}=${version}\n`)
  mkdirSync(cacheFolder(), { recursive: true })
  const temporary = mkdtempSync(`${folder}.part-`)
  try {
    const archives = join(temporary, 'archives')
    mkdirSync(archives)
    // apt's download user can't read root's own folders.
    must('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', `${name}=${version}`], archives)
    for (const archive of readdirSync(archives))
      must('dpkg-deb', ['-x', join(archives, archive), temporary], archives)
    rmSync(archives, { recursive: true })
    // Another process may have been faster and have made the same folder.
    if (!existsSync(folder)) renameSync(temporary, folder)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

function must(program: string, args: readonly string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  if (status === 0) return
  throw new PackageMissing(`Cannot run "${program} ${args.join(' ')}": ${error?.message ?? stderr.trim()}`)
}
