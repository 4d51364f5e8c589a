// The kernel of the virtual machine: the distribution's current one. apt downloads it from the configured sources; it is unpacked
// below the user's cache folder and never installed. In: nothing. Out: paths. Imports node: modules and execa.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'

/** An unpacked kernel. All paths are absolute and below {@link cacheFolder}. */
export interface Kernel {
  /** The answer of `uname -r` in the guest, e.g. `6.12.48+deb13-amd64`. */
  readonly release: string
  /** Version of the Debian package, e.g. `6.12.48-1`. */
  readonly version: string
  /** The compressed kernel image for QEMU's `-kernel`. */
  readonly image: string
  /** The folder for `/lib/modules/RELEASE`, with `modules.dep`. */
  readonly modules: string
  /** The folder of this kernel. */
  readonly folder: string
}

/** `$XDG_CACHE_HOME/vf-flower` or `~/.cache/vf-flower`; everything in it can be made again. */
export function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'vf-flower')
}

/**
 * The kernel that `linux-image-amd64` depends on, downloaded when it is not in the cache.
 * Throws with apt's own words when neither the cache nor the sources have it.
 */
export function kernel(): Promise<Kernel> {
  return ofCurrentKernel(async ({ release, version }) => {
    const folder = join(cacheFolder(), `kernel-${version}`)
    const modules = join(folder, 'usr/lib/modules', release)
    await unpackedOnce(folder, [`linux-image-${release}=${version}`], async (temporary) => {
      await execa('depmod', ['-b', join(temporary, 'usr'), release])
    })
    return { release, version, folder, modules, image: join(folder, 'boot', `vmlinuz-${release}`) }
  })
}

/**
 * Headers for building modules for the kernel `release` of a running machine, or without `release` for {@link kernel}. Returns the
 * folder for `make -C FOLDER M=...` (the compiler is gcc-14). Downloads headers that are not in the cache; throws with apt's own
 * words when it can't. The sources keep the newest kernel only: to build modules for a machine, ask for the headers before
 * booting it.
 */
export async function kernelHeaders(release?: string): Promise<string> {
  const running = release === undefined ? undefined : await cachedKernel(release)
  return running === undefined ? ofCurrentKernel(headersOf) : headersOf(running)
}

/**
 * The folder `tools/testing/selftests/net` of the sources of {@link kernel}, with `lib.sh` and the folder `forwarding` alone. From
 * the package `linux-source-VERSION` of the same version, unpacked and not installed. Throws with apt's own words.
 */
export function kernelSelftests(): Promise<string> {
  return ofCurrentKernel(async ({ release, version }) => {
    const folder = join(cacheFolder(), `selftests-${version}`)
    const series = /^\d+\.\d+/.exec(release)?.[0] ?? release
    const inside = 'tools/testing/selftests/net'
    await unpackedOnce(folder, [`linux-source-${series}=${version}`], async (temporary) => {
      const archive = join(temporary, `usr/src/linux-source-${series}.tar.xz`)
      const wanted = ['lib.sh', 'forwarding'].map((name) => `linux-source-${series}/${inside}/${name}`)
      await execa('tar', ['-xJf', archive, '-C', temporary, '--strip-components=1', ...wanted])
      await rm(join(temporary, 'usr'), { recursive: true })
    })
    return join(folder, inside)
  })
}

async function headersOf({ release, version }: KernelName): Promise<string> {
  const base = release.replace(/-[a-z0-9]+$/, '')
  const folder = join(cacheFolder(), `headers-${version}`)
  const inFolder = `usr/src/linux-headers-${release}`
  const packages = [`linux-headers-${release}`, `linux-headers-${base}-common`, `linux-kbuild-${base}`]
  await unpackedOnce(
    folder,
    packages.map((name) => `${name}=${version}`),
    async (temporary) => {
      // The only absolute path in the three packages; all links in them are relative.
      const makefile = join(temporary, inFolder, 'Makefile')
      const text = await readFile(makefile, 'utf8')
      await writeFile(makefile, text.replaceAll('/usr/src/', `${folder}/usr/src/`))
      // Only type information in modules needs it, and would need one more tool; the build leaves that out.
      await rm(join(temporary, inFolder, 'vmlinux'), { force: true })
    },
  )
  return join(folder, inFolder)
}

/** Runs `make` once per folder, under another name, and renames the folder: so a folder that exists is complete. */
export async function madeOnce(folder: string, make: (temporary: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return
  await mkdir(dirname(folder), { recursive: true })
  const temporary = await mkdtemp(`${folder}.part-`)
  try {
    await make(temporary)
    await rename(temporary, folder).catch((error: unknown) => {
      // Another process was faster and has made the same folder.
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/**
 * Debian packages, downloaded and unpacked below `folder`, once; then `finish` may change what is there. Nothing is installed.
 * Throws with apt's own words when the sources do not have them.
 */
export function unpackedOnce(
  folder: string,
  packages: readonly string[],
  finish: (temporary: string) => Promise<void> = async () => undefined,
): Promise<void> {
  return madeOnce(folder, async (temporary) => {
    process.stderr.write(`lab: downloading ${packages.join(', ')}\n`)
    const archives = join(temporary, 'archives')
    await mkdir(archives)
    // apt's download user can't read root's own folders.
    await execa('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], {
      cwd: archives,
    }).catch((cause: unknown) => {
      throw new NotDownloaded(`Cannot download ${packages.join(', ')}: ${String(cause)}`, { cause })
    })
    for (const archive of await readdir(archives)) {
      await execa('dpkg', ['-x', join(archives, archive), temporary])
    }
    await rm(archives, { recursive: true })
    await finish(temporary)
  })
}

interface KernelName {
  readonly release: string
  readonly version: string
}

/** The sources lack a package that apt's lists promise. */
class NotDownloaded extends Error {
  override readonly name = 'NotDownloaded'
}

// Lists that are older than the sources name a kernel that the sources have replaced; new lists name the kernel that they have.
async function ofCurrentKernel<T>(get: (name: KernelName) => Promise<T>): Promise<T> {
  try {
    return await get(await currentKernel())
  } catch (error) {
    if (!(error instanceof NotDownloaded)) throw error
    process.stderr.write('lab: apt-get update, since that can not be downloaded\n')
    await refreshLists()
    return get(await currentKernel(true))
  }
}

async function cachedKernel(release: string): Promise<KernelName | undefined> {
  for (const name of await readdir(cacheFolder()).catch(() => [])) {
    const version = /^kernel-([^/]+)$/.exec(name)?.[1]
    const isIt = version !== undefined && !version.includes('.part-')
    if (isIt && existsSync(join(cacheFolder(), name, 'usr/lib/modules', release))) return { release, version }
  }
  return undefined
}

// Asking apt costs more than half a second, so the answer is kept until apt's lists change. If there are no lists (deleted to save
// space, and no network), the kept answer is better than none: the cache may have that kernel.
async function currentKernel(refreshed = false): Promise<KernelName> {
  if (process.arch !== 'x64') throw new Error(`Cannot run the lab on ${process.arch}: must be x86-64`)
  const answer = join(cacheFolder(), 'kernel.json')
  const kept = parseName(await readFile(answer, 'utf8').catch(() => ''))
  const isNewer = (await modifiedAt(answer)) > (await modifiedAt('/var/lib/apt/lists'))
  if (kept !== undefined && isNewer && !refreshed) return kept
  const found = await askApt().catch((error: unknown) => {
    if (kept === undefined) throw error
    return kept
  })
  await mkdir(cacheFolder(), { recursive: true })
  const temporary = `${answer}.${process.pid}`
  await writeFile(temporary, JSON.stringify(found))
  await rename(temporary, answer)
  return found
}

async function askApt(): Promise<KernelName> {
  for (const refresh of [false, true]) {
    if (refresh) await refreshLists()
    const shown = await execa('apt-cache', ['show', '--no-all-versions', 'linux-image-amd64'], {
      reject: false,
    })
    const match = /^Depends:.*\blinux-image-(\S+) \(= ([^)\s]+)\)/m.exec(shown.stdout)
    const [, release, version] = match ?? []
    if (release !== undefined && version !== undefined) return { release, version }
  }
  throw new Error("Cannot find package 'linux-image-amd64' in apt's sources")
}

async function refreshLists(): Promise<void> {
  await execa('apt-get', ['-q', 'update'])
}

function parseName(text: string): KernelName | undefined {
  try {
    const { release, version } = JSON.parse(text) as Partial<KernelName>
    return typeof release === 'string' && typeof version === 'string' ? { release, version } : undefined
  } catch {
    return undefined
  }
}

async function modifiedAt(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.mtimeMs,
    () => 0,
  )
}
