/** Finds the attachments of vf-attach by device, from its records. Reads only. */
import { dirname } from 'node:path'
import * as z from 'zod/mini'
import { type NamespaceMarks, type Owner, openOwnersNetns } from '../../src/ops/owner-netns.ts'
import { attachFolder, attachRecords } from '../../src/records/attach.ts'
import { offloadFolders } from '../../src/records/offload.ts'
import { parseRecordFileName } from '../../src/records/record.ts'
import { signOf } from '../../src/sys/file-sign.ts'
import { listFolder, readOwnText } from '../../src/sys/files.ts'
import type { Attachment } from './attachment.ts'

/** The part of a machine that finds a namespace again (Machine of src/kernel). */
export interface Namespaces {
  /** Throws when there is no namespace at `path`. */
  openNetns(path: string): NamespaceMarks & { close(): void }
  bootId(): string
}

/** A namespace is looked for by its marks this often, in milliseconds; between that its file is enough. */
const lookAgain = 300_000

/** A record as it was read, while its file is the same. */
interface Known {
  readonly file: string
  readonly owner: Owner | undefined
  readonly attachment: Omit<Attachment, 'alive' | 'pod'> | undefined
  /** The file of the namespace when the namespace was found there, and when. */
  netns: { readonly file: string; readonly at: number } | undefined
}

/**
 * A function that looks at the records of vf-attach below `stateDir` and returns the attachments by device. Records, reports and
 * namespaces whose files are the same as at the last call are not read again. A record that can't be used is left out, and
 * so is one of another boot; nothing makes a call fail. Of two records of one device the one whose pod is there counts.
 */
export function attachmentsByDevice(
  stateDir: string,
  machine: Namespaces,
): () => ReadonlyMap<string, Attachment> {
  const store = attachRecords(stateDir)
  const folder = `${stateDir}/${attachFolder}`
  const podOf = podsByContainer(stateDir)
  let known: ReadonlyMap<string, Known> = new Map()
  const read = (path: string, name: NonNullable<ReturnType<typeof parseRecordFileName>>): Known => {
    const file = signOf(path)
    const before = known.get(path)
    if (before !== undefined && before.file === file) return before
    try {
      const record = store.read({ ...name, path })
      if (record === undefined) return { file, owner: undefined, attachment: undefined, netns: undefined }
      const { owner, journal } = record
      const { containerID, ifname, network } = owner
      const attachment = {
        ...{ device: journal.device.id, containerID, ifname, network },
        pendingClose: journal.pendingClose === true,
      }
      return { file, owner, attachment, netns: undefined }
    } catch {
      return { file, owner: undefined, attachment: undefined, netns: undefined }
    }
  }
  return () => {
    const now = new Map<string, Known>()
    const found = new Map<string, Attachment>()
    const pods = podOf()
    for (const file of namesIn(folder)) {
      const name = parseRecordFileName(file)
      if (name === undefined) continue
      const path = `${folder}/${file}`
      const one = read(path, name)
      now.set(path, one)
      const { owner, attachment } = one
      if (owner === undefined || attachment === undefined || isFromBefore(machine, owner)) continue
      const alive = isAlive(machine, owner, one)
      const rival = found.get(attachment.device)
      if (rival === undefined || (alive && !rival.alive))
        found.set(attachment.device, { ...attachment, alive, pod: pods.get(owner.containerID) })
    }
    known = now
    return found
  }
}

/**
 * A record of another boot says nothing about the device: after a boot all hardware is new, and the ADD of vf-attach drops the record.
 * kubelet admits its pods again after a boot, and a device that is unhealthy then costs the pod its life.
 */
function isFromBefore(machine: Namespaces, owner: Owner): boolean {
  try {
    return owner.bootId !== machine.bootId()
  } catch {
    return false
  }
}

/** As isAlive of src/ops, but the marks of a namespace are compared only now and then, and when its file is another one. */
function isAlive(machine: Namespaces, owner: Owner, known: Known): boolean {
  try {
    const file = signOf(owner.netns)
    // A container of ours may not have the folder of the namespaces. Then a pod of this boot counts as living.
    if (file === '' && owner.netns !== '' && signOf(dirname(owner.netns)) === '' && !isProcess(owner.netns))
      return true
    const at = performance.now()
    if (file !== '' && known.netns?.file === file && at - known.netns.at < lookAgain) return true
    const opened = openOwnersNetns(machine, owner, '')
    opened?.close()
    known.netns = opened === undefined ? undefined : { file, at }
    return opened !== undefined
  } catch {
    return false
  }
}

/** The folder of a process goes with the process. */
function isProcess(path: string): boolean {
  return path.startsWith('/proc/')
}

const reportForm = z.object({ containerID: z.string(), pod: z.string().check(z.regex(/^[^/]*\/[^/]+$/)) })
type Pod = NonNullable<Attachment['pod']>

/** A function that returns the pods of containers, as the reports of vf-offload name them. */
function podsByContainer(stateDir: string): () => ReadonlyMap<string, Pod> {
  let known: ReadonlyMap<string, { readonly file: string; readonly pod: Pod | undefined }> = new Map()
  const read = (path: string): Pod | undefined => {
    try {
      const [namespace = '', name = ''] = reportForm.parse(JSON.parse(readOwnText(path) ?? '')).pod.split('/')
      return { namespace, name }
    } catch {
      return undefined
    }
  }
  return () => {
    const now = new Map<string, { readonly file: string; readonly pod: Pod | undefined }>()
    const pods = new Map<string, Pod>()
    for (const folder of offloadFolders) {
      for (const name of namesIn(`${stateDir}/${folder}/report`)) {
        const parts = parseRecordFileName(name)
        if (parts === undefined || pods.has(parts.containerID)) continue
        const path = `${stateDir}/${folder}/report/${name}`
        const file = signOf(path)
        const before = known.get(path)
        const pod = before?.file === file ? before.pod : read(path)
        now.set(path, { file, pod })
        if (pod !== undefined) pods.set(parts.containerID, pod)
      }
    }
    known = now
    return pods
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return listFolder(folder)
  } catch {
    return []
  }
}
