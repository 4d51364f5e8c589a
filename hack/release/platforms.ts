// The platforms that a release is for. In: names of a command line. Out: a table.
import type { Architecture } from '../image/layout.ts'
import type { CLibrary } from '../image/npm.ts'
import { ReleaseError } from './errors.ts'

/** A processor with a C library. */
export interface Platform {
  /** As archives are named, such as `linux-arm64-musl`. */
  readonly name: string
  readonly architecture: Architecture
  readonly libc: CLibrary
  /** The folder below `dist` that hack/build.ts makes when it is told of another processor than its own. */
  readonly folder: string
}

function platform(architecture: Architecture, libc: CLibrary): Platform {
  const folder = `${architecture}${libc === 'musl' ? '-musl' : ''}`
  return { name: `linux-${folder}`, architecture, libc, folder }
}

/** All platforms of a release. */
export const platforms: readonly Platform[] = [
  platform('amd64', 'glibc'),
  platform('amd64', 'musl'),
  platform('arm64', 'glibc'),
  platform('arm64', 'musl'),
]

/** The platforms of these names; all without names. @throws ReleaseError */
export function platformsOf(names: readonly string[]): readonly Platform[] {
  for (const name of names)
    if (!platforms.some((one) => one.name === name))
      throw new ReleaseError(
        `--platform is "${name}"; must be ${platforms.map((one) => one.name).join(', ')}`,
      )
  return platforms.filter(({ name }) => names.length === 0 || names.includes(name))
}

/** The C compiler for a processor on a machine with the processor `own`, by its name in Debian. */
export function compilerFor(architecture: Architecture, own: Architecture): string {
  if (architecture === own) return 'gcc'
  return `${architecture === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu-gcc`
}
