// The entry point of the container image enters the mount namespace of process 1, and executes the programs that are installed there, or ends
// with the reason. Containers here have a root folder and a mount namespace of their own, as privileged pods have.
// needs: veth, bridge
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execaSync } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { JsonObject } from '../../../src/lib/json.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import { executable } from '../../support/executable.ts'
import { at, content, list, podSpec } from '../../support/kubernetes/manifests.ts'
import { agentProgram, servedBy, startAgent } from '../../support/warm-agent.ts'

const top = fileURLToPath(new URL('../../..', import.meta.url))
const BOX = '/run/box'
const ENTER = '/opt/vf-flower/enter'
/** The folder of an install's names, which is not the usual one, and the link that the installer makes to it. */
const NAMES = '/opt/names'
const INSTALLED = '/var/lib/vf-flower/installed'

/** Says how and where it runs: its words, folder, root, environment, and mount namespace. */
const teller = `#!/bin/sh
echo "words $0 $*"; echo "folder $(pwd -P)"; echo "namespace $(readlink /proc/self/ns/mnt)"
tr '\\0' '\\n' </proc/$$/environ | sed 's/^/env /'; test -e /in-box && echo 'root box' || echo 'root node'
`
/** The installer of the image: what it finds beside it, whether the node sees its folder, and a file for the node. */
const installer = `${teller}ls "\${0%/*}" | sed 's/^/beside /'; echo written >/usr/local/by-installer
nsenter --mount=/proc/1/ns/mnt mountpoint -q /run/vf-flower-image && echo 'node sees the image'; exit 7
`

/** The entry point as the build makes it, in base64. */
function compiled(compiler = 'gcc'): string {
  const folder = mkdtempSync(join(tmpdir(), 'enter-'))
  try {
    const file = join(folder, 'enter')
    const words = [`${top}/hack/bun.sh`, `${top}/hack/build.ts`, '--enter', file]
    execaSync('sh', words, { env: { CC: compiler } })
    return readFileSync(file, 'base64')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

let bed: NativeBed
beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one'])
  await bed.lab.must(`mkdir -p /opt/vf-flower ${NAMES}`)
  await bed.lab.writeFile('/opt/vf-flower/vf-flower', installer)
  await bed.lab.writeFile('/opt/vf-flower/vf-attach', '')
  await bed.lab.must(`echo ${compiled()} | base64 -d >${ENTER}; chmod 755 /opt/vf-flower/*`)
})
beforeEach(() => install(teller))
afterEach(() =>
  bed.lab.must(`rm -rf ${NAMES}/vf-* ${NAMES}/vfctl /var/lib/vf-flower /usr/local/by-installer`),
)
afterAll(() => bed?.end())

async function install(text: string): Promise<void> {
  for (const name of ['vf-agent', 'vfctl']) await bed.lab.writeFile(`${NAMES}/${name}`, text)
  await bed.lab.must(`chmod 755 ${NAMES}/*; mkdir /var/lib/vf-flower; ln -s ${NAMES} ${INSTALLED}`)
}

/** A script that fills the container's folder of the image. */
const small = `cp -r /opt/vf-flower ${BOX}/opt`
/** The same with the programs of the build. */
const real = `mkdir ${BOX}/opt/vf-flower; cp ${ENTER} ${['vf-flower', 'vf-attach', 'vf-offload'].map(executable).join(' ')} ${BOX}/opt/vf-flower`

/** Words that execute the image's entry point in a container; `before` stands for what a pod asks for. */
const inBox = (before = '', fill = small) => [
  ...['unshare', '--mount', '--propagation', 'private', 'sh', '-ec'],
  `mkdir -p ${BOX}; mount -t tmpfs box ${BOX}; mkdir -p ${BOX}/bin ${BOX}/proc ${BOX}/opt ${BOX}/usr/local; touch ${BOX}/in-box
   ${fill}; cp /bin/busybox ${BOX}/bin/sh; for one in readlink tr sed ls test nsenter mountpoint; do cp /bin/busybox ${BOX}/bin/$one; done
   mount -t proc proc ${BOX}/proc; cd /opt; exec ${before} chroot ${BOX} ${ENTER} "$@"`,
  'sh',
]
const run = (words: readonly string[], before = '', env: Readonly<Record<string, string>> = {}) =>
  bed.lab.exec([...inBox(before), ...words], { env })
const nodeNamespace = async () => (await bed.lab.must('readlink /proc/1/ns/mnt')).trim()
const lines = (text: string, word: string) =>
  text.split('\n').flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))

test.each([
  ['agent', `${INSTALLED}/vf-agent`],
  ['vfctl', `${INSTALLED}/vfctl`],
])('%s: the installed program, with the files of the node, in /', async (word, path) => {
  const env = {
    LD_PRELOAD: '/none',
    BUN_OPTIONS: '--none',
    KUBERNETES_PORT: 'x',
    VF_FLOWER_LOG_LEVEL: 'info',
  }
  const { code, stdout, stderr } = await run([word, 'show', 'a b'], '', env)
  expect({ code, stderr: stderr.replace(/^ERROR: ld\.so.*\n/gm, '') }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`words ${path} show a b\nfolder /\nnamespace ${await nodeNamespace()}\n`)
  expect(stdout).toContain('root node')
  expect(lines(stdout, 'env').sort()).toEqual([
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'VF_FLOWER_LOG_LEVEL=info',
  ])
})

test.each(['install', 'uninstall'])('%s: the program of the image, on the node', async (word) => {
  const { code, stdout, stderr } = await run([word, '--alias', 'portmap'])
  expect({ code, stderr }).toEqual({ code: 7, stderr: '' })
  expect(lines(stdout, 'words')).toEqual([`/run/vf-flower-image/vf-flower ${word} --alias portmap`])
  expect(stdout).toContain('folder /\n')
  expect(stdout).toContain('root node')
  // Beside it: its shim. Around it: the node, whose other processes do not see the image.
  expect(lines(stdout, 'beside')).toEqual(['enter', 'vf-attach', 'vf-flower'])
  expect(stdout).not.toContain('node sees the image')
  expect(lines(stdout, 'namespace')).not.toEqual([await nodeNamespace()])
  expect(await bed.lab.readFile('/usr/local/by-installer')).toBe('written\n')
  expect(
    await bed.lab.must('ls /run/vf-flower-image; grep -c vf-flower-image /proc/1/mountinfo || true'),
  ).toBe('0\n')
})

test.each([
  [['install', '--root', '/host'], '/opt/vf-flower/vf-flower install --root /host'],
  [['install', '--root=/host'], '/opt/vf-flower/vf-flower install --root=/host'],
  [['device-plugin', '--use-cdi'], 'vf-device-plugin'],
])('%j stays in the container', async (words, called) => {
  // No privilege is needed, and the environment stays: the pod's manifest has made it.
  const { stdout } = await run(words, 'setpriv --bounding-set=-all,+sys_chroot', { NODE_IPS: '10.0.0.1' })
  expect(stdout).toContain('root box')
  expect(lines(stdout, 'words')[0]).toContain(
    called.startsWith('vf-') ? '/opt/vf-flower/vf-flower --use-cdi' : called,
  )
  expect(lines(stdout, 'env')).toContain('NODE_IPS=10.0.0.1')
  expect(await bed.lab.exec(['test', '-e', '/usr/local/by-installer'])).toMatchObject({ code: 1 })
})

const privileges = 'the pod needs hostPID: true and privileged: true'
test.each([
  [
    'without hostPID',
    'unshare --pid --fork --mount-proc=/run/box/proc',
    `enter the mount namespace of process 1: it is that of this container; ${privileges}`,
  ],
  [
    'without hostNetwork',
    'unshare --net',
    'enter the node: process 1 has another network namespace; the pod needs hostNetwork: true',
  ],
  [
    'without CAP_SYS_ADMIN',
    'setpriv --bounding-set=-sys_admin',
    `enter the mount namespace of process 1: EPERM (Operation not permitted); ${privileges}`,
  ],
  [
    'without CAP_SYS_PTRACE and others',
    'setpriv --bounding-set=-sys_admin,-sys_ptrace',
    `open /proc/1/ns/mnt: EACCES (Permission denied); ${privileges}`,
  ],
])('%s it ends with code 1 and the reason, and executes nothing', async (_, before, reason) => {
  for (const word of ['agent', 'install']) {
    const { code, stdout, stderr } = await run([word], before)
    const other = `copy the mount of /opt/vf-flower: EPERM (Operation not permitted); ${privileges}`
    const said = stderr.replace(/^vf-flower-enter: Cannot (.*)\n$/, '$1')
    expect({ word, code, stdout }).toEqual({ word, code: 1, stdout: '' })
    expect(word === 'install' && before.includes('sys_admin') ? [other] : [reason]).toContain(said)
  }
})

test('without an installed program it ends with code 1 and names the path', async () => {
  await bed.lab.must(`rm ${NAMES}/vf-agent`)
  expect(await run(['agent'])).toMatchObject({
    code: 1,
    stdout: '',
    stderr:
      'vf-flower-enter: Cannot execute /var/lib/vf-flower/installed/vf-agent: ENOENT (No such file or directory); vf-flower must be installed on the node, whose process 1 the pod must see: hostPID: true\n',
  })
})

test.each([[[]], [['serve']]])('%j is no word of it: code 2', async (words) => {
  const { code, stdout, stderr } = await run(words)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('must be agent, vfctl, install, uninstall, device-plugin, ready FILE or wait')
})

test.each([
  ['musl-gcc', ''],
  ['aarch64-linux-gnu-gcc', 'qemu-aarch64'],
])('compiled by %s it knows its words', async (compiler, emulator) => {
  const file = '/opt/other-enter'
  await bed.lab.must(`echo ${compiled(compiler)} | base64 -d >${file}; chmod 755 ${file}`)
  const { code, stderr } = await bed.lab.exec(['sh', '-c', `exec ${emulator} ${file} "$@"`, 'sh', 'serve'])
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining('Cannot run "serve": must be agent'),
  })
})

test('ready: code 0 if the container has the file, else 1 and the reason', async () => {
  expect(await run(['ready', '/in-box'])).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(await run(['ready', '/run/none'])).toMatchObject({
    code: 1,
    stderr:
      "vf-flower-enter: Cannot find /run/none: ENOENT (No such file or directory); the container's program is not ready\n",
  })
  expect(await run(['ready'])).toMatchObject({ code: 2 })
})

test('wait ends with code 0 after SIGTERM, as process 1 of its namespace too', async () => {
  const waiting = await bed.lab.spawn([...inBox('unshare --pid --fork'), 'wait'], { timeoutMs: 20_000 })
  const children = `/proc/${waiting.pid}/task/${waiting.pid}/children`
  const child = async () => (await bed.lab.must(`cat ${children}`)).trim()
  // It sleeps in nothing but that wait.
  const state = async () =>
    bed.lab.must(`grep -sE '^(Name|State)' "/proc/$(tr -d ' ' <${children})/status" || true`)
  await expect.poll(state, { timeout: 10_000, interval: 20 }).toMatch(/enter\nState:\tS/)
  await bed.lab.must(`kill -TERM ${await child()}`)
  expect(await waiting.wait()).toMatchObject({ code: 0 })
})

test('an agent in a container serves the calls of the node', async () => {
  await bed.lab.must(`ln -sf ${agentProgram} ${NAMES}/vf-agent`)
  const agent = await startAgent(bed.lab, { before: inBox(), program: 'agent' })
  expect(await bed.call('STATUS', onNic(bed.nic()), 'pod-one', { cniVersion: '1.1.0' })).toMatchObject({
    code: 0,
  })
  await servedBy(agent, { STATUS: 1 })
  expect(await bed.lab.must(`readlink /proc/${agent.pid}/ns/mnt`)).toBe(`${await nodeNamespace()}\n`)
  expect(await agent.stop()).toBe(0)
})

test.each([
  ['', []],
  [' into a folder that is named', ['--libexec-dir', NAMES]],
])(
  'the installer of the build installs on the node from a container%s, and takes all of it back',
  async (_, words) => {
    const before = await bed.lab.must(
      `rm -r ${NAMES}/* /var/lib/vf-flower; mkdir -p /opt/cni/bin; ls -R /usr/local /opt/cni ${NAMES}`,
    )
    const from = async (...called: readonly string[]) => {
      const { code, stdout, stderr } = await bed.lab.exec([...inBox('', real), ...called])
      expect({ called, code, stderr }).toEqual({ called, code: 0, stderr: '' })
      return stdout
    }
    const said = await from('install', '--bin-dir', '/opt/cni/bin', ...words)
    expect(said).toMatch(/^installed \S+ \(build [0-9a-f]{32}\)$/m)
    const env = { CNI_COMMAND: 'VERSION' }
    expect(await bed.lab.exec(['/opt/cni/bin/vf-offload'], { env })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"1.1.0"'),
    })
    expect(await from('vfctl', '--version')).toMatch(/^\d+\.\d+\.\d+/)
    expect(await from('uninstall')).toMatch(/^uninstalled$/m)
    expect(await bed.lab.must(`ls -R /usr/local /opt/cni ${NAMES}`)).toBe(before)
    expect(await bed.lab.exec(['test', '-e', '/var/lib/vf-flower'])).toMatchObject({ code: 1 })
  },
)

test('as overlays/daemonset has it: installed below /host, the agent of the node in a container, and the probe of its life', async () => {
  await bed.lab.must(`rm -r ${NAMES}/* /var/lib/vf-flower; mkdir -p /opt/cni/bin`)
  const spec = podSpec(content('overlays/daemonset/agent.yaml'))
  const [install] = list(spec, 'initContainers')
  const agent = list(spec, 'containers').find(({ name }) => name === 'agent')
  const words = (container: JsonObject | undefined, ...path: readonly string[]) =>
    at(container, ...path) as readonly string[]
  // The test's own chroot(1) needs its capability.
  const added = ['SYS_CHROOT', ...words(install, 'securityContext', 'capabilities', 'add')]
  const only = `setpriv --bounding-set=-all,${added.map((one) => `+${one.toLowerCase()}`).join(',')} --inh-caps=-all`
  // A program in the container needs the C library that an image has.
  const withLibraries = `${real}; for one in usr lib lib64 host; do mkdir -p ${BOX}/$one; done; mount --rbind / ${BOX}/host
    for one in lib lib64; do mount --rbind /$one ${BOX}/$one; done`
  const installed = await bed.lab.exec([
    ...inBox(only, withLibraries),
    ...words(install, 'args'),
    '--bin-dir',
    '/opt/cni/bin',
    '--libexec-dir',
    NAMES,
  ])
  expect(installed).toMatchObject({ code: 0, stderr: '' })

  const running = await bed.lab.spawn([...inBox(), ...words(agent, 'args')], { timeoutMs: 0 })
  // A runtime executes a probe in the namespaces of the container's process.
  const probe = () =>
    bed.lab.exec([
      ...['nsenter', `--target=${running.pid}`, '--mount', '--'],
      ...words(agent, 'livenessProbe', 'exec', 'command'),
    ])
  await expect.poll(async () => (await probe()).code, { timeout: 20_000, interval: 50 }).toBe(0)
  await expect
    .poll(async () => JSON.parse(await bed.lab.must(`${INSTALLED}/vfctl agent --json`)), { timeout: 20_000 })
    .toMatchObject({
      pid: running.pid,
      workers: [{ state: 'free' }, { state: 'free' }],
    })
  const env = { CNI_COMMAND: 'STATUS', CNI_PATH: '/opt/cni/bin' }
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'vf-attach' })
  expect(await bed.lab.exec(['/opt/cni/bin/vf-attach'], { env, stdin })).toMatchObject({
    code: 0,
    stdout: '',
    stderr: '',
  })
  await expect
    .poll(async () => JSON.parse(await bed.lab.must(`${INSTALLED}/vfctl agent --json`)).verbs, {
      timeout: 20_000,
    })
    .toMatchObject([{ verb: 'STATUS', outcomes: { answered: 1 } }])
  await bed.lab.must(`kill -STOP ${running.pid}`)
  expect(await probe()).toMatchObject({ code: 1, stderr: expect.stringContaining('No vf-agent answers') })
  await bed.lab.must(`kill -CONT ${running.pid}`)
  // The end of a pod.
  await bed.lab.must(`kill -TERM ${running.pid}`)
  expect(await running.wait()).toMatchObject({ code: 0 })
  expect(await bed.lab.exec([...inBox('', real), 'uninstall'])).toMatchObject({ code: 0 })
})
