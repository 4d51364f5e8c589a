// The look of a host, taken with ip, tc, nft, bridge and devlink by snapshot.pl, for tests that say
// "identical before and after". In: a Lab. Out: a flat map, and the differences of two as lines. Never uses the decoders
// of src/: a mistake there would hide the difference that it made.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Lab } from '../lab.ts'
import { inNamespace, type Namespace } from './traffic.ts'

/** Path of a fact, e.g. `link eth1.vfinfo_list.0.trust`, and its value. */
export type Snapshot = ReadonlyMap<string, string>

export interface SnapshotOptions {
  /** Namespace of the snapshot, default the guest's first one. */
  readonly namespace?: Namespace
  /** Folders listed with modes, sizes and content, beside {@link STATE_FOLDERS}. */
  readonly folders?: readonly string[]
  /** False leaves {@link STATE_FOLDERS} out. */
  readonly state?: boolean
}

/** Listed in every snapshot. `/run` without the namespaces in `/run/netns`, which have a section of their own. */
export const STATE_FOLDERS = ['/var/lib/cni', '/etc/cni', '/opt/cni', '/run'] as const

interface Difference {
  /** Name of a section, see SECTIONS. */
  readonly section: string
  /**
   * Matches are left out: the path of a value below an entry (`.vfinfo_list.0.trust`), or a whole entry (its
   * JSON text, or the name in the sections that are no JSON).
   */
  readonly path: RegExp
  readonly reason: string
}

/** The allowed differences of two snapshots. */
export const MAY_DIFFER: readonly Difference[] = [
  {
    section: 'link',
    path: /\.vfinfo_list\.\d+\.address$/,
    reason:
      'igb reports none until a VF has told its own MAC, then that one; setting none again would make the VF deaf. The tests of vf-attach look at it by themselves',
  },
  {
    section: 'link',
    path: /\.qdisc$/,
    reason: 'the kernel attaches its default when an interface first goes up and drops it at every move',
  },
  { section: 'qdisc', path: /"handle":"0:"/, reason: 'the same default, which has no handle of its own' },
  {
    section: 'link',
    path: /\.linkinfo\.info_(data|slave_data)\.(\w+_timer|fdb_n_learned)$/,
    reason: 'timers of a bridge and its ports; what it has learned',
  },
  {
    section: 'bridge',
    path: /\.ifindex$/,
    reason: 'as that of the interface: hardware that starts anew in an ADD has another one',
  },
  {
    section: 'bridge',
    path: /\.mcast_n_groups$/,
    reason: 'groups that a port has told of, which the bridge forgets after some minutes',
  },
  {
    section: 'link',
    path: /\.tso_max_size$/,
    reason: 'a bridge takes it from the last port that joined and keeps it (netif_inherit_tso_max)',
  },
  {
    section: 'link',
    path: /\.permaddr$/,
    reason:
      'igbvf takes the MAC that its PF gave it for the permanent one at every reset; nothing can set it',
  },
  {
    section: 'file',
    path: /^\/run\/vf-flower(\/lock|\/attachments|\/no-policy|\/pf-lock [^/]+|\/name-lock [^/]+)?$/,
    reason:
      'the locks of attachments, and those that all port mappings, all changes of a PF and all who need a name share, the mark of what is told once in a boot, and their folder',
  },
  {
    section: 'file',
    path: /^\/run\/vf-flower\/pod-had [^/]+$/,
    reason: 'that a PCI function was in a pod since its driver began: the next ADD has it start anew',
  },
  {
    section: 'file',
    path: /^\/run\/vf-flower\/administrative-mac [^/]+$/,
    reason: 'the MAC of a VF that a reset has shown to be administrative: no ADD resets the VF for it again',
  },
  {
    section: 'file',
    path: /^\/var\/lib\/cni\/vf-flower(\/(attach|(offload|portmap|bandwidth)(\/report)?|lock(\/[^/ ]+)?))?$/,
    reason:
      'folders of records and reports, and lock files, stay: removing a lock file would let two processes hold the lock',
  },
  {
    section: 'file',
    path: /^\/var\/lib\/cni\/sriov(\/pci(\/vf_lock(\/[^/ ]+)?)?)?$/,
    reason: "sriov-cni's folders and locks, which both leave; its in-use records have to go",
  },
  {
    section: 'link',
    path: /\.ifindex$/,
    reason: 'the kernel hands out a new number when the old one is taken in the other namespace',
  },
  {
    section: 'address',
    path: /\.(valid_life_time|preferred_life_time)$/,
    reason: 'count down for addresses that a router announced',
  },
  { section: 'address', path: /\.tentative$/, reason: 'ends when duplicate address detection does' },
  { section: 'route', path: /\.(expires|age)$/, reason: 'timers' },
  {
    section: 'filter',
    path: /\.(installed|last_used|first_used|expires)$/,
    reason: 'timers, which tc prints without asking for some actions',
  },
  { section: 'filter', path: /\.stats(\..*)?$/, reason: 'counters' },
  {
    section: 'filter',
    path: /\.used_hw_stats(\..*)?$/,
    reason: 'shown from the second look at the counters on, also for rules in software',
  },
  {
    section: 'action',
    path: /\.(installed|last_used|first_used|expires|stats)(\..*)?$/,
    reason: 'timers, counters',
  },
  { section: 'nft', path: /^\{"metainfo":/, reason: 'the version of nft, told when there are tables' },
  { section: 'nft', path: /\.counter\.(packets|bytes)$/, reason: 'counters' },
  { section: 'nft', path: /\.elem\.expires$/, reason: 'timers of set elements' },
  { section: 'fdb', path: /\.(used|updated)$/, reason: 'timers' },
  {
    section: 'fdb',
    path: /"mac":"33:33:00:00:00:0[12]".*"self"/,
    reason:
      'IPv6 joins the groups of all nodes and of all routers when an interface goes up, and a move between namespaces drops them',
  },
  { section: 'fdb', path: /"state":""/, reason: 'learned from traffic and forgotten by time' },
  {
    section: 'neighbour',
    path: /"state":\["(INCOMPLETE|REACHABLE|STALE|DELAY|PROBE|FAILED)"\]/,
    reason: 'learned from traffic and forgotten by time',
  },
  {
    section: 'file',
    path: /\/var\/lib\/cni\/networks\/[^/]+\/(last_reserved_ip\.\d+|lock)$/,
    reason: 'host-local keeps the last address it gave out, and its lock, for good',
  },
  {
    section: 'file',
    path: /\/var\/lib\/cni\/networks(\/[^/]+)?$/,
    reason: 'host-local keeps the folder of a network when the last address is given back',
  },
]

const PROGRAM = ['perl', fileURLToPath(new URL('snapshot.pl', import.meta.url))]

/**
 * Takes a snapshot in one command. Fails when interfaces can't be listed. Another tool that fails becomes a fact, e.g. `failed devlink
 * port`: in every snapshot where a kernel lacks the feature, a difference where the failure happens once.
 */
export async function snapshot(lab: Pick<Lab, 'exec'>, options: SnapshotOptions = {}): Promise<Snapshot> {
  const folders = [...(options.state === false ? [] : STATE_FOLDERS), ...(options.folders ?? [])]
  const argv = inNamespace(options.namespace ?? null, [...PROGRAM, ...folders])
  // Without LC_ALL, looking for translations would take a fifth of the time.
  const { code, stdout, stderr } = await lab.exec(argv, { env: { LC_ALL: 'C' } })
  if (code !== 0) throw new Error(`Cannot take a snapshot: code ${code}: ${stderr}`)
  return parseSnapshot(stdout)
}

/** The state at the beginning of all tests of a file; each test must come back to it. */
export class Baseline {
  #before: Snapshot | undefined

  /** Before a test: takes a snapshot if there is none, as at first and after a test that failed. */
  async begin(lab: Lab): Promise<void> {
    this.#before ??= await snapshot(lab)
  }

  /** After a test, with its outcome. */
  end(state: string | undefined): void {
    if (state !== 'pass') this.#before = undefined
  }

  /** Lines of {@link diffSnapshot}. */
  async changes(lab: Lab): Promise<string[]> {
    if (this.#before === undefined) throw new Error('Nobody has looked before')
    return diffSnapshot(this.#before, await snapshot(lab))
  }
}

/**
 * True for a line of {@link diffSnapshot} about a bridge's carrier. That a bridge without ports has none is for a kernel
 * worker to find out, in its own time.
 */
export function isCarrierOf(bridge: string, line: string): boolean {
  return line.startsWith(`link ${bridge}.flags: `) || line.startsWith(`link ${bridge}.operstate: `)
}

/** Lines such as `link eth1.mtu: 1500 -> 9000`, `only before: route ...`, `only after: file ...`; none if equal. */
export function diffSnapshot(before: Snapshot, after: Snapshot): string[] {
  const lines: string[] = []
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, now] = [before.get(path), after.get(path)]
    if (old === now) continue
    const shown = (value: string): string => (value === '' ? path : `${path}: ${value}`)
    if (old === undefined) lines.push(`only after: ${shown(now ?? '')}`)
    else if (now === undefined) lines.push(`only before: ${shown(old)}`)
    else lines.push(`${path}: ${old} -> ${now}`)
  }
  return lines
}

/**
 * Turns the output of the program (`== SECTION CONTEXT`, then JSON or lines) into facts. After `== batch SECTION CONTEXT|...` comes a
 * JSON document for each; after `== sysctl FOLDER NAME...` and `== feature NAME...` comes a line of numbers for each interface.
 */
export function parseSnapshot(output: string): Snapshot {
  const facts = new Map<string, string>()
  for (const part of output.split(/^== /m).slice(1)) {
    const end = part.indexOf('\n')
    const [section = '', ...context] = part.slice(0, end).split(' ')
    const body = part.slice(end + 1)
    if (section === 'feature') addFeatures(facts, context, body)
    else if (section === 'batch') addBatch(facts, context.join(' '), body)
    else if (section === 'failed') facts.set(`failed ${context.join(' ')}`, '')
    else if (section === 'sysctl' && context.length > 0) addSettings(facts, context, body)
    else if (section in JSON_SECTIONS) addJson(facts, section as JsonSection, context.join(' '), body)
    else addLines(facts, section, body)
  }
  return facts
}

type JsonSection = keyof typeof JSON_SECTIONS
type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

// The name of an entry. `fields` lists each value below it for itself, `whole` the entry as one: then it is
// its own name, except for the part that `name` gives.
const JSON_SECTIONS = {
  link: { as: 'fields', name: (entry: Json) => text(entry, 'ifname') },
  address: { as: 'whole', name: (entry: Json) => text(entry, 'dev') },
  route: { as: 'whole', name: () => '' },
  rule: { as: 'whole', name: () => '' },
  neighbour: { as: 'whole', name: () => '' },
  nexthop: { as: 'whole', name: () => '' },
  qdisc: { as: 'whole', name: () => '' },
  class: { as: 'whole', name: () => '' },
  filter: { as: 'whole', name: () => '' },
  action: { as: 'whole', name: () => '' },
  nft: { as: 'whole', name: () => '' },
  bridge: { as: 'whole', name: () => '' },
  vlan: { as: 'whole', name: () => '' },
  fdb: { as: 'whole', name: () => '' },
  devlink: { as: 'whole', name: () => '' },
} as const

// Four masks for every 32 names, see snapshot.pl.
function addFeatures(facts: Map<string, string>, names: readonly string[], body: string): void {
  for (const line of body.split('\n').filter((one) => one !== '')) {
    const [link = '', ...masks] = line.split(' ')
    for (const [index, name] of names.entries()) {
      if (name === '-') continue
      const [isFree, isWished, isOn, isNever] = [0, 1, 2, 3].map(
        (mask) => ((Number(masks[4 * (index >> 5) + mask]) >>> (index & 31)) & 1) === 1,
      )
      const notes = [!isFree || isNever ? ' fixed' : '', isWished === isOn ? '' : ' against the wish']
      facts.set(`feature ${link}.${name}`, `${isOn ? 'on' : 'off'}${notes.join('')}`)
    }
  }
}

function addBatch(facts: Map<string, string>, names: string, body: string): void {
  const documents = documentsOf(body)
  const headers = names.split('|')
  if (documents.length !== headers.length) {
    throw new Error(`${documents.length} documents for ${headers.length} sections: ${names}`)
  }
  for (const [index, header] of headers.entries()) {
    const [section = '', ...context] = header.split(' ')
    addJson(facts, section as JsonSection, context.join(' '), documents[index] ?? '')
  }
}

// Arrays and objects that follow each other.
function documentsOf(body: string): string[] {
  const documents: string[] = []
  let [depth, from] = [0, 0]
  for (const { 0: token, index } of body.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') {
      if (depth++ === 0) from = index
    } else if (token === ']' || token === '}') {
      if (--depth === 0) documents.push(body.slice(from, index + 1))
    }
  }
  return documents
}

function addJson(facts: Map<string, string>, section: JsonSection, context: string, body: string): void {
  const { as, name } = JSON_SECTIONS[section]
  const parsed = JSON.parse(body.trim() === '' ? '[]' : body) as Json
  for (const entry of section === 'address' ? addressesOf(parsed) : entriesOf(parsed)) {
    const key = [section, context, name(entry)].filter((part) => part !== '').join(' ')
    if (mayDiffer(section, JSON.stringify(entry))) continue
    const kept = without(entry, '', section)
    if (as === 'fields') addFields(facts, key, kept)
    else addOnce(facts, `${key} ${JSON.stringify(kept)}`)
  }
}

// nft and devlink put their list into an object.
function entriesOf(parsed: Json): Json[] {
  if (Array.isArray(parsed)) return parsed
  if (parsed === null || typeof parsed !== 'object') return []
  return Object.values(parsed).flatMap((value) =>
    Array.isArray(value)
      ? value
      : Object.entries((value ?? {}) as object).map(([key, one]) => ({ [key]: one as Json })),
  )
}

// The values of the link itself have a section of their own.
function addressesOf(parsed: Json): Json[] {
  if (!Array.isArray(parsed)) return []
  return (parsed as { ifname: string; addr_info: { [key: string]: Json }[] }[]).flatMap((link) =>
    link.addr_info.map((address) => ({ dev: link.ifname, ...address })),
  )
}

function without(value: Json, path: string, section: string): Json {
  if (Array.isArray(value)) return value.map((one, index) => without(one, `${path}.${index}`, section))
  if (value === null || typeof value !== 'object') return value
  const kept: { [key: string]: Json } = {}
  for (const [key, one] of Object.entries(value)) {
    if (!mayDiffer(section, `${path}.${key}`)) kept[key] = without(one, `${path}.${key}`, section)
  }
  return kept
}

function mayDiffer(section: string, path: string): boolean {
  return MAY_DIFFER.some((one) => one.section === section && one.path.test(path))
}

function addFields(facts: Map<string, string>, path: string, value: Json): void {
  const list = Array.isArray(value) ? value.some((one) => one !== null && typeof one === 'object') : true
  if (value === null || typeof value !== 'object' || !list) {
    facts.set(path, JSON.stringify(value))
    return
  }
  for (const [key, one] of Object.entries(value)) addFields(facts, `${path}.${key}`, one)
}

// Netlink has milliseconds, the file has seconds.
const IN_SECONDS =
  /^router_(solicitation_interval|solicitation_max_interval|solicitation_delay|probe_interval)$/
const UNSIGNED = /^(ra_defrtr_metric|ioam6_id_wide)$/

// The settings that the numbers of the files stand for.
function addSettings(facts: Map<string, string>, header: readonly string[], body: string): void {
  const [folder = '', ...names] = header
  for (const line of body.split('\n').filter((one) => one !== '')) {
    const [link = '', ...values] = line.split(' ')
    for (const [index, name] of names.entries()) {
      const value = Number(values[index])
      if (name === '-' || Number.isNaN(value)) continue
      const shown = IN_SECONDS.test(name)
        ? Math.floor(value / 1000)
        : UNSIGNED.test(name)
          ? value >>> 0
          : value
      facts.set(`sysctl ${folder}/${link}/${name}`, String(shown))
    }
  }
}

// The other sections: `NAME TAB VALUE`, or a name alone. A value that begins with `=` is the content of a file.
function addLines(facts: Map<string, string>, section: string, body: string): void {
  for (const line of body.split('\n')) {
    const [name = '', ...rest] = line.split('\t')
    if (name === '' || mayDiffer(section, name)) continue
    const key = `${section} ${name}`
    const values = rest.map((part) => (part.startsWith('=') ? checksum(part.slice(1)) : part))
    facts.set(key, [facts.get(key), ...values].filter((part) => part !== undefined).join(' '))
  }
}

function checksum(hexadecimal: string): string {
  return createHash('sha256').update(Buffer.from(hexadecimal, 'hex')).digest('hex')
}

function addOnce(facts: Map<string, string>, key: string): void {
  let name = key
  for (let copy = 2; facts.has(name); copy++) name = `${key} (${copy})`
  facts.set(name, '')
}

function text(entry: Json, key: string): string {
  const value = entry !== null && typeof entry === 'object' && !Array.isArray(entry) ? entry[key] : undefined
  return typeof value === 'string' ? value : ''
}
