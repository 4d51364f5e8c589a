// The root folder of a clean Debian of the running release, as debootstrap would make it, with containerd, Node and npm, and nothing of this
// project. In: nothing. Out: a folder below the cache folder, which nobody may change. Made once for each list of packages, by mmdebstrap,
// from the configured sources.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../kernel.ts'
import { AptError, apt, configuredSources, releaseName } from '../other-apt.ts'
import { unpackedPackage } from '../packages.ts'

/** Packages beside those of priority "required" and "important". */
const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'ca-certificates'],
  ...['containerd', 'runc', 'containernetworking-plugins'],
  ...['nodejs', 'npm'],
]
/** Packages that are downloaded and not installed: the build asks apt for them, and gets them without a network. */
const downloaded = ['gcc', 'libc6-dev']

/** The folder. @throws AptError */
export function cleanRoot(): string {
  const release = releaseName()
  const key = createHash('sha256').update([release, ...packages, '', ...downloaded].join('\n'))
  const folder = join(cacheFolder(), `clean-${release}-${key.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  process.stderr.write(`lab: making the root folder of a clean ${release}: it takes minutes, once\n`)
  const { folder: mmdebstrap } = unpackedPackage('mmdebstrap')
  const temporary = mkdtempSync(`${folder}.part-`)
  try {
    const root = join(temporary, 'root')
    const sources = configuredSources()
    if (sources.length === 0) throw new AptError('apt has no configured source of the network')
    apt(join(mmdebstrap, 'usr/bin/mmdebstrap'), [
      ...['--mode=root', '--variant=important', `--include=${packages.join(',')}`],
      // Its lists stay, for the build's question.
      ...['--skip=cleanup/apt', '--aptopt=Acquire::Languages "none"', '--quiet'],
      `--customize-hook=chroot "$1" sh -c "apt-get clean && apt-get -qq install -y --download-only --no-install-recommends ${downloaded.join(' ')}"`,
      ...[release, root, ...sources],
    ])
    renameSync(root, folder)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
  return folder
}
