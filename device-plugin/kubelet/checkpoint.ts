/** The devices in use, as the file says that kubelet's device manager keeps over restarts: the source without names of pods. */
import { type FSWatcher, statSync, watch } from 'node:fs'
import * as z from 'zod/mini'
import { readOwnText } from '../../src/sys/files.ts'
import { type Holding, type HoldingSource, SourceUnavailable } from '../allocations/holding.ts'

/** The file's name in kubelet's folder `device-plugins`. */
export const checkpointName = 'kubelet_internal_checkpoint'
/** Longest file, in characters. */
const mostCharacters = 16 << 20
/** Identifiers by NUMA node; a plain list before Kubernetes 1.20. */
const deviceIds = z.union([z.array(z.string()), z.record(z.string(), z.nullable(z.array(z.string())))])
const checkpointForm = z.object({
  Data: z.object({
    PodDeviceEntries: z.nullable(
      z.array(
        z.object({
          ...{ PodUID: z.string(), ContainerName: z.string(), ResourceName: z.string() },
          DeviceIDs: z.nullable(deviceIds),
        }),
      ),
    ),
  }),
})

/**
 * The source `checkpoint` in kubelet's folder `device-plugins`. kubelet writes the file after each allocation. Changes that the
 * watch misses are found within `lookAgain` milliseconds.
 */
export function checkpoint(folder: string, lookAgain = 10_000): HoldingSource {
  const path = `${folder}/${checkpointName}`
  return {
    name: 'checkpoint',
    read: async () => holdingsIn(path),
    watch: (changed) => watchFile(folder, lookAgain, changed),
  }
}

function holdingsIn(path: string): Holding[] {
  const text = textOf(path)
  if (text === undefined) throw new SourceUnavailable(`Cannot read "${path}": it is not there`)
  try {
    const { PodDeviceEntries: entries } = checkpointForm.parse(JSON.parse(text)).Data
    return (entries ?? []).flatMap(({ PodUID: uid, ContainerName: container, ResourceName, DeviceIDs }) => {
      const ids = Array.isArray(DeviceIDs) ? DeviceIDs : Object.values(DeviceIDs ?? {}).flat()
      return ids.flatMap((device) =>
        device === null
          ? []
          : [{ ...{ resource: ResourceName, device }, pod: { namespace: '', name: '', uid }, container }],
      )
    })
  } catch (error) {
    throw new SourceUnavailable(`Cannot read "${path}": it is no checkpoint of kubelet: ${firstWords(error)}`)
  }
}

function textOf(path: string): string | undefined {
  try {
    const text = readOwnText(path)
    if (text === undefined || text.length <= mostCharacters) return text
  } catch (error) {
    throw new SourceUnavailable(`Cannot read "${path}": ${error instanceof Error ? error.message : ''}`)
  }
  throw new SourceUnavailable(`Cannot read "${path}": it has more than ${mostCharacters} characters`)
}

function firstWords(error: unknown): string {
  if (error instanceof z.core.$ZodError) {
    const [issue] = error.issues
    return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`
  }
  return error instanceof Error ? error.message : String(error)
}

/**
 * Watches the folder, because kubelet renames a new file over the old one. A look at the file every `lookAgain` milliseconds finds
 * what the watch has missed: a folder that is removed takes its watch with it, and the next folder may get its inode.
 */
function watchFile(folder: string, lookAgain: number, changed: () => void): () => void {
  const path = `${folder}/${checkpointName}`
  let watcher: FSWatcher | undefined
  let seen = signOf(path)
  const end = () => {
    watcher?.close()
    watcher = undefined
  }
  const note = () => {
    seen = signOf(path)
    changed()
  }
  const begin = () => {
    end()
    try {
      watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name === null || name === checkpointName) note()
      })
      watcher.on('error', end)
    } catch {
      // There is no such folder now.
    }
  }
  const look = () => {
    const isMissed = signOf(path) !== seen
    if (watcher === undefined || isMissed) begin()
    if (isMissed) note()
  }
  begin()
  const timer = setInterval(look, lookAgain)
  timer.unref()
  return () => {
    clearInterval(timer)
    end()
  }
}

/** Changes whenever another file stands at `path`, or this one is written; '' when none is there. */
function signOf(path: string): string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats === undefined ? '' : `${stats.ino} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.size}`
  } catch {
    return ''
  }
}
