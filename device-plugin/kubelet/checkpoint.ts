/** The devices in use, as the file says that kubelet's device manager keeps over restarts: the source without names of pods. */
import * as z from 'zod/mini'
import { errorText } from '../../src/lib/error-text.ts'
import { signOf } from '../../src/sys/file-sign.ts'
import { readOwnText } from '../../src/sys/files.ts'
import { watchFolders } from '../../src/sys/folder-watch.ts'
import { type Holding, type HoldingSource, SourceUnavailable } from '../allocations/holding.ts'

/** The file's name in kubelet's folder `device-plugins`. */
export const checkpointName = 'kubelet_internal_checkpoint'
/** Longest file, in characters. */
const mostCharacters = 16 << 20
/** Events of the folder within this time, in milliseconds, are one. */
const settle = 20
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
 * The source `checkpoint` in kubelet's folder `device-plugins`. kubelet writes the file after each allocation. Changes that no event
 * tells of are found within `poll` milliseconds.
 */
export function checkpoint(folder: string, poll = 10_000): HoldingSource {
  const path = `${folder}/${checkpointName}`
  return {
    name: 'checkpoint',
    read: async () => holdingsIn(path),
    watch: (changed) => watchFile(folder, poll, changed),
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
    throw new SourceUnavailable(`Cannot read "${path}": ${errorText(error)}`)
  }
  throw new SourceUnavailable(`Cannot read "${path}": it has more than ${mostCharacters} characters`)
}

function firstWords(error: unknown): string {
  if (error instanceof z.core.$ZodError) {
    const [issue] = error.issues
    return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`
  }
  return errorText(error)
}

/** kubelet renames a new file over the old one, so the folder is watched. Its other files, which are sockets, change nothing here. */
function watchFile(folder: string, poll: number, changed: () => void): () => void {
  const path = `${folder}/${checkpointName}`
  let seen = signOf(path)
  const watch = watchFolders({
    folders: () => [folder],
    look: () => {
      const sign = signOf(path)
      if (sign === seen) return
      seen = sign
      changed()
    },
    settle,
    poll: () => poll,
    keepsProcess: false,
  })
  return () => watch.close()
}
