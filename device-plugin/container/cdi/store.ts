/**
 * The folder of CDI specs: one file of ours for each pool. A container whose answer named a device is created, and created again,
 * from these files: so an entry stays while a pod has its device, with the files that it had last.
 *
 * The library behind the runtimes refuses a name that two files of one folder define. So a name is in one file only, and two
 * processes on one node (an upgrade) share the files: each adds what it offers, and keeps the other's entries for a while.
 */
import { listFolder, removeFile, removeIfOlder, temporaryOf } from '../../../src/sys/files.ts'
import type { Pool } from '../../pools/pool.ts'
import { type Exists, nodesOf } from '../nodes.ts'
import { NotReady } from '../not-ready.ts'
import { currentText, writeForOthers } from '../whole-file.ts'
import { cdiClass, cdiKind, isCdiVendor, type Named } from './names.ts'
import { readSpec, type Spec, specText } from './spec.ts'

const prefixOfFiles = 'vf-flower-'
const mode = 0o644

/** Longest time of a write, in milliseconds: an older temporary file is that of a process that was killed. */
const longestWrite = 60_000

/** Time that an entry stays which no pool offers and no pod has, in milliseconds: another process may have given the device out. */
const grace = 10 * 60_000

/** The surroundings of the store. */
export interface CdiOptions {
  /** Such as `/var/run/cdi`. */
  readonly folder: string
  readonly exists: Exists
  /** Milliseconds since any fixed time. */
  readonly now: () => number
}

/** The name of a pool's spec: one for each kind, so that a kind stays with its file. A `_` ends the prefix: a DNS name has none. */
export function specFile(pool: Named): string {
  return `${prefixOfFiles}${pool.prefix}_${pool.name}_${cdiClass(pool)}.json`
}

/** The specs of all pools. */
export class CdiSpecs {
  /** By qualified name: the time since which nobody has wanted an entry. */
  #unwanted: ReadonlyMap<string, number> = new Map()

  /** The files as they were read last: to read one that is as it was costs more than all else. */
  #read: ReadonlyMap<string, { readonly text: string; readonly spec: Spec | undefined }> = new Map()
  readonly options: CdiOptions

  constructor(options: CdiOptions) {
    this.options = options
  }

  /**
   * Makes the files say what the pools have now; to be called when devices change, and before each answer that names one.
   * @param held ids of the devices that pods have
   * @throws FileError, and Node's errors of files, where nothing can be written
   */
  update(pools: readonly Pool[], held: ReadonlySet<string>): void {
    const wanted = new Map<string, Spec>()
    for (const { config, members } of pools) {
      if (!isCdiVendor(config.prefix)) continue
      const devices = members.map((one) => [one.device.id, this.#nodes(one)] as const)
      wanted.set(specFile(config), {
        kind: cdiKind(config),
        devices: new Map(devices.filter(([, nodes]) => nodes.length > 0)),
      })
    }
    const offered = new Set([...wanted.values()].flatMap((spec) => namesOf(spec)))
    const files = this.#filesNow()
    const stays = this.#judge(offered, held)
    const changes = [...new Set([...files.keys(), ...wanted.keys()])].map((file) => {
      const [spec, found] = [wanted.get(file), files.get(file)]
      const now = joined(spec, found, stays)
      return { file, text: specText(now), loses: loses(found, now) }
    })
    // Files that lose names come first: a name that is in two files, if only for a moment, is in none to a runtime.
    for (const { file, text } of changes.sort((left, right) => Number(right.loses) - Number(left.loses))) {
      const path = this.#path(file)
      // Runtimes watch the folder: a file that says the same already is not touched.
      if (text === undefined) removeFile(path, 'volatile')
      else if (text !== this.#read.get(file)?.text) writeForOthers(path, text, mode)
    }
  }

  /** The specs of ours that lie in the folder, also those that can't be read. */
  #filesNow(): ReadonlyMap<string, Spec | undefined> {
    const names = listFolder(this.options.folder)
    for (const name of names)
      if (isOurs(temporaryOf(name) ?? '')) removeIfOlder(this.#path(name), longestWrite)
    const before = this.#read
    this.#read = new Map(
      names.filter(isOurs).map((name) => {
        const text = currentText(this.#path(name)) ?? ''
        const known = before.get(name)
        return [name, known?.text === text ? known : { text, spec: readSpec(text) }]
      }),
    )
    return new Map([...this.#read].map(([name, { spec }]) => [name, spec]))
  }

  /** The judge of entries that no pool has now. Each name stays in one file at most. */
  #judge(offered: ReadonlySet<string>, held: ReadonlySet<string>): (name: string, id: string) => boolean {
    const before = this.#unwanted
    const unwanted = new Map<string, number>()
    const seen = new Set(offered)
    const now = this.options.now()
    this.#unwanted = unwanted
    return (name, id) => {
      if (seen.has(name)) return false
      seen.add(name)
      if (held.has(id)) return true
      const since = before.get(name) ?? now
      if (now - since >= grace) return false
      unwanted.set(name, since)
      return true
    }
  }

  /** A member that lacks what its selector asks for is in no spec: nobody gets it now. */
  #nodes(member: Pool['members'][number]) {
    try {
      return nodesOf(member, this.options.exists)
    } catch (error) {
      if (error instanceof NotReady) return []
      throw error
    }
  }

  #path(file: string): string {
    return `${this.options.folder}/${file}`
  }
}

function isOurs(file: string): boolean {
  return file.startsWith(prefixOfFiles) && file.endsWith('.json')
}

function namesOf({ kind, devices }: Spec): string[] {
  return [...devices.keys()].map((id) => `${kind}=${id}`)
}

/** The pool's spec, and those entries of the file that stay. */
function joined(
  spec: Spec | undefined,
  found: Spec | undefined,
  stays: (name: string, id: string) => boolean,
): Spec {
  const kind = spec?.kind ?? found?.kind ?? ''
  const kept = [...(found?.devices ?? [])].filter(([id]) => stays(`${found?.kind}=${id}`, id))
  return { kind, devices: new Map([...kept, ...(spec?.devices ?? [])]) }
}

function loses(before: Spec | undefined, now: Spec): boolean {
  return before !== undefined && [...before.devices.keys()].some((id) => !now.devices.has(id))
}
