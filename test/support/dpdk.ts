// DPDK's dpdk-testpmd in the lab's guest. In: a Lab, the VF and its pod. Out: a program that sends and counts frames by the VF's own
// registers. Downloads its packages once (66, 8 MB) and unpacks them below the cache folder, without installing.
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { cacheFolder, madeOnce } from '../../hack/lab/kernel.ts'
import type { Lab, LabProcess } from '../../hack/lab/lab.ts'

/** Version of DPDK's binary interface in Debian 13, a part of the names of its packages and drivers. */
const ABI = '25'

// Libraries that the dynamic linker wants for dpdk-testpmd and for the four drivers that are loaded here; all but the C library.
const LIBRARIES = `libbsd0 libcap2 libdbus-1-3 libelf1t64 libfdt1 libibverbs1 ibverbs-providers libjansson4 libmd0 libnl-3-200
  libnl-route-3-200 libnuma1 libpcap0.8t64 libsystemd0 libzstd1 zlib1g`
const PARTS = `bitratestats bpf bus-auxiliary bus-dpaa bus-pci bus-vdev cmdline common-dpaax common-iavf common-mlx5-
  crypto-scheduler cryptodev dmadev eal ethdev eventdev gro gso hash ip-frag kvargs latencystats log mbuf mempool mempool-dpaa
  mempool-ring meter metrics net net-bnxt net-bond net-dpaa net-e1000- net-i40e net-iavf net-ice net-ixgbe net-mlx5- pcapng
  pci pdump rcu reorder ring sched security telemetry timer`
const words = (text: string) => text.split(/\s+/).filter((word) => word !== '')

/** The folder with the unpacked packages, on the host and in the guest. Throws with apt's own words. */
async function dpdkFolder(): Promise<string> {
  const folder = join(cacheFolder(), `dpdk-${ABI}`)
  await madeOnce(folder, async (temporary) => {
    const archives = join(temporary, 'archives')
    await mkdir(archives)
    const packages = ['dpdk-dev', ...words(PARTS).map((part) => `librte-${part}${ABI}`), ...words(LIBRARIES)]
    await execa('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], {
      cwd: archives,
    })
    for (const archive of await readdir(archives))
      await execa('dpkg', ['-x', join(archives, archive), temporary])
    await rm(archives, { recursive: true })
  })
  return folder
}

/** A running dpdk-testpmd. */
export interface Testpmd {
  readonly pid: number
  /** Gives commands and waits until all are done; returns their output. */
  tell(...commands: readonly string[]): Promise<string>
  /** Sends four frames of `length` bytes (without the check sequence) from the VF's MAC. */
  send(length: number): Promise<void>
  /** Stops and counts: frames received and sent since the last start. */
  counted(): Promise<{ readonly rx: number; readonly tx: number }>
  end(): Promise<void>
}

/**
 * Starts dpdk-testpmd in `pod` for the VF at `pci`, which is on vfio-pci; resolves when the port is started. With `files` it sees these
 * device files alone below /dev/vfio, at their paths in the container.
 */
export async function startTestpmd(
  lab: Lab,
  pod: string,
  pci: string,
  files?: readonly { readonly host_path: string; readonly container_path: string }[],
): Promise<Testpmd> {
  // dpdk-testpmd loads nothing below a folder that anybody may write to, and loads installed drivers first.
  const top = '/run/dpdk-files'
  await lab.must(
    `mkdir -p ${top}; mountpoint -q ${top} || mount --bind '${await dpdkFolder()}' ${top}
    own=/usr/lib/x86_64-linux-gnu/dpdk; [ ! -d $own ] || mountpoint -q $own || mount -t tmpfs none $own`,
  )
  const libraries = `${top}/usr/lib/x86_64-linux-gnu`
  const drivers = `${libraries}/dpdk/pmds-${ABI}.0`
  const argv = [
    ...['nice', '-n', '19', 'ip', 'netns', 'exec', pod, ...(files === undefined ? [] : withFiles(files))],
    ...['stdbuf', '-oL', `${top}/usr/bin/dpdk-testpmd`],
    ...['bus_pci', 'bus_vdev', 'mempool_ring', 'net_e1000'].flatMap((name) => [
      '-d',
      `${drivers}/librte_${name}.so.${ABI}.0`,
    ]),
    // Without huge pages, because the IOMMU takes any memory.
    ...words(`--lcores 0@0,1@0 -n 1 --no-huge -m 32 --no-shconf --no-telemetry -a ${pci} --`),
    ...words(`-i --nb-cores=1 --rxq=1 --txq=1 --total-num-mbufs=2048 --burst=4 --port-topology=loop`),
    ...words('--no-lsc-interrupt --disable-link-check'),
  ]
  let changed: () => void = () => undefined
  const child = await lab.spawn(argv, {
    env: { LD_LIBRARY_PATH: `${libraries}:${drivers}` },
    timeoutMs: 0,
    onStdout: () => changed(),
  })
  const ended = child.wait().then(({ code, stdout, stderr }): never => {
    throw new Error(`dpdk-testpmd ended with code ${code}: ${stdout}${stderr}`)
  })
  ended.catch(() => undefined)
  const printed = (text: string) =>
    Promise.race([
      ended,
      new Promise<void>((resolve) => {
        changed = () => {
          if (child.stdout().includes(text)) resolve()
        }
        changed()
      }),
    ])
  await printed('testpmd> ')
  return orders(child, printed)
}

/** Words that run a command with a /dev/vfio of its own. `ip netns exec` has given it mounts of its own. */
function withFiles(
  files: readonly { readonly host_path: string; readonly container_path: string }[],
): string[] {
  const nodes = files.map(({ host_path, container_path }) => `cp -a ${host_path} /run/own${container_path}`)
  const script = [
    ...['mount -t tmpfs none /run/own', 'mkdir -p /run/own/dev/vfio/devices', ...nodes],
    ...['mount --bind /run/own/dev/vfio /dev/vfio', 'exec "$@"'],
  ]
  return ['sh', '-ec', `mkdir -p /run/own; ${script.join('; ')}`, 'sh']
}

function orders(child: LabProcess, printed: (text: string) => Promise<void>): Testpmd {
  let marks = 0
  const tell: Testpmd['tell'] = async (...commands) => {
    const mark = ++marks
    // testpmd echoes a command when the command before it is done.
    child.write(`${[`begin${mark}`, ...commands, `end${mark}`].join('\n')}\n`)
    await printed(`end${mark}`)
    return child.stdout().split(`begin${mark}`)[1] ?? ''
  }
  return {
    pid: child.pid,
    tell,
    send: async (length) => {
      await tell('set fwd rxonly', `set txpkts ${length}`, 'start tx_first 1')
    },
    counted: async () => {
      const counts = /RX-packets:\s+(\d+)[\s\S]*?TX-packets:\s+(\d+)/.exec(await tell('stop'))
      return { rx: Number(counts?.[1]), tx: Number(counts?.[2]) }
    },
    end: async () => {
      child.kill('SIGKILL')
      await child.wait()
    },
  }
}
