/** The CNI folders in the config of containerd, in its formats 1 to 3 (containerd, docs/cri/config.md and docs/man/containerd-config.toml.5.md). */
import { partsOf, plainPath } from '../../lib/path.ts'
import { listFolder } from '../../sys/files.ts'
import { folderAt, foldersAt, readToml, type Table, tableAt, textsAt } from './toml.ts'

/** The CNI folders that a runtime names. */
export interface CniFolders {
  readonly binDirs: readonly string[]
  readonly confDirs: readonly string[]
}

/** The folders of a containerd whose config says nothing of them. */
export const containerdDefaults: CniFolders = { binDirs: ['/opt/cni/bin'], confDirs: ['/etc/cni/net.d'] }

/** The plugin that serves Kubernetes, by its names in the formats 3, 2 and 1. */
const criPlugins = ['io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri', 'cri'] as const

/**
 * The folders that containerd takes by the config at `file`; undefined where there is none, `off` where it serves no Kubernetes.
 * Paths in configs are those below `root`.
 * @throws ConfigProblem
 */
export function containerdFolders(root: string, file: string): CniFolders | 'off' | undefined {
  const files = withImports(root, file, new Set())
  if (files.length === 0) return undefined
  if (files.some(([path, config]) => textsAt(config, 'disabled_plugins', path).some(isCri))) return 'off'
  for (const name of criPlugins) {
    // A later file replaces a plugin's whole section.
    const found = files.flatMap(([path, config]) => {
      const section = tableAt(tableAt(config, 'plugins', path), name, path)
      return section === undefined ? [] : [[path, section] as const]
    })
    const [path = '', section] = found.at(-1) ?? []
    const cni = tableAt(section, 'cni', path)
    if (cni !== undefined) return foldersOf(cni, path)
  }
  return containerdDefaults
}

function foldersOf(cni: Table, file: string): CniFolders {
  const [single, conf] = [folderAt(cni, 'bin_dir', file), folderAt(cni, 'conf_dir', file)]
  const binDirs = [...(single === undefined ? [] : [single]), ...(foldersAt(cni, 'bin_dirs', file) ?? [])]
  return {
    binDirs: binDirs.length === 0 ? containerdDefaults.binDirs : binDirs,
    confDirs: conf === undefined ? containerdDefaults.confDirs : [conf],
  }
}

function isCri(name: string): boolean {
  return (criPlugins as readonly string[]).includes(name)
}

/** A config and those that it imports, in the order in which the later ones win. */
function withImports(root: string, file: string, seen: Set<string>): readonly (readonly [string, Table])[] {
  const path = plainPath(file)
  if (seen.has(path)) return []
  seen.add(path)
  const config = readToml(root + path, path)
  if (config === undefined) return []
  const folder = path.slice(0, path.lastIndexOf('/'))
  const imported = textsAt(config, 'imports', path).flatMap((pattern) =>
    expand(root, pattern.startsWith('/') ? pattern : `${folder}/${pattern}`),
  )
  return [[path, config], ...imported.flatMap((one) => withImports(root, one, seen))]
}

/** The paths that fit a pattern with `*`, `?` and `[...]` (path/filepath.Glob of Go). */
function expand(root: string, pattern: string): readonly string[] {
  let paths = ['']
  for (const part of partsOf(pattern)) {
    if (!/[*?[]/.test(part)) {
      paths = paths.map((path) => `${path}/${part}`)
      continue
    }
    const fits = regexOf(part)
    paths = paths.flatMap((path) =>
      entries(`${root}${path}`)
        .filter((name) => fits?.test(name))
        .map((name) => `${path}/${name}`),
    )
  }
  return paths
}

/** Undefined for a pattern that fits nothing. */
function regexOf(part: string): RegExp | undefined {
  const source = part.replace(/\[\^?[^\]]+\]|[*?]|[^\w]/g, (piece) => {
    if (piece === '*') return '.*'
    if (piece === '?') return '.'
    return piece.length > 1 ? piece.replace(/\\/g, '\\\\') : `\\${piece}`
  })
  try {
    return new RegExp(`^${source}$`, 's')
  } catch {
    return undefined
  }
}

function entries(folder: string): readonly string[] {
  try {
    return listFolder(folder === '' ? '/' : folder)
  } catch {
    return []
  }
}
