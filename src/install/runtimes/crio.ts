/** The CNI folders in the config of CRI-O (crio.conf(5), crio.conf.d(5)). */
import { isThere, listFolder } from '../../sys/files.ts'
import type { CniFolders } from './containerd.ts'
import { ConfigProblem, folderAt, foldersAt, readToml, tableAt } from './toml.ts'

/** The config of CRI-O, and the folder of the files that come after it, in the order of their names. */
export const crioFile = '/etc/crio/crio.conf'
const more = `${crioFile}.d`

/** The folders that CRI-O takes; undefined where it has no config. Paths in configs are those below `root`. @throws ConfigProblem */
export function crioFolders(root: string): CniFolders | undefined {
  const files = [crioFile, ...moreFiles(root)].flatMap((file) => {
    const config = readToml(root + file, file)
    return config === undefined ? [] : [[file, config] as const]
  })
  if (files.length === 0 && !isThere(root + more)) return undefined
  let binDirs: readonly string[] = ['/opt/cni/bin']
  let confDirs: readonly string[] = ['/etc/cni/net.d']
  for (const [file, config] of files) {
    const network = tableAt(tableAt(config, 'crio', file), 'network', file)
    const [conf, single] = [folderAt(network, 'network_dir', file), folderAt(network, 'plugin_dir', file)]
    const list = foldersAt(network, 'plugin_dirs', file)
    if (conf !== undefined) confDirs = [conf]
    if (list !== undefined && list.length > 0) binDirs = list
    // The older key adds its folder.
    if (single !== undefined) binDirs = [...binDirs, single]
  }
  return { binDirs, confDirs }
}

function moreFiles(root: string): readonly string[] {
  try {
    return listFolder(root + more).map((name) => `${more}/${name}`)
  } catch (error) {
    throw new ConfigProblem(more, error instanceof Error ? error.message : String(error))
  }
}
