/** Facts of procfs about the processes of this PID namespace. A process that ends meanwhile, or that we may not read, is skipped. */
import { readlinkSync } from 'node:fs'
import { listFolder, readText } from './files.ts'

/** A process. */
export interface Process {
  readonly pid: number
  /** Its name, at most 15 bytes (`comm` of proc_pid_comm(5)). */
  readonly comm: string
}

/**
 * The first process with an open file whose path fulfils `isMeant`; with `mapped`, also one with such a file in its memory.
 * Paths are those of the process's own mount namespace. Reads every descriptor of the machine.
 */
export function processWith(
  isMeant: (path: string) => boolean,
  { mapped = false, proc = '/proc' } = {},
): Process | undefined {
  for (const name of listFolder(proc)) {
    if (!/^\d+$/.test(name)) continue
    const folder = `${proc}/${name}`
    const found = passedOver(() => hasOpen(folder, isMeant) || (mapped && hasMapped(folder, isMeant)))
    if (found === true) {
      return { pid: Number(name), comm: passedOver(() => readText(`${folder}/comm`)) ?? '?' }
    }
  }
  return undefined
}

function hasOpen(folder: string, isMeant: (path: string) => boolean): boolean {
  return listFolder(`${folder}/fd`).some((fd) => {
    const path = passedOver(() => readlinkSync(`${folder}/fd/${fd}`))
    return path !== undefined && isMeant(path)
  })
}

/** Lines of maps are `ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH` (proc_pid_maps(5)). */
function hasMapped(folder: string, isMeant: (path: string) => boolean): boolean {
  const lines = readText(`${folder}/maps`)?.split('\n') ?? []
  return lines.some((line) => {
    const slash = line.indexOf('/')
    return slash !== -1 && isMeant(line.slice(slash))
  })
}

function passedOver<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
