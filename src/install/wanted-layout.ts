/** Decides what is installed where: from the wishes, the runtimes' configs, and the install before. */
import { isThere, realPath } from '../sys/files.ts'
import { type Alias, aliasNames, type Wishes } from './command-line.ts'
import { InstallError } from './errors.ts'
import type { Layout } from './files/layout.ts'
import { type Manifest, namesLink } from './files/manifest.ts'
import { type NetworkFile, wantedNetwork } from './network.ts'
import { type Found, type NamedFolder, once } from './runtimes/find.ts'

/** The decision. */
export interface Decision {
  readonly layout: Layout
  /** CNI folders, and who has named each. */
  readonly folders: readonly NamedFolder[]
  readonly network: NetworkFile | undefined
}

/** See the head of this file. @throws InstallError */
export function layoutFor(
  {
    root,
    binDirs: named,
    aliases: wished,
    network: wish,
    libexecDir: wishedLibexec,
    service,
  }: Pick<Wishes, 'root' | 'binDirs' | 'aliases' | 'network' | 'libexecDir' | 'service'>,
  {
    found,
    former,
    unit,
    ...given
  }: Pick<Layout, 'sources' | 'unit' | 'isEnabled'> & { found: Found; former: Manifest | undefined },
): Decision {
  // A folder that was found may be one of many, and the config that can't be read may name another one.
  if (named.length === 0 && found.problems.length > 0)
    throw new InstallError(`${found.problems.join('; ')}. Mend it, or name the CNI folders with --bin-dir`)
  const now = named.length > 0 ? named.map((path) => ({ path, by: '--bin-dir' })) : found.binDirs
  if (now.length === 0)
    throw new InstallError(
      'Cannot find a CNI folder: no config of containerd, CRI-O or k3s names one, and neither /opt/cni/bin nor /usr/lib/cni is there. Name it with --bin-dir',
    )
  const before = (former?.binDirs ?? []).filter((path) => isThere(root + path))
  const folders = once(root, [...now, ...before.map((path) => ({ path, by: 'the install before' }))])
  const libexecDir = wishedLibexec ?? former?.libexecDir
  requireApart(root, libexecDir, folders)
  const network = wish === undefined ? undefined : wantedNetwork(wish)
  const texts =
    network === undefined
      ? []
      : found.confDirs.map(({ path }) => ({ path: `${path}/${network.name}`, text: network.text }))
  const binDirs = folders.map(({ path }) => path)
  const aliases = new Map(
    binDirs.map((folder) => [folder, [...new Set([...wished, ...aliasesIn(folder, former)])]]),
  )
  const layout = {
    ...{ ...given, binDirs, aliases, libexecDir, networks: texts },
    unit: service ? unit : undefined,
  }
  return { layout, folders, network }
}

/** Both have files of one name, which are not the same; and a link can't be a folder. @throws InstallError */
function requireApart(root: string, dir: string | undefined, folders: readonly NamedFolder[]): void {
  if (dir === undefined) return
  if (dir === namesLink || dir.startsWith(`${namesLink}/`))
    throw new InstallError(
      `Cannot use --libexec-dir "${dir}": the installer keeps "${namesLink}" as a link to the folder that is named; must be another one`,
    )
  const real = (path: string) => realPath(root + path) ?? root + path
  if (folders.some(({ path }) => real(path) === real(dir)))
    throw new InstallError(`Cannot use --libexec-dir "${dir}": it is a CNI folder; must be another one`)
}

/** Aliases of an install before: they must be of the new build, too. */
function aliasesIn(folder: string, former: Manifest | undefined): readonly Alias[] {
  const paths = (former?.files ?? []).flatMap(({ purpose, path }) => (purpose === 'alias' ? [path] : []))
  return aliasNames.filter((name) => paths.some((path) => path === `${folder}/${name}`))
}
