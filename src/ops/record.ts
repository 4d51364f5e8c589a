/**
 * The record: one small file per attachment, the journal of what a plugin changes and the proof of who owns it. Both
 * plugins use this format. It is written before the first change and removed after a verified restore.
 *
 * File name: `<subject> <containerID>@<ifname>.json` in a folder per plugin. The subject is the PCI address for
 * vf-attach and the network name for vf-offload. No part can hold a blank or an `@` (CNI spec: container IDs, names,
 * PCI addresses), except the interface name, which comes last; so one readdir(3) answers "who owns this VF?" and
 * "what does this attachment own?" without opening a file.
 */
import type { OfKind } from '../lib/error-kind.ts'
import '../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { shown } from '../lib/json.ts'

/** Version of the format. A reader refuses newer ones by name and never guesses. */
export const recordSchemaVersion = 1

const owner = () =>
  z.object({
    containerID: z.string(),
    ifname: z.string(),
    network: z.string(),
    /** CNI_NETNS as given; only a hint, paths are recycled. */
    netns: z.string(),
    /** Device and inode of the namespace. The kernel gives them to the next one once the namespace is gone. */
    netnsId: z.string(),
    /** SO_NETNS_COOKIE of the namespace, valid within one boot; absent where the kernel or a former version had none. */
    netnsCookie: z.optional(z.string()),
    bootId: z.string(),
  })

/** Who owns what a record describes. */
export type Owner = z.infer<ReturnType<typeof owner>>

/**
 * `applying`: changes may be half done. `attached`: ADD succeeded. A record in either phase is undone in the same
 * way: DEL looks at what is there, not at how far ADD said it came.
 */
type Phase = 'applying' | 'attached'

/** All but the journal. Made when a record is read, which most calls never do: schemas cost start time. */
const base = () => ({
  schema: z.literal(recordSchemaVersion),
  plugin: z.string(),
  phase: z.enum<Phase[]>(['applying', 'attached']),
  owner: owner(),
})

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
  const excess = Buffer.byteLength(recordFileName(subject, containerID, ifname)) - longestName
  if (excess > 0) throw new NamesTooLong(subject, containerID, excess)
}

/** The parts of a record's file name; undefined for any other file (locks, temporary files, strangers). */
export function parseRecordFileName(
  name: string,
): { subject: string; containerID: string; ifname: string } | undefined {
  const parts = /^([^ .][^ ]*) ([^ @]+)@(.+)\.json$/.exec(name)
  if (parts === null) return undefined
  return { subject: parts[1] ?? '', containerID: parts[2] ?? '', ifname: parts[3] ?? '' }
}

/** A record that can't be used: broken, or written by a newer version. Names the file, so that an operator finds it. */
export class RecordError extends Error implements OfKind {
  readonly kind = 'unusable-record'
  /** A newer version of the program can use it: not ours to pass over. */
  readonly isNewer: boolean

  constructor(path: string, reason: string, isNewer = false) {
    super(`Cannot read record "${path}": ${reason}`)
    this.name = 'RecordError'
    this.isNewer = isNewer
  }
}

/** Parses a record's text against the journal's schema, and against `wrongField`, which names one. @throws RecordError */
export function parseRecord<S extends z.ZodMiniType>(
  path: string,
  text: string,
  journal: S,
  wrongField?: (record: PluginRecord<z.infer<S>>) => string | undefined,
): PluginRecord<z.infer<S>> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new RecordError(path, 'it is not JSON')
  }
  const version = typeof json === 'object' && json !== null && 'schema' in json ? json.schema : undefined
  if (typeof version === 'number' && version > recordSchemaVersion) {
    throw new RecordError(
      path,
      `schema ${version} is newer than ${recordSchemaVersion}, the newest known here`,
      true,
    )
  }
  const parsed = z.object({ ...base(), journal }).safeParse(json)
  if (!parsed.success) throw new RecordError(path, misfit(parsed.error.issues[0]))
  const record = parsed.data as PluginRecord<z.infer<S>>
  const wrong = wrongField?.(record)
  if (wrong !== undefined) throw new RecordError(path, `${wrong} ${notOurs}`)
  return record
}

const notOurs = 'is not as this program writes it'

/** What of the form is wrong, and where: zod's own words name no type (zod-settings.ts loads none of its languages). */
function misfit(issue: z.core.$ZodIssue | undefined): string {
  const at = issue === undefined || issue.path.length === 0 ? 'the whole' : issue.path.join('.')
  if (issue?.code === 'invalid_type') return `${at} must be of type ${issue.expected}`
  if (issue?.code === 'invalid_value') return `${at} must be ${issue.values.map(String).join(' or ')}`
  return `${at} ${notOurs}`
}
