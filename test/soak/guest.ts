/**
 * The half of the soak tests that runs in the guest: carries the jobs of one lane out and says what it saw. In: an Order as
 * JSON on stdin. Out: one JobAnswer a line, as the jobs end. Judges nothing. Synchronous, as a lane does one thing after
 * the other; in software emulation that halves the cost of every program that is run.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import type { AgentStatus } from '../../src/agent/status.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { openNetns, withNetns } from '../../src/sys/namespaces.ts'
import { sleep } from '../../src/sys/sleep.ts'
import {
  type Answer,
  addressFolder,
  type Call,
  type CallAnswer,
  type Job,
  type JobAnswer,
  type Look,
  type LookAnswer,
  type Order,
  type Place,
  type Step,
} from './script.ts'

/** In place of a look that would show nothing that matters. */
const nothingSeen: LookAnswer = {
  ...{ do: 'look', vfinfo: {}, host: [], pods: {}, records: {}, addresses: {}, text: '' },
  leftOut: true,
}

const order = JSON.parse(readFileSync(0, 'utf8')) as Order
for (const job of order.lane.jobs) print(`${JSON.stringify(runJob(order.lane.place, job))}\n`)
for (const file of [traceOf, logOf, onceOf].map((of) => of(order.lane.place))) rmSync(file, { force: true })

function print(text: string): void {
  let rest: Uint8Array = new TextEncoder().encode(text)
  while (rest.length > 0) rest = rest.subarray(writeSync(1, rest))
}

function traceOf({ network }: Place): string {
  return `/run/trace-${network}`
}

/** Made by the worker that a signal strikes. */
function onceOf({ network }: Place): string {
  return `/run/once-${network}`
}

function logOf({ network }: Place): string {
  return `/run/log-${network}`
}

function runJob(place: Place, job: Job): JobAnswer {
  const started = performance.now()
  const answers: Answer[] = []
  const results = new Map<string, JsonObject>()
  const ms = () => Math.round(performance.now() - started)
  try {
    const runSteps = (steps: readonly Step[]): void => {
      for (const step of steps) {
        if (step.do === 'ifLeft') runSteps(isLeft(place) ? step.steps : step.otherwise)
        else if (step.do === 'call') answers.push(runCall(place, step, results))
        else if (step.do === 'look') answers.push(isMoot(step, answers) ? nothingSeen : look(place, step))
        else answers.push({ do: 'sh', stdout: printed(step.script) })
      }
    }
    runSteps(job.steps)
    return { id: job.id, answers, ms: ms() }
  } catch (error) {
    return { id: job.id, answers, ms: ms(), error: String(error) }
  }
}

function isMoot({ ifRefused }: Look, answers: readonly Answer[]): boolean {
  return ifRefused === true && answers.findLast((answer) => answer.do === 'call')?.code === 0
}

/** True if the lane has a record, or an address that was given out. */
function isLeft(place: Place): boolean {
  return recordsOf(place).length > 0 || addressesOf(place).length > 0
}

function printed(script: string): string {
  const { code, stdout, stderr } = run(['sh', '-c', script])
  if (code !== 0) throw new Error(`sh ended with ${code}: ${stdout}${stderr}: ${script}`)
  return stdout
}

function runCall(place: Place, call: Call, results: Map<string, JsonObject>): CallAnswer {
  const prevResult = results.get(call.container)
  const isPointless =
    call.ifRecord === true && !recordsOf(place).some(([file]) => file.includes(` ${call.container}@`))
  if ((call.prev === true && prevResult === undefined) || isPointless) {
    return { do: 'call', code: 0, signal: null, stderr: '', leftOut: true }
  }
  const trace = traceOf(place)
  const log = logOf(place)
  rmSync(trace, { force: true })
  rmSync(log, { force: true })
  rmSync(onceOf(place), { force: true })
  const env = {
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: call.container,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_PATH: order.path,
    ...(call.fault === undefined ? {} : { VF_FLOWER_FAULT: call.fault }),
    ...(order.warm === true ? { VF_FLOWER_FAULT_ONCE: onceOf(place) } : {}),
    ...(call.traced === undefined ? {} : { VF_FLOWER_FAULT_TRACE: trace }),
    ...(call.logged === undefined ? {} : { VF_FLOWER_LOG_FILE: log, VF_FLOWER_LOG_LEVEL: 'debug' }),
  }
  if (order.warm === true && call.fault?.includes('SIGKILL') === true) printed(order.freshAgent ?? '')
  const config = { ...call.config, ...(call.prev === true ? { prevResult } : {}) }
  // With an argument the shim asks no agent.
  const alone = order.warm === true ? [] : ['alone']
  const ended = run([order.plugin, ...alone], {
    env,
    stdin: JSON.stringify(config),
    killAfterMs: call.killAfterMs,
  })
  const object = ended.stdout.trim() === '' ? undefined : (JSON.parse(ended.stdout) as JsonObject)
  if (call.verb === 'ADD' && ended.code === 0 && object !== undefined) results.set(call.container, object)
  const { code, signal, stderr } = ended
  if (order.warm === true && signal !== null) waitForWorkers()
  const answer = { do: 'call', code, signal, object, stderr } as const
  return {
    ...answer,
    ...(call.traced === undefined ? {} : { trace: linesOf(trace) }),
    ...(call.logged === undefined ? {} : { log: linesOf(log).map((line) => JSON.parse(line) as JsonObject) }),
  }
}

/** Waits until the workers that have a call now have ended it: one of them may have that of a shim that was killed. */
function waitForWorkers(): void {
  const calls = busyWorkers()
  while (busyWorkers().some((one) => calls.includes(one))) sleep(20)
}

/** Workers in a call, each with the number of calls before it; and those without a supervisor, which end after their call. */
function busyWorkers(): string[] {
  const status = run(['sh', '-c', order.agentStatus ?? 'true']).stdout
  const workers = status.startsWith('{') ? (JSON.parse(status) as AgentStatus).workers : []
  const orphans = readdirSync('/proc').filter((pid) => {
    const isWorker = /^\d+$/.test(pid) && textOf(`/proc/${pid}/cmdline`).startsWith('vf-agent\0worker')
    return isWorker && !workers.some((one) => one.pid === Number(pid))
  })
  const busy = workers.filter(({ state }) => state === 'busy')
  return [...orphans, ...busy.map(({ pid, calls }) => `${pid} ${calls}`)]
}

interface Ended {
  readonly code: number
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  /** The whole environment; that of this process if absent. */
  readonly env?: Record<string, string>
  readonly stdin?: string
  readonly killAfterMs?: number | undefined
}

/** Runs a program until it and all that it has started are gone. */
function run(argv: string[], options: RunOptions = {}): Ended {
  const { env = process.env, stdin = '', killAfterMs } = options
  // A session of its own: what a killed plugin leaves behind can be told, and is waited for.
  const child = Bun.spawnSync(argv, {
    env,
    detached: true,
    stdin: new TextEncoder().encode(stdin),
    ...(killAfterMs === undefined ? {} : { timeout: Math.max(1, killAfterMs), killSignal: 'SIGKILL' }),
  })
  const signal = child.signalCode ? String(child.signalCode) : null
  if (signal !== null) while (sessionLives(child.pid)) sleep(10)
  const code = signal === null ? child.exitCode : -1
  return { code, signal, stdout: child.stdout.toString(), stderr: child.stderr.toString() }
}

function sessionLives(session: number): boolean {
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false
    const stat = textOf(`/proc/${pid}/stat`)
    const [state, , , sid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(sid) === session && state !== 'Z'
  })
}

function look(place: Place, { pods, script }: Look): LookAnswer {
  // A subject whose state a script alone tells has no devices of its own.
  const links = place.pf === '' && place.devices.length === 0 ? [] : ip(['-d', 'link'])
  const pf = links.find(({ ifname }) => ifname === place.pf)
  const infos = (pf?.vfinfo_list ?? []) as JsonObject[]
  const mine = place.vfs.flatMap(({ index }) => {
    const info = infos.find(({ vf }) => vf === index)
    return info === undefined ? [] : [[String(index), info] as const]
  })
  const pcis = place.vfs.map(({ pci }) => pci)
  const host = links.filter(
    ({ parentdev, ifname }) => pcis.includes(String(parentdev)) || place.devices.includes(String(ifname)),
  )
  const seen: Record<string, { id: string; links: JsonObject[] }> = {}
  for (const pod of pods) {
    const path = `/run/netns/${pod}`
    if (!existsSync(path)) continue
    // Not `ip -n`, which mounts a /sys of its own each time.
    const netns = openNetns(path)
    const all = withNetns(netns, () => (isEmpty() ? [] : ip(['-d', 'address'])))
    const { cookie = '' } = netns
    netns.close()
    seen[pod] = { id: cookie, links: all.filter(({ ifname }) => ifname !== 'lo') }
  }
  return {
    do: 'look',
    vfinfo: Object.fromEntries(mine),
    host,
    pods: seen,
    records: Object.fromEntries(recordsOf(place)),
    addresses: Object.fromEntries(addressesOf(place)),
    text: script === undefined ? '' : printed(script),
  }
}

/** True if the namespace that this thread is in has no interface but lo: most pods do, and a program costs much here. */
function isEmpty(): boolean {
  const names = textOf('/proc/thread-self/net/dev').matchAll(/^ *([^\s:]+):/gm)
  return [...names].every(([, name]) => name === 'lo')
}

/**
 * Files of the lane's network; and those that tell no network, which nobody should have left. One that another lane is
 * writing just now tells none for a moment.
 */
function recordsOf({ network }: Place): [string, string][] {
  for (let attempt = 0; ; attempt++) {
    const files = filesOf(order.records)
    const strays = files.filter(([, text]) => !text.includes('"network"'))
    if (strays.length === 0 || attempt === 20)
      return [...files.filter(([, text]) => text.includes(`"${network}"`)), ...strays]
    sleep(50)
  }
}

function addressesOf({ network }: Place): [string, string][] {
  return filesOf(`${addressFolder}/${network}`).filter(([name]) => !/^last_|^lock$/.test(name))
}

/** A dump that another lane's change has interrupted is asked for again. */
function ip(args: string[]): JsonObject[] {
  for (let attempt = 0; ; attempt++) {
    const { code, stdout, stderr } = run(['ip', '-j', ...args])
    if (code === 0 && stderr === '') return JSON.parse(stdout.trim() || '[]') as JsonObject[]
    if (attempt === 20) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
}

function filesOf(folder: string): [string, string][] {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries.flatMap((entry) =>
    entry.isDirectory() ? [] : [[entry.name, textOf(`${folder}/${entry.name}`)]],
  )
}

function linesOf(path: string): string[] {
  return textOf(path)
    .split('\n')
    .filter((line) => line !== '')
}

/** Empty when it is gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
