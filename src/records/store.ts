/** Folders of records. Every write and removal is atomic, and a point at which tests can make it fail. */
import { notice } from '../lib/log/notice.ts'
import { step } from '../lib/log/steps.ts'
import { faultPoint } from '../ops/fault.ts'
import { errorCode } from '../sys/errno.ts'
import {
  type Durability,
  isEntry,
  isTemporary,
  isThere,
  listFolder,
  readOwnText,
  removeFile,
  removeIfOlder,
  renameFile,
  replaceFile,
  tryToWrite,
} from '../sys/files.ts'
import type { Form } from './form.ts'
import {
  hasFileName,
  type PluginRecord,
  parseRecord,
  parseRecordFileName,
  RecordError,
  recordFileName,
  recordText,
  requireFileName,
  type Understood,
  understoodRecord,
} from './record.ts'

/** Default folder of all state; mode 0700. */
export const defaultStateDir = '/var/lib/cni/vf-flower'

/** A write takes milliseconds: what is older was left by a process that was killed in it. */
const abandonedMilliseconds = 600_000

/** A record's file name, which tells this much without opening the file. */
export interface RecordName {
  readonly subject: string
  readonly containerID: string
  readonly ifname: string
  readonly path: string
}

/** Names a field of a record that does not go with its subject; undefined where all do. */
type WrongField<J> = (record: PluginRecord<J>, subject: string) => string | undefined

/** The records of one plugin. */
export interface RecordStore<J> {
  /** The folders of records and of reports. */
  readonly folders: readonly string[]
  /** All records, by name only. Clears away what a process that was killed while it wrote one has left. */
  list(): readonly RecordName[]
  /** The name of an attachment's record; undefined where there is none. Asks for the one file, however many there are. */
  find(subject: string, containerID: string, ifname: string): RecordName | undefined
  /** The records of a container's interface, whatever their subject, by name only. */
  listOf(containerID: string, ifname: string): readonly RecordName[]
  /** The record at a name. Undefined when it is gone or empty; throws RecordError when it can't be used. */
  read(name: RecordName): PluginRecord<J> | undefined
  /** Reads of a record of a newer format what is understood here; undefined where that is nothing to go by. */
  understood(name: RecordName): Understood<J> | undefined
  /**
   * Writes or replaces a record, whole or not at all whenever the process is killed. `durable`, the default: it also
   * survives a crash of the machine from when this returns.
   * @throws NamesTooLong
   */
  write(subject: string, record: PluginRecord<J>, durability?: Durability): RecordName
  /** Removes a record and the report beside it; succeeds when they are gone already. */
  remove(name: RecordName): void
  /** The name that an attachment's record has, or would have. */
  nameOf(subject: string, containerID: string, ifname: string): RecordName
  /** Writes or replaces the report beside a record: an account for people and other programs, which nothing here reads back. */
  writeReport(name: RecordName, text: string): void
  /** Names of those whose report has lost its record. */
  lone(): readonly RecordName[]
  /** The report beside a record; undefined when there is none. */
  readReport(name: RecordName): string | undefined
  /** Renames a record that can't be used, so that it is kept for people and counts no more. Returns its new path. */
  putAside(name: RecordName): string
  /** Makes sure that records can be written: creates the folder. @throws as {@link probeFolder} */
  probe(): void
}

/** A small text that outlives the process; `get` is undefined when it was never set or cleared. */
export interface Note {
  get(): string | undefined
  set(text: string): void
  clear(): void
}

/**
 * The store of records below `stateDir` in the folder of `plugin`; nothing is created before the first write. `wrongField` names a
 * field that does not go with the record's subject.
 */
export function recordStore<J>(
  stateDir: string,
  plugin: string,
  journal: Form<J>,
  wrongField: WrongField<J> = () => undefined,
): RecordStore<J> {
  const folder = `${stateDir}/${plugin}`
  const nameOf = (subject: string, containerID: string, ifname: string): RecordName => {
    const path = `${folder}/${recordFileName(subject, containerID, ifname)}`
    return { subject, containerID, ifname, path }
  }
  return {
    folders: [folder, `${folder}/report`],
    list: () =>
      listFolder(folder).flatMap((file) => {
        if (isTemporary(file)) removeIfOlder(`${folder}/${file}`, abandonedMilliseconds)
        const parts = parseRecordFileName(file)
        return parts === undefined ? [] : [{ ...parts, path: `${folder}/${file}` }]
      }),
    find: (subject, containerID, ifname) => {
      const name = nameOf(subject, containerID, ifname)
      return hasFileName(subject, containerID, ifname) && isEntry(name.path) ? name : undefined
    },
    listOf: (containerID, ifname) => {
      const end = recordFileName('', containerID, ifname)
      return listFolder(folder).flatMap((file) => {
        const parts = file.endsWith(end) ? parseRecordFileName(file) : undefined
        return parts === undefined ? [] : [{ ...parts, path: `${folder}/${file}` }]
      })
    },
    read: (name) => {
      const text = readRecord(name.path)
      if (text === undefined) return undefined
      if (/^\0*$/.test(text)) {
        // Nobody writes that: it is what a crash of the machine leaves of a file that had not reached the disk.
        removeFile(name.path, 'volatile')
        return undefined
      }
      return parseRecord(name.path, text, journal, (record) => wrongField(record, name.subject))
    },
    understood: (name) => {
      const text = readRecord(name.path)
      const found = text === undefined ? undefined : understoodRecord(name.path, text, journal)
      return found !== undefined && wrongField(found.record, name.subject) === undefined ? found : undefined
    },
    write: (subject, record, durability) => {
      const { containerID, ifname } = record.owner
      requireFileName(subject, containerID, ifname)
      const name = nameOf(subject, containerID, ifname)
      step('record.write', () => {
        faultPoint('file', 'before')
        replaceFile(name.path, recordText(record, journal), durability)
        faultPoint('file', 'after')
      })
      return name
    },
    nameOf,
    remove: (name) =>
      step('record.remove', () => {
        faultPoint('file', 'before')
        // One that a crash of the machine brings back is from before the boot.
        removeFile(name.path, 'volatile')
        removeReport(reportPath(name))
        faultPoint('file', 'after')
      }),
    writeReport: (name, text) => {
      faultPoint('file', 'before')
      replaceFile(reportPath(name), text, 'volatile')
      faultPoint('file', 'after')
    },
    lone: () =>
      listFolder(`${folder}/report`).flatMap((file) => {
        const parts = parseRecordFileName(file)
        const path = `${folder}/${file}`
        return parts === undefined || isThere(path) ? [] : [{ ...parts, path }]
      }),
    readReport: (name) => textOrNone(reportPath(name)),
    putAside: (name) => {
      const path = `${name.path}.broken`
      renameFile(name.path, path)
      return path
    },
    probe: () => probeFolder(folder),
  }
}

/** Name of the file with which STATUS tries a folder: no record has it. */
export const probeName = 'probe'

/** Size of that file, in bytes: an empty file finds room on a full disk, a record does not. */
const blockBytes = 4096

/**
 * Makes sure that files can be made in a folder, which is made too.
 * @throws FileError, and Node's errors of files
 */
export function probeFolder(folder: string): void {
  tryToWrite(folder, probeName, blockBytes)
}

/** The text of a record. @throws RecordError for what nobody of us has written */
function readRecord(path: string): string | undefined {
  try {
    return readOwnText(path)
  } catch (error) {
    const reason = reasonOf(error)
    throw reason === undefined ? error : new RecordError(path, reason)
  }
}

/** The text of a report or a note; whatever else stands in its place is none. */
export function textOrNone(path: string): string | undefined {
  try {
    return readOwnText(path)
  } catch (error) {
    if (reasonOf(error) !== undefined) return undefined
    throw error
  }
}

/** Why nobody of us has written what is there; undefined for an error that says nothing of that. */
function reasonOf(error: unknown): string | undefined {
  const errno = errorCode(error)
  if (errno === 'EFBIG') return 'it is larger than any record'
  return errno === 'EINVAL' ? 'it is no regular file' : undefined
}

/** Nothing depends on a report: one that can't be removed fails no verb. */
function removeReport(path: string): void {
  try {
    removeFile(path, 'volatile')
  } catch (error) {
    notice(
      `vf-flower: Cannot remove the report "${path}": ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function reportPath({ path }: RecordName): string {
  const slash = path.lastIndexOf('/')
  return `${path.slice(0, slash)}/report${path.slice(slash)}`
}

/**
 * The note at `path`, about something that attachments share. `volatile`: worth nothing after a boot, no fsync. `mode`: permissions
 * of the file.
 */
export function noteAt(path: string, durability: Durability = 'durable', mode = 0o600): Note {
  return {
    get: () => readOwnText(path),
    set: (text) =>
      step('note.write', () => {
        faultPoint('file', 'before')
        replaceFile(path, text, durability, mode)
        faultPoint('file', 'after')
      }),
    clear: () =>
      step('note.remove', () => {
        faultPoint('file', 'before')
        try {
          removeFile(path, durability)
        } catch (error) {
          if (errorCode(error) !== 'EISDIR') throw error
          notice(`vf-flower: "${path}" is a folder where a note belongs: it stays`)
        }
        faultPoint('file', 'after')
      }),
  }
}

/** Names of the notes in `folder` that begin with `prefix`. */
export function notesIn(folder: string, prefix: string): readonly string[] {
  return listFolder(folder).filter((name) => name.startsWith(prefix))
}

/** Path of the lock file for one subject (a PCI address, or the name of something all attachments share). */
export function lockPath(stateDir: string, subject: string): string {
  return `${stateDir}/lock/${subject}`
}
