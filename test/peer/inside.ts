/**
 * One device plugin on one node: lays out the fake root as /sys in its own namespaces, starts the program, plays kubelet, and prints
 * what it saw as JSON. Started by run.ts: `inside.ts NUMBER-OF-CASE PROGRAM...`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { FakeRoot } from '../../hack/lab/fake-root/fake-root.ts'
import { KubeletSimulator } from '../../hack/lab/kubelet/simulator.ts'
import type { ContainerResponse } from '../../hack/lab/kubelet/wire.ts'
import { type PeerCase, peerCases } from './cases.ts'
import type { CdiNodes, Observed, Resource } from './observed.ts'

const KUBELET = '/var/lib/kubelet'
const DEVICE_INFO = '/var/run/k8s.cni.cncf.io/devinfo/dp'
const CDI = '/var/run/cdi'
const CONFIG = '/run/peer-config.json'
/** Milliseconds without news from the program after which no more resources are expected: pools without devices may never come. */
const PATIENCE = 4_000

const [number, ...program] = process.argv.slice(2)
const chosen = peerCases[Number(number)]
if (chosen === undefined) throw new RangeError(`there is no case ${number}`)
process.stdout.write(JSON.stringify(await observe(chosen, program)))
process.exit(0)

async function observe(one: PeerCase, [file = '', ...words]: readonly string[]): Promise<Observed> {
  layOut(one)
  const kubelet = new KubeletSimulator({ root: KUBELET, watcher: one.oldKubelet !== true })
  await kubelet.start()
  writeFileSync(CONFIG, one.config)
  const child = spawn(file, [...words, '-config-file', CONFIG, ...(one.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += String(data)))
  const end = ended(child)
  const exit = await Promise.race([end, settled(kubelet, one)])
  const resources: Record<string, Resource> = {}
  for (const name of exit === null ? await kubelet.resources() : [])
    resources[name] = await given(kubelet, name, one)
  const [deviceInfo, cdi] = [filesOf(DEVICE_INFO), cdiOf()]
  if (exit === null) child.kill('SIGTERM')
  const exitAtTerm = await end
  await kubelet.stop()
  return {
    ...{ exit, log: log.slice(-4_000), resources, deviceInfo, cdi },
    left: [`${KUBELET}/plugins_registry`, `${KUBELET}/device-plugins`, DEVICE_INFO, CDI]
      .flatMap(namesIn)
      .filter((name) => !/kubelet_internal_checkpoint|kubelet\.sock/.test(name)),
    exitAtTerm: exit === null ? exitAtTerm : null,
  }
}

/** /sys, /dev, /run and /var/lib of the node, and an interface in its network namespace for each one of sysfs. */
function layOut(one: PeerCase): void {
  const root = new FakeRoot()
  one.node(root)
  const dev = mkdtempSync(join(tmpdir(), 'peer-dev-'))
  sh(`mount --make-rprivate /
    mount --bind ${root.sys} /sys
    cp -a ${root.dev}/. ${dev}
    for name in null zero full random urandom tty; do touch ${dev}/$name; mount --bind /dev/$name ${dev}/$name; done
    mkdir ${dev}/shm; mount --rbind /dev/shm ${dev}/shm
    mount --rbind ${dev} /dev
    mount -t tmpfs none /run; mount -t tmpfs none /var/lib
    mkdir -p ${KUBELET}/device-plugins ${CDI}
    ip link set lo up`)
  const names = readdirSync('/sys/class/net')
  for (const name of names) {
    const index = readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim()
    sh(`ip link add index ${index} name ${name} type veth peer name end${index}
      ip link set end${index} up; ip link set ${name} up`)
  }
  if (one.network !== undefined) sh(one.network)
}

/** Resolves with null when all resources of the config have their devices, or when there is no news any more. */
async function settled(kubelet: KubeletSimulator, one: PeerCase): Promise<null> {
  const wanted = (one.config.match(/resourceName"/gi) ?? []).length
  let before = ''
  for (let since = Date.now(); Date.now() < since + PATIENCE; ) {
    const names = await kubelet.resources()
    const sets = await Promise.all(names.map((name) => kubelet.devices(name)))
    if (wanted > 0 && names.length >= wanted && sets.every((set) => set !== null && set.messages > 0))
      return null
    const now = JSON.stringify(sets)
    if (now !== before) [before, since] = [now, Date.now()]
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return null
}

async function given(kubelet: KubeletSimulator, name: string, one: PeerCase): Promise<Resource> {
  const { devices } = (await kubelet.devices(name)) ?? { devices: [] }
  const ids = devices.map(({ id }) => id)
  const allocations: Record<string, ContainerResponse | { error: string }> = {}
  const wishes = [ids.slice(0, 1), ids.slice(0, 2).reverse(), ids.slice(-1), one.unknown ?? []]
  for (const wish of wishes) {
    if (wish.length === 0 || allocations[wish.join()] !== undefined) continue
    try {
      allocations[wish.join()] = await kubelet.allocateIds(name, wish)
    } catch (error) {
      allocations[wish.join()] = { error: String(error) }
    }
  }
  const attempt = (await kubelet.registrations()).find(({ resource }) => resource === name)
  return { way: attempt?.way ?? 'legacy', devices, allocations }
}

function filesOf(folder: string): Record<string, unknown> {
  return Object.fromEntries(
    namesIn(folder).map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
  )
}

interface CdiSpec {
  readonly kind: string
  readonly devices: readonly {
    readonly name: string
    readonly containerEdits?: {
      readonly deviceNodes?: readonly { path: string; hostPath?: string; permissions?: string }[]
    }
  }[]
}

/** The peer writes YAML, which Bun reads; JSON is YAML too. */
function cdiOf(): Record<string, CdiNodes> {
  const specs = namesIn(CDI).map((name) => Bun.YAML.parse(readFileSync(join(CDI, name), 'utf8')) as CdiSpec)
  return Object.fromEntries(
    specs.flatMap(({ kind, devices }) =>
      devices.map(({ name, containerEdits }) => [
        `${kind}=${name}`,
        Object.fromEntries(
          (containerEdits?.deviceNodes ?? []).map(({ path, hostPath = path, permissions = 'rwm' }) => [
            path,
            { hostPath, permissions },
          ]),
        ),
      ]),
    ),
  )
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : []
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal === null ? (code ?? -1) : -1))
  })
}

function sh(script: string): void {
  execaSync('sh', ['-ec', script])
}
