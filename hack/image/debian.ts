// Debian packages of either processor, unpacked and not installed. In: names. Out: folders and versions.
import { unpackedPackage } from '../lab/packages.ts'
import { type Architecture, ownArchitecture } from './layout.ts'

/** An unpacked package. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: Architecture
  /** The package's files are below it. */
  readonly folder: string
}

/** The packages `names` for a processor, in the newest versions of the sources. @throws AptError */
export function debianPackages(
  names: readonly string[],
  architecture: Architecture,
): readonly DebianPackage[] {
  const end = architecture === ownArchitecture ? '' : `:${architecture}`
  return names.map((name) => ({ name, architecture, ...unpackedPackage(`${name}${end}`) }))
}
