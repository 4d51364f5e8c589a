// Pods that run while vf-flower is installed or uninstalled: uninstall refuses while they have something of ours and names them, --force
// brings it home with the runtime's own config, what dead pods left is brought home anyway; and no build is installed over records that it
// does not understand.
// needs: veth, nft
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { attachment } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { type CniResult, cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import {
  addNodeAddress,
  builds,
  CNI,
  installNode,
  lookAtFiles,
  mustInstall,
  outputOf,
  runInstaller,
} from '../../support/install-node.ts'

const [release, other] = builds
const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.9.0/24' }]] }
const list = {
  ...{ cniVersion: '1.0.0', name: 'home' },
  plugins: [
    { type: 'vf-attach', device: 'home0', ipam },
    { type: 'vf-offload', capabilities: { portMappings: true } },
  ],
}
const capabilityArgs = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] }
const addresses = '/var/lib/cni/networks/home'

let lab: Lab
let before: readonly string[]
let pod: string
let result: CniResult
beforeAll(async () => {
  ;({ lab, before } = await installNode(addNodeAddress))
})
beforeEach(async () => {
  await mustInstall(lab, release.program, 'install')
  await outputOf(lab, 'ip link add home0 type veth peer name home-peer; ip link set home-peer up')
  pod = await newPod(lab, 'home')
  result = await cniRuntime(lab, [CNI]).add(list, one())
})
afterEach(async () => {
  await deletePod(lab, 'home')
  await runInstaller(lab, release.program, 'uninstall', '--force')
  await outputOf(lab, 'ip link del home-peer 2>/dev/null; rm -rf /var/lib/cni/*')
})
afterAll(() => lab?.must('nft flush ruleset'))

const one = () => attachment(pod, { containerID: 'pod-home', capabilityArgs })

/** Writes what libcni keeps of an ADD. */
async function cache(): Promise<void> {
  const config = Buffer.from(JSON.stringify(list)).toString('base64')
  const kept = {
    kind: 'cniCacheV1',
    containerId: 'pod-home',
    config,
    ifName: 'net1',
    networkName: 'home',
    netns: pod,
    capabilityArgs,
    result,
  }
  await lab.writeFile('/var/lib/cni/results/home-pod-home-net1', JSON.stringify(kept))
}

test('uninstall refuses, and names the attachments', async () => {
  const look = await lookAtFiles(lab)
  const { code, stderr } = await runInstaller(lab, release.program, 'uninstall')
  expect(code).toBe(1)
  expect(stderr).toContain('container pod-home, interface net1: vf-offload, network home; its pod lives')
  expect(stderr).toContain(
    'container pod-home, interface net1: vf-attach, device netdev:home0; its pod lives',
  )
  expect(await lookAtFiles(lab)).toEqual(look)
  expect(await outputOf(lab, 'ip -n home link show dev net1')).toContain('net1')
})

test('--force brings everything home, addresses too, and leaves the file system as it was', async () => {
  await cache()
  expect(await outputOf(lab, `ls ${addresses}`)).toContain('10.1.9.')
  const { stdout } = await runInstaller(lab, release.program, 'uninstall', '--force', '--dry-run')
  expect(stdout).toContain('take back container pod-home')
  expect(await outputOf(lab, 'ip -n home link show dev net1')).toContain('net1')
  expect(await mustInstall(lab, release.program, 'uninstall', '--force')).not.toContain('stay given out')
  expect(await outputOf(lab, 'ip link show dev home0')).toContain('home0')
  expect(await outputOf(lab, 'nft list ruleset')).not.toContain('8080')
  expect(await outputOf(lab, `ls ${addresses}`)).not.toContain('10.1.9.')
  // Files of host-local and libcni are theirs.
  await outputOf(lab, 'rm -rf /var/lib/cni/networks /var/lib/cni/results')
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('--force without the runtime’s config says that the address stays given out', async () => {
  expect(await mustInstall(lab, release.program, 'uninstall', '--force')).toContain('stay given out')
  expect(await outputOf(lab, 'ip link show dev home0')).toContain('home0')
})

test('what a dead pod left is brought home without --force', async () => {
  await cache()
  await deletePod(lab, 'home')
  expect(await mustInstall(lab, release.program, 'uninstall')).toContain('its pod is gone')
  expect(await outputOf(lab, 'find /var/lib/cni -name "*.json" -o -name vf-flower')).toBe('')
})

test('a record that can not be read counts as alive, and --force takes what DEL finds and says that there may be more', async () => {
  const file = await outputOf(lab, 'find /var/lib/cni/vf-flower/attach -name "*.json"')
  await outputOf(lab, `echo '{' >'${file}'`)
  const { code, stderr } = await runInstaller(lab, release.program, 'uninstall')
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('its record can not be read') })
  const said = await mustInstall(lab, release.program, 'uninstall', '--force')
  expect(said).toContain('some of it may be with the pod still')
  expect(said).toContain('/attach" stays: ENOTEMPTY')
  expect(await outputOf(lab, 'ls /var/lib/cni/vf-flower/attach')).toContain('.json.broken')
})

test('an upgrade and the way back go on beside pods, which keep what they have', async () => {
  for (const { program } of [other, release, other]) await mustInstall(lab, program, 'install')
  const runtime = cniRuntime(lab, [CNI])
  await runtime.check(list, one(), result)
  await runtime.del(list, one(), result)
  expect(await outputOf(lab, 'ip link show dev home0')).toContain('home0')
})

test('below another root nobody can tell who lives: uninstall refuses there, with --force too', async () => {
  await outputOf(
    lab,
    'mkdir -p /tmp/host/var/lib/cni /tmp/host/opt/cni/bin; cp -r /var/lib/cni/vf-flower /tmp/host/var/lib/cni',
  )
  await mustInstall(lab, release.program, 'install', '--root', '/tmp/host')
  for (const words of [[], ['--force']]) {
    const { code, stderr } = await runInstaller(
      lab,
      release.program,
      'uninstall',
      '--root',
      '/tmp/host',
      ...words,
    )
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('container pod-home, interface net1'),
    })
  }
  expect(await outputOf(lab, 'ip -n home link show dev net1; ls /tmp/host/opt/cni/bin')).toContain(
    'vf-attach',
  )
  await outputOf(lab, 'rm -r /tmp/host')
})

test('a record of a newer format keeps a build from being installed', async () => {
  const file = (await outputOf(lab, 'find /var/lib/cni/vf-flower/attach -name "*.json"')).trim()
  await outputOf(lab, `sed -i 's/"schema": 1/"schema": 2/' '${file}'`)
  const look = await lookAtFiles(lab)
  const { code, stderr } = await runInstaller(lab, other.program, 'install')
  expect(code).toBe(1)
  expect(stderr).toContain(
    'Cannot install this build: records of attachments are in a format that it does not know',
  )
  expect(stderr).toContain('pod-home')
  expect(await lookAtFiles(lab)).toEqual(look)
  await outputOf(lab, `sed -i 's/"schema": 2/"schema": 1/' '${file}'`)
  await mustInstall(lab, other.program, 'install')
})
