/**
 * The record: one small file per attachment, the journal of what a plugin changes and the proof of who owns it. Both
 * plugins use this format, with a journal each (attach.ts, offload.ts). It is written before the first change and removed after a
 * verified restore.
 *
 * File name: `<subject> <containerID>@<ifname>.json` in a folder per plugin. The subject is the PCI address for
 * vf-attach and the network name for vf-offload. No part can hold a blank or an `@` (CNI spec: container IDs, names,
 * PCI addresses), except the interface name, which comes last; so one readdir(3) answers "who owns this VF?" and
 * "what does this attachment own?" without opening a file.
 */
import type { OfKind } from '../lib/error-kind.ts'
import { shown } from '../lib/json.ts'
import type { Owner } from '../ops/owner-netns.ts'
import { at, type Form, type LeftOut, Misfit, maybe, notOurs, object, objectOf, oneOf } from './form.ts'
import { anyText } from './values.ts'

export type { Owner } from '../ops/owner-netns.ts'

/**
 * Version of the format (docs/records.md). A record with a higher number is of a newer format: only a DEL goes by it, as far as it
 * understands it, and leaves it where it is. A key never changes its meaning or unit, so what is understood is right.
 */
export const recordSchemaVersion = 1

const owner = objectOf<Owner>({
  containerID: at('containerID', anyText),
  ifname: at('ifname', anyText),
  network: at('network', anyText),
  netns: at('netns', anyText),
  netnsId: at('netnsId', anyText),
  netnsCookie: maybe('netnsCookie', anyText),
  bootId: at('bootId', anyText),
})

/**
 * `applying`: changes may be half done. `attached`: ADD succeeded. A record in either phase is undone in the same
 * way: DEL looks at what is there, not at how far ADD said it came.
 */
type Phase = 'applying' | 'attached'

/** Forms of records by those of their journals: each is made once, and not anew for each of a node's records. */
const made = new WeakMap<Form<unknown>, Form<PluginRecord<unknown>>>()

function recordOf<J>(journal: Form<J>): Form<PluginRecord<J>> {
  const known = made.get(journal)
  if (known !== undefined) return known as Form<PluginRecord<J>>
  const form = object({ ...base, journal: at('journal', journal) }) as Form<PluginRecord<J>>
  made.set(journal, form)
  return form
}
const phase: Form<Phase> = oneOf('applying', 'attached')
const base = {
  schema: at('schema', oneOf(recordSchemaVersion)),
  plugin: at('plugin', anyText),
  phase: at('phase', phase),
  owner: at('owner', owner),
}

/** A record of `plugin` whose journal has the shape J. */
export interface PluginRecord<J> {
  readonly schema: typeof recordSchemaVersion
  readonly plugin: string
  readonly phase: Phase
  readonly owner: Owner
  readonly journal: J
}

/** The record's file name for `subject` and an attachment. */
export function recordFileName(subject: string, containerID: string, ifname: string): string {
  return `${subject} ${containerID}@${ifname}.json`
}

/**
 * The most bytes that a record's file name may have: NAME_MAX of linux/limits.h less the `.broken` of one that is put aside.
 */
const longestName = 255 - '.broken'.length

/** An attachment's names do not fit into the name of a file together, so that it can have no record. */
export class NamesTooLong extends Error implements OfKind {
  readonly kind = 'names-too-long'
  /** The longer of the two, which is to blame. */
  readonly part: 'containerID' | 'subject'

  constructor(subject: string, containerID: string, excess: number) {
    const part = subject.length > containerID.length ? 'subject' : 'containerID'
    const [key, value, other] =
      part === 'subject'
        ? ['name', subject, 'the container ID']
        : ['CNI_CONTAINERID', containerID, shown(subject)]
    const words = `must have at most ${value.length - excess} characters beside ${other} in the name of a record`
    super(`Cannot use ${key} ${shown(value)} of ${value.length} characters: ${words}`)
    this.name = 'NamesTooLong'
    this.part = part
  }
}

/** Makes sure that an attachment can have a record. @throws NamesTooLong */
export function requireFileName(subject: string, containerID: string, ifname: string): void {
  const excess = excessOf(subject, containerID, ifname)
  if (excess > 0) throw new NamesTooLong(subject, containerID, excess)
}

/** True when an attachment can have a record. */
export function hasFileName(subject: string, containerID: string, ifname: string): boolean {
  return excessOf(subject, containerID, ifname) <= 0
}

function excessOf(subject: string, containerID: string, ifname: string): number {
  return Buffer.byteLength(recordFileName(subject, containerID, ifname)) - longestName
}

/** The parts of a record's file name; undefined for any other file (locks, temporary files, strangers). */
export function parseRecordFileName(
  name: string,
): { subject: string; containerID: string; ifname: string } | undefined {
  const parts = /^([^ .][^ ]*) ([^ @]+)@(.+)\.json$/.exec(name)
  if (parts === null) return undefined
  return { subject: parts[1] ?? '', containerID: parts[2] ?? '', ifname: parts[3] ?? '' }
}

/**
 * Why a record can't be used. `broken`: nobody of us has written it so. `newer`: a later version of the program has, in a format
 * that this one does not know; it is not ours to pass over.
 */
export type RecordErrorCode = 'broken' | 'newer'

/** A record that can't be used. Names the file, so that an operator finds it. */
export class RecordError extends Error implements OfKind {
  readonly kind = 'unusable-record'
  readonly code: RecordErrorCode

  constructor(path: string, reason: string, code: RecordErrorCode = 'broken') {
    super(`Cannot read record "${path}": ${reason}`)
    this.name = 'RecordError'
    this.code = code
  }
}

/** Reads a record's text. `wrongField` names a field that is wrong for another reason than its form. @throws RecordError */
export function parseRecord<J>(
  path: string,
  text: string,
  journal: Form<J>,
  wrongField: (record: PluginRecord<J>) => string | undefined = () => undefined,
): PluginRecord<J> {
  const json = jsonIn(path, text)
  const newer = newerVersion(json)
  if (newer !== undefined)
    throw new RecordError(
      path,
      `schema ${newer} is newer than ${recordSchemaVersion}, the newest known here`,
      'newer',
    )
  const record = readOrRefuse(path, json, journal)
  const wrong = wrongField(record)
  if (wrong !== undefined) throw new RecordError(path, `${wrong} ${notOurs}`)
  return record
}

/** @throws RecordError */
function readOrRefuse<J>(path: string, json: unknown, journal: Form<J>): PluginRecord<J> {
  try {
    return recordOf(journal).read(json)
  } catch (error) {
    if (error instanceof Misfit) throw new RecordError(path, wordsOf(error))
    throw error
  }
}

/** A record of a newer format, as far as it is understood here. */
export interface Understood<J> {
  readonly record: PluginRecord<J>
  /** Paths of keys to what is not understood. */
  readonly left: readonly string[]
}

/**
 * Reads of a record of a newer format what is understood here; undefined where that is not enough to go by, and for a record of a
 * known format. Its phase is `applying`: what is not understood may be anywhere, as after an ADD that was killed.
 */
export function understoodRecord<J>(path: string, text: string, journal: Form<J>): Understood<J> | undefined {
  const json = jsonIn(path, text)
  if (newerVersion(json) === undefined) return undefined
  const left: LeftOut = []
  try {
    const known = { ...(json as object), schema: recordSchemaVersion, phase: 'applying' }
    return { record: recordOf(journal).read(known, left), left }
  } catch (error) {
    if (error instanceof Misfit) return undefined
    throw error
  }
}

/** The text of a record's file. */
export function recordText<J>(record: PluginRecord<J>, journal: Form<J>): string {
  return `${JSON.stringify(recordOf(journal).write(record), undefined, 2)}\n`
}

/** Names the keys that every record has. */
export function recordKeys(): readonly string[] {
  return object(base).keys()
}

/** @throws RecordError */
function jsonIn(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RecordError(path, 'it is not JSON')
  }
}

/** The number of a format that is newer than ours. */
function newerVersion(json: unknown): number | undefined {
  const version = typeof json === 'object' && json !== null && 'schema' in json ? json.schema : undefined
  return typeof version === 'number' && version > recordSchemaVersion ? version : undefined
}

function wordsOf({ path, reason }: Misfit): string {
  return `${path.length === 0 ? 'the whole' : path.join('.')} ${reason}`
}
