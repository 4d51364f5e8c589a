// The container image that `npm run image` makes of the build under test: containerd imports its archive, and runs each word of the entry
// point, as kubelet asks for it. What it installs is the build, byte for byte, and what it says of its contents is true.
// needs: veth, bridge, cgroup
// packages: containerd, runc, libseccomp2, libc6, base-files
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import { type Containerd, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { bridge, hostLocal, network } from '../../../hack/lab/containerd/networks.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { at, content, list, podSpec } from '../../support/kubernetes/manifests.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { startWord, stopWord, wordEnded } from '../../support/runtime/words.ts'
import { readSpdx, type SpdxDocument } from '../../support/spdx.ts'

const top = fileURLToPath(new URL('../../..', import.meta.url))
const { version } = JSON.parse(readFileSync(`${top}package.json`, 'utf8')) as { version: string }
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const IMAGE = `localhost/vf-flower:${version}`
/** Nodes see the checkout, so that 52 MB need not be sent to them. */
const FOLDER = `${top}dist/test/image`
/** A folder of the node with a folder for plugins. */
const HOST = '/run/host'
/** The files of a container that has not begun. */
const ROOT = '/run/root'
const agentOfManifest = list(podSpec(content('overlays/daemonset/agent.yaml')), 'containers').find(
  ({ name }) => name === 'agent',
)
const PRIVILEGED = { privileged: true } as const

let lab: Lab
let runtime: Containerd
/** Bytes of the archive. */
let size: number
let bill: SpdxDocument

beforeAll(async () => {
  const words = ['hack/bun.sh', 'hack/image/main.ts', '--from', 'dist', '--output', FOLDER]
  await execa('sh', words, { cwd: top })
  const base = join(FOLDER, `vf-flower-${version}-${architecture}`)
  size = statSync(`${base}.tar`).size
  bill = readSpdx(readFileSync(`${base}.spdx.json`, 'utf8'))
  lab = await sharedLab()
  runtime = await startContainerd(lab, { bridge: network('bridge', bridge('cni0', hostLocal(1))) })
  await runtime.sh(`ctr images import ${base}.tar
    mkdir -p ${HOST}/opt/cni/bin ${ROOT}; ctr images mount ${IMAGE} ${ROOT}`)
}, 240_000)
afterAll(async () => {
  if (runtime === undefined) return
  await runtime.sh(`umount ${ROOT}`)
  await runtime.end()
}, 60_000)

/** Runs the image with `words` to its end. */
const run = (words: readonly string[], wish: Parameters<typeof startWord>[3] = {}) =>
  startWord(runtime, IMAGE, words, wish).then((word) => wordEnded(runtime, word))
const sumOf = async (path: string) => (await lab.must(`sha256sum '${path}'`)).split(' ')[0]

test('has under 60 MB', () => {
  expect(size).toBeLessThan(60_000_000)
})

test('has its name, for this processor, with every blob', async () => {
  const list = await runtime.sh(`ctr images check name==${IMAGE}`)
  expect(list).toContain('complete (2/2)')
  expect(await runtime.sh('ctr images list')).toMatch(
    new RegExp(`^${IMAGE.replaceAll('.', '\\.')} .* linux/${architecture} `, 'm'),
  )
})

test('device-plugin: the program of the image', async () => {
  expect(await run(['device-plugin', '--version'])).toEqual({ code: 0, text: `${version}\n` })
  expect((await run(['device-plugin', '--help'])).text).toContain('--use-cdi')
})

test('wait: until SIGTERM, then code 0', async () => {
  const word = await startWord(runtime, IMAGE, ['wait'])
  // The runtime says that the container runs a moment before its own first process becomes the program.
  await lab.must(`${WAIT_UNTIL}
    wait_until pgrep -fx '/opt/vf-flower/enter wait'`)
  expect(await stopWord(runtime, word)).toEqual({ code: 0, text: '' })
})

test('a word that is unknown ends with the words that are known', async () => {
  expect(await run(['nothing'])).toEqual({
    code: 2,
    text: expect.stringContaining(
      'must be agent, vfctl, install, uninstall, device-plugin, ready FILE or wait',
    ),
  })
})

test.each(['agent', 'vfctl', 'install'])(
  '%s without privileges ends with those that it needs',
  async (word) => {
    expect(await run([word])).toEqual({ code: 1, text: expect.stringContaining('hostPID: true') })
  },
)

test('install --root: the programs of the build, which then run on the node', async () => {
  const mounts = [{ container_path: '/host', host_path: HOST }]
  const { code, text } = await run(['install', '--root', '/host'], { mounts })
  expect({ code, text }).toEqual({ code: 0, text: expect.stringContaining('installed') })
  const build = /build ([0-9a-f]{32})/.exec(text)?.[1]
  const folder = `${HOST}/opt/cni/bin`
  expect(await sumOf(`${folder}/vf-attach`)).toBe(await sumOf(`${top}dist/vf-attach`))
  expect(await sumOf(`${folder}/vf-flower-${build}`)).toBe(await sumOf(`${top}dist/vf-flower`))
  expect(await lab.must(`CNI_COMMAND=VERSION ${folder}/vf-offload </dev/null`)).toContain('"1.1.0"')
  expect(await run(['uninstall', '--root', '/host'], { mounts })).toMatchObject({ code: 0 })
  expect(await lab.must(`ls ${folder}`)).toBe('')
})

test('install on the node, then vfctl and agent of the node, in pods with privileges', {
  timeout: 180_000,
}, async () => {
  const folder = '/run/plugins'
  await lab.must(`mkdir ${folder}`)
  const { code, text } = await run(['install', '--bin-dir', folder], PRIVILEGED)
  expect({ code, text }).toEqual({ code: 0, text: expect.stringContaining('installed') })
  expect(await sumOf('/usr/local/bin/vf-agent')).toBe(await sumOf(`${top}dist/vf-flower`))
  expect(await run(['vfctl', '--version'], PRIVILEGED)).toEqual({ code: 0, text: `${version}\n` })
  const agent = await startWord(runtime, IMAGE, ['agent'], PRIVILEGED)
  await lab.must(`${WAIT_UNTIL}
    serves() { /usr/local/bin/vfctl agent --json | grep -q '"workers"'; }
    (wait_until serves) || { cat ${agent.log}; exit 1; }`)
  const cmd = at(agentOfManifest, 'livenessProbe', 'exec', 'command')
  const probe = runtime.cri.call('ExecSync', { container_id: agent.container, timeout: 60, cmd })
  expect(await probe.then(({ exit_code }) => exit_code, String)).toBe(0)
  expect(await stopWord(runtime, agent)).toEqual({ code: 0, text: expect.any(String) })
  expect(await run(['uninstall'], PRIVILEGED)).toMatchObject({ code: 0 })
  expect(await lab.must(`ls ${folder} /usr/local/bin | grep vf || true`)).toBe('')
})

test('the program is there once, and the bill has the sums of all programs and libraries', async () => {
  const links = await lab.must(`cd ${ROOT}/opt/vf-flower && stat -c '%h %n' *`)
  expect(links).toBe('1 enter\n2 vf-attach\n1 vf-flower\n2 vf-offload\n')
  const program = statSync(`${top}dist/vf-flower`).size
  expect(Number(await lab.must(`du -sb ${ROOT} | cut -f1`))).toBeLessThan(program + 10_000_000)
  const found = await lab.must(
    `cd ${ROOT} && find . -type f \\( -perm /111 -o -name '*.so*' \\) ! -name vf-offload | xargs sha256sum`,
  )
  const pairs = bill.files.map(
    ({ fileName, checksums: [, { checksumValue }] }) => `${checksumValue}  ${fileName}`,
  )
  expect(found.trim().split('\n').sort()).toEqual(pairs.sort())
})

test('each package of the bill has its licence in the image', async () => {
  const ours = `${ROOT}/usr/share/doc/vf-flower`
  expect(await lab.readFile(`${ours}/LICENSE`)).toContain('Apache License')
  expect(readSpdx(await lab.readFile(`${ours}/sbom.spdx.json`))).toEqual(bill)
  const folders = bill.packages.flatMap(({ name, versionInfo, externalRefs: [url] = [] }) => {
    if (url?.referenceLocator.startsWith('pkg:deb/')) return [`${ROOT}/usr/share/doc/${name}`]
    return url === undefined || name === 'bun' ? [] : [`${ours}/npm/${name}-${versionInfo}`]
  })
  expect(folders.length).toBeGreaterThan(40)
  expect(
    await lab.must(`for folder in ${folders.join(' ')}; do ls $folder | grep -q . || echo $folder; done`),
  ).toBe('')
  // The LGPL, and the way to change what is under it.
  expect(await lab.must(`head -3 ${ROOT}/usr/share/common-licenses/LGPL-2`)).toContain('LIBRARY')
  expect(await lab.readFile(`${ours}/LICENSES.md`)).toContain('vendor/WebKit')
})
