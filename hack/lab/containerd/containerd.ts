// containerd and runc in a node of the lab, unpacked and not installed: those of the distribution, or with VF_RUNTIMES=SUITE those of another
// suite of it. In: a Lab, networks. Out: a runtime that makes pods by the container runtime interface, as kubelet has it do. All its state
// ends with the node.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ownArchitecture } from '../../image/layout.ts'
import { WAIT_UNTIL } from '../bed/topology.ts'
import type { ConfigList } from '../cni-runtime.ts'
import type { Lab, LabProcess } from '../lab.ts'
import { unpackedPackage } from '../packages.ts'
import { type Cri, startCri } from './cri.ts'
import { imageArchive } from './image.ts'
import { BIN_DIR, configFolder } from './networks.ts'

const top = fileURLToPath(new URL('../../..', import.meta.url))
const SOCKET = '/run/containerd/containerd.sock'
const CONFIG = '/etc/vf-containerd.toml'
const GROUPS = `${top}hack/lab/containerd/groups.sh`
/** Folders of the runtime and of its tests beside those of its networks. */
const FOLDERS = '/run/containerd /run/pods /run/gate /var/lib/cni/results'
/** The suite of runtime and plugins, as it stands behind a package's name; empty: that of the machine. */
const SUITE = process.env.VF_RUNTIMES === undefined ? '' : `/${process.env.VF_RUNTIMES}`
/** The folder of the Go plugins that the lists name beside ours. */
export const goPlugins = () =>
  SUITE === ''
    ? '/usr/lib/cni'
    : `${unpackedPackage(`containernetworking-plugins${SUITE}`).folder}/usr/lib/cni`
/** The image of the sandbox and of all containers. */
export const IMAGE = 'localhost/vf-flower-test:1'

/** A container runtime in a node. */
export interface Containerd {
  readonly cri: Cri
  /** The first number of its version: 1 or 2. */
  readonly major: number
  /** The group of all containers, for PodSandboxConfig. */
  readonly cgroupParent: string
  /** Starts the daemon unless it runs; resolves when it serves. */
  start(): Promise<void>
  /** Kills the daemon alone: containers, their shims and calls of plugins go on. */
  kill(): Promise<void>
  /** The daemon's log of all runs so far. */
  log(): string
  /** Runs a script with the runtime's programs on its path, and `ctr` told the socket and the namespace of Kubernetes. */
  sh(script: string): Promise<string>
  /** Ends the daemon, and removes its control groups and files: a virtual machine lives on. The pods must be gone. */
  end(): Promise<void>
}

/** Prepares the node, starts the runtime and gives it the image. `plugins`: scripts in the folder of plugins, by name. */
export async function startContainerd(
  lab: Lab,
  networks: Readonly<Record<string, ConfigList>>,
  plugins: Readonly<Record<string, string>> = {},
): Promise<Containerd> {
  const [containerd, runc, seccomp] = ['containerd', 'runc', 'libseccomp2'].map(
    (name) => unpackedPackage(`${name}${SUITE}`).folder,
  )
  const env = {
    PATH: `${containerd}/usr/bin:${runc}/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    // runc needs it, and the machine need not have it.
    LD_LIBRARY_PATH: `${seccomp}/usr/lib/x86_64-linux-gnu:${seccomp}/usr/lib/aarch64-linux-gnu`,
    ...{ CONTAINERD_ADDRESS: SOCKET, CONTAINERD_NAMESPACE: 'k8s.io' },
  }
  const id = `vf-runtime-${randomUUID()}`
  await lab.must(`set -e
    sh ${GROUPS} mount
    sh ${GROUPS} sweep 'vf-runtime-*'
    mkdir -p /var/lib/containerd ${BIN_DIR}
    mount -t tmpfs tmpfs /var/lib/containerd
    ln -s ${goPlugins()}/* ${top}dist/test/vf-attach ${top}dist/test/vf-offload ${BIN_DIR}`)
  await lab.writeFile(CONFIG, configOf(Object.keys(networks)))
  for (const [name, list] of Object.entries(networks))
    await lab.writeFile(`${configFolder(name)}/10-${name}.conflist`, JSON.stringify(list))
  for (const [name, script] of Object.entries(plugins))
    await lab.writeFile(`${BIN_DIR}/${name}`, script, 0o755)
  const cri = await startCri(lab, SOCKET)
  const past: string[] = []
  let daemon: LabProcess | undefined
  const kill = async () => {
    if (daemon === undefined) return
    await lab.must(`kill -9 ${daemon.pid}`)
    await daemon.wait()
    past.push(daemon.stderr())
    daemon = undefined
  }
  const log = () => [...past, daemon?.stderr() ?? ''].join('')
  const start = async () => {
    if (daemon !== undefined) return
    daemon = await lab.spawn(['containerd', '--config', CONFIG], { env, timeoutMs: 0 })
    const running = daemon
    const ended = running.wait().then(({ code }): never => {
      throw new Error(`containerd ended with code ${code}: ${log()}`)
    })
    ended.catch(() => undefined)
    await Promise.race([served(cri), ended])
  }
  const sh = (script: string) => lab.must(script, { env })
  // A virtual machine reads programs from the host: here, and not while a pod waits.
  await sh(`cat ${BIN_DIR}/* $(command -v containerd containerd-shim-runc-v2 runc) >/dev/null`)
  await start()
  const { runtime_version } = await cri.call('Version')
  const major = Number.parseInt(String(runtime_version).replace(/^v/, ''), 10)
  await lab.writeFile('/run/image.tar', archive())
  await sh('ctr images import /run/image.tar && rm /run/image.tar')
  return {
    ...{ cri, major, cgroupParent: `/${id}`, start, kill, log, sh },
    end: async () => {
      await kill()
      await cri.end()
      const ofNetworks = Object.keys(networks).flatMap((name) => [
        configFolder(name),
        `/var/lib/cni/networks/${name}`,
      ])
      await lab.must(`set -e
        ${WAIT_UNTIL}
        wait_until sh ${GROUPS} remove ${id}
        umount /var/lib/containerd
        rm -rf ${BIN_DIR} ${CONFIG} ${FOLDERS} ${ofNetworks.join(' ')}`)
    },
  }
}

/** Waits until the daemon answers and is ready to make pods. */
async function served(cri: Cri): Promise<void> {
  for (;;) {
    const answer = await cri.call('Status').catch(() => undefined)
    const { conditions = [] } = (answer?.status ?? {}) as { conditions?: { type: string; status: boolean }[] }
    if (conditions.some(({ type, status }) => type === 'RuntimeReady' && status)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

let made: Uint8Array | undefined

function archive(): Uint8Array {
  // The sandbox of a pod does nothing.
  made ??= imageArchive(readFileSync('/usr/bin/busybox'), ownArchitecture, [IMAGE], ['sleep', '2147483647'])
  return made
}

/** Times of containerd for answers of its own processes, which are slower in emulation. */
const TIMEOUTS = ['shim.load', 'shim.shutdown', 'shim.cleanup', 'task.state']
  .map((name) => `"io.containerd.timeout.${name}" = "120s"`)
  .join('\n')

function configOf(networks: readonly string[]): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  const handlers = networks.map(
    (name) => `
[${cri}.containerd.runtimes.${name}]
  runtime_type = "io.containerd.runc.v2"
  cni_conf_dir = "${configFolder(name)}"`,
  )
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[timeouts]
${TIMEOUTS}
[grpc]
  address = "${SOCKET}"
[${cri}]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[${cri}.cni]
  bin_dir = "${BIN_DIR}"
  conf_dir = "${configFolder(networks[0] ?? 'none')}"
[${cri}.containerd]
  default_runtime_name = "${networks[0]}"
${handlers.join('\n')}
`
}
