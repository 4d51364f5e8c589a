/**
 * The device plugin's process on a large node: 8 PFs with 128 VFs each in 10 pools, as a fake root with a network namespace of the same
 * interfaces. In: the compiled program. Out: rows with times, memory and processor time, each beside its bar. Runs inside namespaces that
 * it makes; needs root. `sh hack/bun.sh hack/bench-plugin-process.ts` prints the table alone; BENCH_CYCLES and BENCH_IDLE_SECONDS make
 * it shorter.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { median, ms, table } from './bench-table.ts'
import { injectUevents } from './lab/driver/uevents.ts'
import { bigNode, pfAddress } from './lab/fake-root/big-node.ts'
import type { FakeRoot } from './lab/fake-root/fake-root.ts'
import { KubeletSimulator } from './lab/kubelet/simulator.ts'

const [pfs, vfs, pools] = [8, 128, 10] as const
/** Cycles of churn, with two changes each: an hour with a change every ten seconds. */
const cycles = Number(process.env.BENCH_CYCLES ?? 180)
const idleSeconds = Number(process.env.BENCH_IDLE_SECONDS ?? 240)
/** The plugin tidies up after the last change. */
const settleSeconds = 15
const rounds = 20
const LISTEN = '127.0.0.1:9116'
const INSIDE = 'inside'

/** A measurement beside its bar. */
export interface Row {
  readonly name: string
  readonly value: string
  readonly bar: string
  readonly holds: boolean
}

if (import.meta.main) {
  if (process.argv[2] === INSIDE) {
    console.log(JSON.stringify(await measure()))
    process.exit(0)
  }
  printRows(measureProcess())
}

/** Measures in namespaces of its own. */
export function measureProcess(): readonly Row[] {
  const words = ['--net', '--mount', '--ipc', '--pid', '--fork', '--mount-proc', '--kill-child']
  const { stdout } = execaSync('unshare', [...words, process.execPath, import.meta.path, INSIDE], {
    stderr: 'inherit',
  })
  return JSON.parse(stdout) as Row[]
}

/** Prints the table; the exit code tells whether all bars hold. */
export function printRows(rows: readonly Row[]): void {
  console.log(`\nThe device plugin with ${pfs} PFs x ${vfs} VFs in ${pools} pools`)
  table(
    ['', 'measured', 'bar', ''],
    rows.map(({ name, value, bar, holds }) => [
      name,
      value,
      bar,
      bar === '' ? '' : holds ? 'holds' : 'MISSED',
    ]),
  )
  if (rows.some(({ holds }) => !holds)) process.exitCode = 1
}

/** Everything that a measurement uses. */
interface Bench {
  readonly root: FakeRoot
  readonly folder: string
  readonly kubelet: KubeletSimulator
  readonly plugin: ChildProcess
  readonly pid: number
}

async function measure(): Promise<Row[]> {
  const root = bigNode(pfs, vfs)
  const folder = mkdtempSync(join(tmpdir(), 'bench-plugin-'))
  try {
    makeInterfaces(root)
    const bench = await start(root, folder)
    await whole(bench)
    const first = memoryOf(bench.pid)
    const before = await scansSoFar()
    const changes = await changeTimes(bench)
    const behind = await scansSoFar()
    // From here on VmHWM is the most of the churn (clear_refs of proc_pid_clear_refs(5)).
    writeFileSync(`/proc/${bench.pid}/clear_refs`, '5')
    await churn(bench)
    const end = await scansSoFar()
    const { peak } = memoryOf(bench.pid)
    const { idle, most } = await rest(bench)
    await bench.kubelet.stop()
    bench.plugin.kill('SIGTERM')
    return [
      row(
        'scan, mean',
        (1000 * (behind.seconds - before.seconds)) / (behind.count - before.count),
        300,
        'ms',
      ),
      seen(`scans above 300 ms, of ${end.count} in all`, String(end.count - end.inTime)),
      row('change to ListAndWatch, median', median(changes), 500, 'ms'),
      seen('change to ListAndWatch, longest', `${ms(Math.max(...changes))} ms`),
      row(`resident memory at rest, the most, ${ms(most.own)} of it its own`, most.whole, 80, 'MB'),
      seen(`resident memory right after the start, ${ms(first.own)} of it its own`, `${ms(first.whole)} MB`),
      seen(`resident memory in ${cycles} cycles of churn, the most`, `${ms(peak)} MB`),
      row(`processor while idle, over ${idleSeconds} s`, idle, 0.2, '%'),
    ]
  } finally {
    root.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

function row(name: string, value: number, bar: number, unit: string): Row {
  const text = unit === '%' ? value.toFixed(3) : unit === '' ? String(value) : ms(value)
  const unitOf = unit === '' ? '' : ` ${unit}`
  return { name, value: `${text}${unitOf}`, bar: `<= ${bar}${unitOf}`, holds: value <= bar }
}

/** A measurement without a bar: the longest of many times tells what else runs on the machine. */
function seen(name: string, value: string): Row {
  return { name, value, bar: '', holds: true }
}

/** Pool `index` has a range of VFs of every PF. */
function config(health = 0): string {
  const width = Math.ceil(vfs / pools)
  const resourceList = Array.from({ length: pools }, (_, index) => {
    const range = `${index * width}-${Math.min(vfs, (index + 1) * width) - 1}`
    return {
      resourceName: `pool${index}`,
      selectors: [{ pfNames: Array.from({ length: pfs }, (_, pf) => `ens${pf}#${range}`) }],
      health: { goodAfter: health },
    }
  })
  return JSON.stringify({ resourceList })
}

/** Interfaces of the namespace with the names and indexes of the fake sysfs, in pairs; the PFs are up. */
function makeInterfaces(root: FakeRoot): void {
  const names = Array.from({ length: pfs }, (_, pf) => [
    `ens${pf}`,
    ...Array.from({ length: vfs }, (_, vf) => `ens${pf}v${vf}`),
  ])
  const indexOf = (name: string) => readFileSync(join(root.sys, 'class/net', name, 'ifindex'), 'utf8').trim()
  const lines: string[] = []
  const pair = (left: string, right: string) =>
    lines.push(
      `link add index ${indexOf(left)} name ${left} type veth peer name ${right} index ${indexOf(right)}`,
    )
  for (let pf = 0; pf < pfs; pf += 2) {
    const [left = [], right = []] = [names[pf], names[pf + 1]]
    for (const [index, name] of left.entries()) pair(name, right[index] ?? '')
    for (const name of [left[0], right[0]]) lines.push(`link set ${name} up`)
  }
  execaSync('ip', ['-b', '-'], { input: ['link set lo up', ...lines].join('\n') })
}

async function start(root: FakeRoot, folder: string): Promise<Bench> {
  const kubeletFolder = join(folder, 'kubelet')
  mkdirSync(kubeletFolder)
  const kubelet = new KubeletSimulator({ root: kubeletFolder })
  await kubelet.start()
  const file = join(folder, 'config.json')
  writeFileSync(file, config())
  const flags = {
    'config-file': file,
    'sys-root': root.sys,
    'dev-root': root.dev,
    'kubelet-dir': kubeletFolder,
    'cdi-dir': join(folder, 'cdi'),
    'device-info-dir': join(folder, 'devinfo'),
    'state-dir': join(folder, 'state'),
    listen: LISTEN,
  }
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
  const plugin = spawn(join(import.meta.dirname, '../dist/vf-device-plugin'), words, {
    stdio: ['ignore', 'ignore', process.env.BENCH_LOG === '1' ? 'inherit' : 'ignore'],
  })
  plugin.once('exit', (code) => {
    if (code !== 0) throw new Error(`the device plugin ended with code ${code}`)
  })
  return { root, folder, kubelet, plugin, pid: plugin.pid ?? 0 }
}

/** Resolves when kubelet has all devices. */
async function whole({ kubelet }: Bench): Promise<void> {
  const width = Math.ceil(vfs / pools)
  for (let index = 0; index < pools; index++) {
    const count = Math.min(vfs, (index + 1) * width) - index * width
    await kubelet.wait(`intel.com/pool${index}`, { healthy: pfs * count }, 60_000)
  }
}

async function metrics(): Promise<string> {
  return (await fetch(`http://${LISTEN}/metrics`)).text()
}

/** Scans so far, as the plugin counts them. One text answers all scrapes of a second. */
async function scansSoFar(): Promise<{ count: number; seconds: number; inTime: number }> {
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const text = await metrics()
  const value = (sample: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`vf_flower_scan_duration_seconds_${sample} `))
        ?.split(' ')[1],
    )
  return { count: value('count'), seconds: value('sum'), inTime: value('bucket{le="0.3"}') }
}

async function changeTimes(bench: Bench): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) times.push(await oneChange(bench, round))
  return times
}

/**
 * Unbinds a VF of the first pool, tells the kernel's listeners, and waits until kubelet has it unhealthy; then the same back. Returns
 * the milliseconds from the uevent to kubelet's books, of the first half.
 */
async function oneChange({ root, kubelet }: Bench, round: number): Promise<number> {
  const pf = pfAddress(round % pfs)
  const vf = root.vfAddress(pf, 3)
  const path = root.folderOf(vf).slice(root.sys.length)
  const tell = (action: string) =>
    injectUevents([{ action, path, fields: { SUBSYSTEM: 'pci', DRIVER: 'igbvf', PCI_SLOT_NAME: vf } }])
  const before = (await kubelet.devices('intel.com/pool0'))?.devices.length ?? 0
  root.unbind(vf)
  const started = performance.now()
  tell('unbind')
  await kubelet.wait('intel.com/pool0', { healthy: before - 1 })
  const time = performance.now() - started
  root.bind(vf, 'igbvf')
  tell('bind')
  await kubelet.wait('intel.com/pool0', { healthy: before })
  return time
}

/** Everything that happens in an hour: VFs that come and go, pods, dropped streams, new configs, scrapes. */
async function churn(bench: Bench): Promise<void> {
  const { root, kubelet, folder } = bench
  for (let cycle = 0; cycle < cycles; cycle++) {
    await oneChange(bench, cycle)
    const pod = { uid: `pod-${cycle}`, namespace: 'default', name: `pod-${cycle}` }
    for (const pool of [1, 2]) await kubelet.allocate(pod, 'app', `intel.com/pool${pool}`, 2)
    await metrics()
    await kubelet.endPod(pod.uid)
    // Streams that end within ten seconds of their beginning are answered with longer and longer waits: not what is measured here.
    if (cycle % 80 === 0) await kubelet.dropStreams()
    if (cycle % 80 === 40) await kubelet.restart()
    if (cycle % 10 === 0) {
      writeFileSync(join(folder, 'config.new'), config(cycle % 20))
      renameSync(join(folder, 'config.new'), join(folder, 'config.json'))
    }
    if (cycle % 30 === 29) {
      const pf = pfAddress(cycle % pfs)
      const path = root.folderOf(pf).slice(root.sys.length)
      const describe = (index: number) => ({
        ...{ driver: 'igbvf', iommuGroup: 100 + (cycle % pfs) * 256 + index },
        netdevs: [{ name: `ens${cycle % pfs}v${index}` }],
      })
      for (const count of [vfs / 2, vfs]) {
        root.setVfs(pf, count, describe)
        injectUevents([{ action: 'change', path, fields: { SUBSYSTEM: 'pci', PCI_SLOT_NAME: pf } }])
      }
    }
    await whole(bench)
  }
}

/** Resident memory in MB. */
interface Memory {
  readonly whole: number
  /** The part that is no page of the program's file. */
  readonly own: number
  /** The most until now. */
  readonly peak: number
}

function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1000
  return { whole: of('VmRSS'), own: of('RssAnon'), peak: of('VmHWM') }
}

/**
 * The program while nothing happens but its scans: share of one processor in percent, and its memory when it is the most, of a look
 * every second.
 */
async function rest({ pid }: Bench): Promise<{ idle: number; most: Memory }> {
  await pause(settleSeconds)
  const [started, before] = [performance.now(), processorTime(pid)]
  let most = memoryOf(pid)
  for (let second = 0; second < idleSeconds; second++) {
    await pause(1)
    const now = memoryOf(pid)
    if (now.whole > most.whole) most = now
  }
  return { idle: ((processorTime(pid) - before) / (performance.now() - started)) * 100, most }
}

/** Milliseconds that a process has used, those of threads that have ended too. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  // utime and stime in ticks of 10 ms, of the fields behind the name.
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
}
