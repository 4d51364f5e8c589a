// The compiled device plugin in namespaces of its own (network, mounts), with a kubelet simulator and fake roots beside it: its log, its pages,
// and uevents that the kernel sends to it alone. Needs root.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { type Sample, samplesOf } from '../../../hack/lab/bed/device-plugin.ts'
import { argvOf, probe, programOf } from '../../../hack/lab/driver/client.ts'
import type { TestUevent } from '../../../hack/lab/driver/uevents.ts'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import type { KubeletOptions } from '../../../hack/lab/kubelet/api.ts'
import { KubeletSimulator } from '../../../hack/lab/kubelet/simulator.ts'
import { until } from '../../../hack/lab/until.ts'
import { executable } from '../executable.ts'

const LISTEN = '127.0.0.1:9115'

/** A line of the log. */
export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [key: string]: unknown
}

/** The end of a process. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

/** An answer of HTTP. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** A running device plugin. */
export interface Program {
  readonly pid: number
  /** Lines of the log so far. */
  log(): readonly LogLine[]
  /** Everything on standard error so far. */
  stderr(): string
  /** Waits for a line whose message matches. */
  logged(message: RegExp): Promise<LogLine>
  get(path: string, method?: 'GET' | 'POST' | 'HEAD'): Promise<Page>
  /** Samples of a metric, of those with all these labels. */
  samples(name: string, labels?: Readonly<Record<string, string>>): Promise<readonly Sample[]>
  /** The value of the one sample of a metric; NaN: there is none, or several. */
  value(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** Waits until a metric has one sample with these labels and this value. One answer counts for a second. */
  shows(name: string, labels: Readonly<Record<string, string>>, value: number): Promise<void>
  kill(signal: 'SIGTERM' | 'SIGHUP' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGINT' | 'SIGQUIT'): void
  readonly ended: Promise<Ended>
  /** Ends it by SIGTERM. */
  stop(): Promise<Ended>
}

/** A node for device plugins. */
export interface ProgramBed {
  readonly top: string
  readonly root: FakeRoot
  readonly kubelet: KubeletSimulator
  path(...names: readonly string[]): string
  /** The state folder as the test sees it: it is below a /run of the bed's own, in which vf-attach allows it. */
  readonly state: string
  /** Runs a line of shell in the namespaces of the bed; returns its output. */
  shell(line: string): Promise<string>
  /** Replaces the config as a whole: an object as JSON, or a text. */
  configure(config: unknown): void
  /** Starts a device plugin with the folders of the bed. Flags that come later count. `before`: words before the program. */
  start(args?: readonly string[], env?: Readonly<Record<string, string>>, before?: readonly string[]): Program
  /** Has the kernel send uevents to the device plugins of this bed. */
  inject(events: readonly TestUevent[], times?: number): Promise<void>
  /** Has the kernel tell that VFs have changed. */
  touch(): Promise<void>
  /** Runs `explain` and the like, with the folders of the bed. */
  run(args: readonly string[]): Promise<{ code: number | undefined; stdout: string; stderr: string }>
  close(): Promise<void>
}

/** Makes a bed. The kubelet is not started yet. */
export async function programBed(options: Partial<KubeletOptions> = {}): Promise<ProgramBed> {
  const top = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vfdp-'))
  const path = (...names: readonly string[]) => join(top, ...names)
  const root = new FakeRoot()
  mkdirSync(path('kubelet'))
  const kubelet = new KubeletSimulator({ root: path('kubelet'), ...options })
  // The namespaces live as long as this process, which waits for the end of its input.
  const set = `
    ip link set lo up && mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/netns || exit
    test ! -d /var/lib/cni || mount -t tmpfs -o mode=755 tmpfs /var/lib/cni
    echo up; exec cat`
  const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', set], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => holder.stdout?.once('data', resolve))
  const own = `/proc/${holder.pid}`
  const inside = ['nsenter', `--net=${own}/ns/net`, `--mount=${own}/ns/mnt`, '--']
  const folders = [
    ...['--config-file', path('config.json'), '--sys-root', root.sys, '--dev-root', root.dev],
    ...['--kubelet-dir', path('kubelet'), '--cdi-dir', path('cdi'), '--device-info-dir', path('dp')],
    ...['--state-dir', '/run/state'],
  ]
  const programs: Program[] = []
  const inject: ProgramBed['inject'] = async (events, times = 1) => {
    const [file = '', ...args] = [...inside, ...argvOf()]
    await execa(file, args, { input: programOf([probe('injectUevents', events, times)]) })
  }
  return {
    ...{ top, root, kubelet, path, inject, state: `${own}/root/run/state` },
    shell: async (line) => {
      const [file = '', ...words] = [...inside, 'sh', '-c', line]
      return (await execa(file, words)).stdout
    },
    touch: () => inject([vfEvent]),
    configure: (config) => {
      const text = typeof config === 'string' ? config : JSON.stringify(config)
      writeFileSync(path('config.new'), text)
      renameSync(path('config.new'), path('config.json'))
    },
    start: (args = [], env = {}, before = []) => {
      const argv = [...before, executable('vf-device-plugin'), ...folders, '--listen', LISTEN, ...args]
      const listen = argv[argv.lastIndexOf('--listen') + 1] ?? LISTEN
      const one = started([...inside, ...argv], inside, listen, env)
      programs.push(one)
      return one
    },
    run: async (args) => {
      const [word = '', ...rest] = args
      const argv = word === 'explain' ? [word, ...folders, ...rest] : [...folders, ...args]
      const [file = '', ...words] = [...inside, executable('vf-device-plugin'), ...argv]
      const { exitCode, stdout, stderr } = await execa(file, words, { reject: false })
      return { code: exitCode, stdout, stderr }
    },
    close: async () => {
      for (const one of programs) one.kill('SIGKILL')
      await Promise.all(programs.map((one) => one.ended))
      await kubelet.stop()
      holder.stdin?.end()
      await new Promise((resolve) => (holder.exitCode === null ? holder.once('exit', resolve) : resolve(0)))
      root.remove()
      rmSync(top, { recursive: true, force: true })
    },
  }
}

/** A uevent of a VF. */
export const vfEvent: TestUevent = {
  action: 'change',
  path: '/devices/pci0000:00/0000:01:10.%',
  fields: { SUBSYSTEM: 'pci', PCI_CLASS: '20000' },
}

function started(
  [file = '', ...args]: readonly string[],
  inside: readonly string[],
  listen: string,
  env: Readonly<Record<string, string>>,
): Program {
  const child: ChildProcess = spawn(file, args, {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  const log = () => stderr.split('\n').flatMap(logLine)
  const get: Program['get'] = async (path, method = 'GET') => {
    const [curl = '', ...words] = [
      ...inside,
      ...['curl', '-sS', '-X', method, ...(method === 'HEAD' ? ['-I'] : [])],
      ...['-w', '\n%{http_code} %{content_type}', `http://${listen}/${path}`],
    ]
    const { stdout } = await execa(curl, words)
    const at = stdout.lastIndexOf('\n')
    const [, status = '', type = ''] = /^(\d+) ?(.*)$/.exec(stdout.slice(at + 1)) ?? []
    return { status: Number(status), type, body: stdout.slice(0, at) }
  }
  const samples: Program['samples'] = async (name, labels = {}) =>
    samplesOf((await get('metrics')).body).filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
  const kill: Program['kill'] = (signal) => void child.kill(signal)
  const value: Program['value'] = async (name, labels) => {
    const found = await samples(name, labels)
    return found.length === 1 ? (found[0]?.value ?? Number.NaN) : Number.NaN
  }
  return {
    ...{ pid: child.pid ?? 0, log, stderr: () => stderr, get, samples, value, kill, ended },
    logged: (message) =>
      until(
        () => log().find(({ msg }) => message.test(msg)),
        () => `the log says ${message}: ${stderr.slice(-2_000)}`,
      ),
    shows: async (name, labels, wanted) =>
      void (await until(
        async () => (await value(name, labels)) === wanted,
        `${name} ${JSON.stringify(labels)} is ${wanted}`,
      )),
    stop: () => {
      kill('SIGTERM')
      return ended
    },
  }
}

function logLine(line: string): LogLine[] {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'msg' in value ? [value as LogLine] : []
  } catch {
    return []
  }
}

/** The text of a file; undefined where there is none. */
export function textAt(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** The PF of {@link withVfs}. */
export const PF = '0000:3b:00.0'

/** Gives a root a PF of igb on NUMA node 1 with VFs, or the PF of an earlier call another number of VFs. Returns the VFs. */
export function withVfs(root: FakeRoot, count: number): readonly string[] {
  if (!existsSync(join(root.sys, 'bus/pci/devices', PF)))
    root.addPf({ address: PF, driver: 'igb', netdevs: [{ name: 'ens1' }], numaNode: 1 })
  root.setVfs(PF, count, (index) => ({ driver: 'igbvf', netdevs: [{ name: `ens1v${index}` }] }))
  return root.vfs(PF)
}

/** A pool of VFs by their indexes. */
export function poolOf(resourceName: string, indexes: string, more: object = {}): object {
  return { resourceName, selectors: [{ rootDevices: [`${PF}#${indexes}`] }], ...more }
}
