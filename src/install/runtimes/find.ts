/** The folders in which container runtimes of a node look for plugins and for network configs. Reads files only. */
import { plainPath } from '../../lib/path.ts'
import { isThere, realPath } from '../../sys/files.ts'
import { type CniFolders, containerdFolders } from './containerd.ts'
import { crioFile, crioFolders } from './crio.ts'
import { ConfigProblem } from './toml.ts'

/** A folder, and who has named it. */
export interface NamedFolder {
  readonly path: string
  /** Such as `containerd, /etc/containerd/config.toml`. */
  readonly by: string
}

/** The outcome of a look. Paths are those below the root. */
export interface Found {
  /** CNI folders; none: nobody names one and there is none. */
  readonly binDirs: readonly NamedFolder[]
  readonly confDirs: readonly NamedFolder[]
  /** Configs that can't be used, with the reason. */
  readonly problems: readonly string[]
  /** Things that an operator may wonder about. */
  readonly notes: readonly string[]
}

/** Configs of containerd, by the name of who has brought it. k3s and RKE2 write theirs anew with each start. */
const containerds = [
  ['containerd', '/etc/containerd/config.toml'],
  ['k3s', '/var/lib/rancher/k3s/agent/etc/containerd/config.toml'],
  ['RKE2', '/var/lib/rancher/rke2/agent/etc/containerd/config.toml'],
] as const

/** CNI folders of distributions, and of a k3s that has not written its config yet, for a node whose configs name none. */
const usualFolders = [
  '/opt/cni/bin',
  '/usr/lib/cni',
  '/var/lib/rancher/k3s/data/cni',
  '/var/lib/rancher/k3s/data/current/bin',
]

/** Looks at the configs of all runtimes below `root` ('' for the node itself). */
export function findFolders(root: string): Found {
  const problems: string[] = []
  const notes: string[] = []
  const named: (CniFolders & { readonly by: string })[] = []
  const look = (by: string, read: () => CniFolders | 'off' | undefined) => {
    try {
      const found = read()
      if (found === 'off')
        notes.push(`${by}: its part for Kubernetes is switched off (disabled_plugins): no CNI folder`)
      else if (found !== undefined) named.push({ ...found, by })
    } catch (error) {
      if (!(error instanceof ConfigProblem)) throw error
      problems.push(error.message)
    }
  }
  for (const [name, file] of containerds) look(`${name}, ${file}`, () => containerdFolders(root, file))
  look(`CRI-O, ${isThere(root + crioFile) ? crioFile : `${crioFile}.d`}`, () => crioFolders(root))
  const usual = usualFolders
    .filter((path) => isThere(root + path))
    .map((path) => ({ path, by: 'it is there' }))
  const binDirs = named.flatMap(({ binDirs: paths, by }) =>
    paths.map((path) => ({ path: plainPath(path), by })),
  )
  const confDirs = named.flatMap(({ confDirs: paths, by }) =>
    paths.map((path) => ({ path: plainPath(path), by })),
  )
  return {
    binDirs: once(root, binDirs.length === 0 ? usual : binDirs),
    confDirs: once(root, confDirs.length === 0 ? [{ path: '/etc/cni/net.d', by: 'the default' }] : confDirs),
    ...{ problems, notes },
  }
}

/** Each folder once, though two paths may lead to it. */
export function once(root: string, folders: readonly NamedFolder[]): readonly NamedFolder[] {
  const seen = new Set<string>()
  return folders.filter(({ path }) => {
    const real = realPath(root + path) ?? root + path
    if (path === '' || seen.has(real)) return false
    seen.add(real)
    return true
  })
}
