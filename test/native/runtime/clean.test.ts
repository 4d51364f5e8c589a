// From a clean Debian with containerd to a pod whose host port answers, by the commands of README and docs/install.md, and back: a whole system
// with systemd as process 1, a copy of this checkout, `npm run build`, `vf-flower install`. systemd starts the agent, restarts it after a crash
// and after an upgrade, and forgets it. `uninstall` leaves the file system as before, by every path, mode, time and hash. The seconds of each
// step are printed.
// needs: namespaces, veth, bridge, nft, cgroup
// packages: mmdebstrap
// only: VF_RUNTIMES
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ownArchitecture } from '../../../hack/image/layout.ts'
import { type CleanNode, startCleanNode } from '../../../hack/lab/clean/clean-node.ts'
import { IMAGE } from '../../../hack/lab/containerd/containerd.ts'
import { imageArchive } from '../../../hack/lab/containerd/image.ts'
import { endPod, type RunningPod, runPod } from '../../../hack/lab/containerd/pods.ts'
import type { AgentStatus } from '../../../src/agent/status.ts'
import { changedPaths, lookAtSystem } from '../../support/clean-system.ts'
import { executable } from '../../support/executable.ts'

const NODE = '10.20.0.1'
/** The checkout in the node. */
const COPY = '/root/vf-flower'
/** Another build in the node. */
const OTHER = '/root/other'

let node: CleanNode
let client: ChildProcess
let before: ReadonlyMap<string, string>
let pod: RunningPod
const took: string[] = []
/** Seconds of all steps so far. */
let sum = 0
const told = (seconds: number, what: string) => `${seconds.toFixed(1).padStart(6)} s  ${what}`

/** Does a step, and keeps the seconds that it took. */
async function step<T>(name: string, action: () => Promise<T>): Promise<T> {
  const begin = performance.now()
  const result = await action()
  const seconds = (performance.now() - begin) / 1000
  took.push(told(seconds, name))
  sum += seconds
  return result
}
const agent = async () => JSON.parse(await node.must('vfctl agent --json')) as AgentStatus
const property = (name: string) => node.must(`systemctl show --value -p ${name} vf-agent`)
const ask = async (port: number) => {
  const url = `http://${NODE}:${port}/`
  return (await execa('nsenter', [`--target=${client.pid}`, '--net', 'curl', '-sS', '-m', '20', url])).stdout
}

beforeAll(async () => {
  node = await step('boot of the clean system', startCleanNode)
  client = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
  await connectWire()
  await bring()
}, 1_200_000)
afterAll(async () => {
  process.stderr.write(`${took.join('\n')}\n`)
  client?.kill('SIGKILL')
  await node?.end()
}, 60_000)

/** A wire between the node and a client. */
async function connectWire(): Promise<void> {
  const inNode = (...words: string[]) => execa('nsenter', [`--target=${node.init}`, '--net', 'ip', ...words])
  const inClient = (...words: string[]) =>
    execa('nsenter', [`--target=${client.pid}`, '--net', 'ip', ...words])
  // Until unshare has made the namespace, the client is in the machine's.
  while ((await namespaceOf(client.pid ?? 0)) === (await namespaceOf(process.pid)));
  await inNode('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(client.pid))
  await inNode('address', 'add', `${NODE}/24`, 'dev', 'eth0')
  await inNode('link', 'set', 'eth0', 'up')
  await inClient('address', 'add', '10.20.0.2/24', 'dev', 'eth0')
  await inClient('link', 'set', 'eth0', 'up')
}

async function namespaceOf(pid: number): Promise<string> {
  return (await execa('readlink', [`/proc/${pid}/ns/net`])).stdout
}

/** Copies what a user has: the files of the repository, npm's cache in the place of a network, an image for pods. */
async function bring(): Promise<void> {
  await node.fill(
    COPY,
    'git -c safe.directory="*" ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf -',
  )
  await node.fill('/root/.npm', 'tar -C "$(npm config get cache)" -cf - _cacache')
  const otherBuild = join(dirname(executable('vf-flower')), 'test')
  await node.fill(OTHER, `tar -C '${otherBuild}' -cf - vf-flower vf-attach vf-offload`)
  const sandbox = /sandbox_image = "(.+)"/.exec(await node.must('containerd config dump'))?.[1] ?? ''
  const image = imageArchive(
    readFileSync('/usr/bin/busybox'),
    ownArchitecture,
    [IMAGE, sandbox],
    ['sleep', '2147483647'],
  )
  await node.must('ctr -n k8s.io images import - >/dev/null', image)
}

/** Runs a command in the copy, whose npm asks no registry for what it has, and keeps its time of processors too. */
async function timed(command: string): Promise<string> {
  const said = await node.must(`cd ${COPY}; export npm_config_prefer_offline=true
    bash -c 'TIMEFORMAT="processors: %U s + %S s"; time ${command}'`)
  took.push(`          ${/^processors: .*$/m.exec(said)?.[0]} of:`)
  return said
}

test('npm run build makes the programs, with the shim', { timeout: 600_000 }, async () => {
  const setup = 'npm packages and a C compiler, from caches (sh hack/setup.sh build)'
  await step(setup, () => timed('sh hack/setup.sh build'))
  const said = await step('npm run build', () => timed('npm run build'))
  expect(said).toContain('built dist/vf-attach, dist/vf-offload')
  before = await lookAtSystem(node)
})

test('vf-flower install has systemd run the agent', async () => {
  const said = await step('vf-flower install --network example', () =>
    node.must(`${COPY}/dist/vf-flower install --network example`),
  )
  expect(said).toContain('CNI folder /usr/lib/cni (containerd, /etc/containerd/config.toml)')
  expect(said).not.toContain('note:')
  expect(await node.must('systemctl is-enabled vf-agent; systemctl is-active vf-agent')).toBe(
    'enabled\nactive',
  )
  // Type=notify: systemd has got READY=1, and the words that come with it.
  expect(await property('StatusText')).toBe('serves calls')
  expect((await agent()).pid).toBe(Number(await property('MainPID')))
  expect(await node.must('systemctl is-system-running; systemctl --failed --plain --no-legend')).toBe(
    'running',
  )
})

test('a pod with a host port answers from the wire, by the agent', { timeout: 120_000 }, async () => {
  pod = await step('a pod with a host port, and its server', () =>
    runPod(node.pods, { name: 'web', network: '', ports: [{ host_port: 8080, container_port: 80 }] }),
  )
  expect(await step('an answer at the host port', () => ask(8080))).toBe(pod.word)
  took.push(told(sum, 'IN ALL, from the boot to the answer'))
  expect((await agent()).verbs).toMatchObject([{ verb: 'ADD', failed: 0 }])
  expect(await node.must('vfctl show')).toContain('tcp 8080 -> 80')
})

test('without the agent, after systemctl stop, calls run by themselves', { timeout: 120_000 }, async () => {
  await node.must('systemctl stop vf-agent')
  expect(await property('Result')).toBe('success')
  const second = await runPod(node.pods, {
    ...{ name: 'alone', network: '' },
    ports: [{ host_port: 8081, container_port: 80 }],
  })
  expect(await ask(8081)).toBe(second.word)
  await endPod(node.pods, second)
  await node.must('systemctl start vf-agent')
})

test('an agent that is killed comes back, and SIGHUP by systemctl reload replaces its workers', async () => {
  const { pid } = await agent()
  await node.must(`kill -KILL ${pid}
    until [ "$(systemctl show --value -p SubState vf-agent)" = running ] &&
      [ "$(systemctl show --value -p MainPID vf-agent)" != ${pid} ]; do :; done`)
  const { workers } = await agent()
  await node.must('systemctl reload vf-agent')
  const pids = workers.map((one) => one.pid)
  for (;;) {
    const now = (await agent()).workers.map((one) => one.pid)
    if (now.length > 0 && !now.some((one) => pids.includes(one))) break
  }
  expect(await property('NRestarts')).toBe('1')
})

test('an upgrade restarts the agent, and one that was stopped stays so', { timeout: 120_000 }, async () => {
  const first = await agent()
  const said = await step('an upgrade', () => node.must(`${OTHER}/vf-flower install`))
  const second = await agent()
  expect(second.build).not.toBe(first.build)
  expect(said).toContain(`(build ${second.build}) runs`)
  expect(second.pid).toBe(Number(await property('MainPID')))
  expect(await ask(8080)).toBe(pod.word)
  await node.must('systemctl stop vf-agent')
  await node.must(`${COPY}/dist/vf-flower install`)
  expect(await node.must('systemctl is-enabled vf-agent; systemctl is-active vf-agent || true')).toBe(
    'enabled\ninactive',
  )
  await node.must('systemctl start vf-agent')
  expect((await agent()).build).toBe(first.build)
})

test('uninstall leaves systemd and the file system as before', { timeout: 240_000 }, async () => {
  const { code, text } = await node.run('vf-flower uninstall')
  expect({ code, text }).toEqual({ code: 1, text: expect.stringContaining('Cannot uninstall: pods have') })
  await step('the end of the pod', () => endPod(node.pods, pod))
  const said = await step('vf-flower uninstall', () => node.must('vf-flower uninstall'))
  expect(said).toMatch(/uninstalled$/)
  expect(said).not.toContain('note:')
  expect(await property('LoadState')).toBe('not-found')
  expect(await node.must('pgrep -a vf- || true')).toBe('')
  const after = await lookAtSystem(node)
  expect(before.size).toBeGreaterThan(10_000)
  expect(changedPaths(before, after)).toEqual([])
})
