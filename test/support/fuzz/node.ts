// The hands of the fuzzer's half in the node: makes calls, spoils records, takes snapshots. In: drafts. Out: the ends of calls,
// snapshots. Judges nothing.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diffSnapshot, parseSnapshot, STATE_FOLDERS } from '../../../hack/lab/bed/snapshot.ts'
import { IPAM_FOLDER } from './bed.ts'
import { CONTAINER, callOf, type Draft, POD, type RealCall, STATE } from './draft.ts'
import { type Ended, HUNG_MS } from './judge.ts'
import { printTree, type Tree } from './tree.ts'

const top = join(import.meta.dirname, '../../..')
/** Things that each call adds to the node: counted for the report. */
let calls = 0

/** The number of calls of the plugins so far. */
export function callCount(): number {
  return calls
}

/** Runs a line of sh that must succeed. @throws Error with its output */
export function sh(script: string, ...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-c', script, 'sh', ...args], { stdin: 'ignore' })
  if (exitCode !== 0) throw new Error(`sh ended with ${exitCode}: ${stdout}${stderr}: ${script}`)
  return stdout.toString()
}

/** Makes the call of a draft, after laying out the IPAM plugin's answers; the caller has run `prepare`. */
export function make(draft: Draft): { call: RealCall; ended: Ended } {
  for (const verb of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'])
    for (const file of [verb, `${verb}.then`]) rmSync(join(IPAM_FOLDER, file), { force: true })
  for (const [verb, { text, ending }] of Object.entries(draft.ipam)) {
    writeFileSync(join(IPAM_FOLDER, verb), text)
    writeFileSync(join(IPAM_FOLDER, `${verb}.then`), ending)
  }
  const call = callOf(draft)
  return { call, ended: run(call) }
}

function run({ file, env, stdin, shell }: RealCall): Ended {
  const program = join(top, 'dist', file)
  const argv = shell === undefined ? [program] : ['/bin/sh', '-c', shell, program]
  const started = performance.now()
  calls++
  const child = Bun.spawnSync(argv, { env: { ...env }, stdin, timeout: HUNG_MS, killSignal: 'SIGKILL' })
  return {
    code: child.exitCode,
    signal: child.signalCode === undefined || child.signalCode === null ? null : String(child.signalCode),
    stdout: child.stdout.toString(),
    stderr: child.stderr.toString(),
    ms: performance.now() - started,
    memory: Math.round((child.resourceUsage?.maxRSS ?? 0) / 2 ** 20),
  }
}

/** The questions to the IPAM plugin since the last look, in turn. */
export function ipamAsked(): string[] {
  const path = join(IPAM_FOLDER, 'asked')
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  } finally {
    rmSync(path, { force: true })
  }
}

/** Node and pod as printed by snapshot.pl. */
export type Look = readonly string[]

/** Takes a snapshot of the node, and of the pod from inside. */
export function look(): Look {
  const script = join(top, 'hack/lab/bed/snapshot.pl')
  const folders = [...STATE_FOLDERS, '/etc/vf-flower', '/srv/trap']
  return [
    ['perl', script, ...folders],
    ['nsenter', `--net=/run/netns/${POD}`, 'perl', script],
  ].map((argv) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(argv, { stdin: 'ignore' })
    if (exitCode !== 0) throw new Error(`${argv[0]} ended with ${exitCode}: ${stderr}`)
    return stdout.toString()
  })
}

// A config may put records into one of the bed's folders: folders and locks of records stay everywhere.
const STAYS = /^only after: file \/run\/fuzz\/folder\/((attach|offload(\/report)?|lock)|lock\/[^/]+): /

// The rules of our own table are made anew for a first mapping, and get new numbers.
const NUMBERS = /"handle": ?\d+/g

/** Differences of the second look from the first; none if they are equal. */
export function differences(before: Look, after: Look): string[] {
  return ['', 'in the pod: '].flatMap((where, index) => {
    const [old = '', now = ''] = [before[index], after[index]].map((one) =>
      one?.replaceAll(NUMBERS, '"handle":0'),
    )
    if (old === now) return []
    const lines = diffSnapshot(parseSnapshot(old), parseSnapshot(now))
    return lines.filter((line) => !STAYS.test(line)).map((line) => `${where}${line.slice(0, 400)}`)
  })
}

/** Spoils the attachment's record. Returns a function that restores the record; undefined when there is no record. */
export function spoilRecord({ plugin, damage }: Draft): (() => void) | undefined {
  const folder = join(STATE, plugin === 'vf-attach' ? 'attach' : 'offload')
  const name = readdirSync(folder).find((file) => file.includes(` ${CONTAINER}@`))
  if (name === undefined || damage === undefined) return undefined
  const path = join(folder, name)
  const text = readFileSync(path)
  if (damage.how === 'file') writeFileSync(path, damage.change(text))
  else if (damage.how === 'kind') sh(damage.script, path)
  else writeFileSync(path, printTree(damage.change(JSON.parse(text.toString()) as Tree)))
  return () => {
    // Removes whatever is left of the record, under this name and beside it.
    for (const file of readdirSync(folder))
      if (file.includes(` ${CONTAINER}@`)) rmSync(join(folder, file), { recursive: true, force: true })
    writeFileSync(path, text, { mode: 0o600 })
  }
}
