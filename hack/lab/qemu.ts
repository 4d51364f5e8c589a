// Starts QEMU with its arguments. In: options of the lab. Out: a child process, whose end is the end of the machine.
// Imports node: modules and the kernel cache.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { hotFiles } from './hot-files.ts'
import { initramfs } from './initramfs.ts'
import { cacheFolder, type Kernel } from './kernel.ts'

/** The hardware of a machine. */
export interface Hardware {
  /** QEMU's name of a CPU model, default `max`. `Nehalem` has no AVX2. */
  readonly cpu?: string
  /** Puts an Intel IOMMU into the machine, for vfio-pci. Default off. */
  readonly iommu?: boolean
  /** Number of wires, each with an igb PF on one end and a virtio NIC on the other, 0-4. Default 1. */
  readonly wires?: number
  /** Memory in MiB, default 4096. */
  readonly memory?: number
  /**
   * Processors, 1-8, default 2. Under software emulation a second processor doubles the host's cost of the same work (`ip`, a
   * namespace, our own start), since each waits for the other at every change of a translation. Take one where several machines
   * run at once, two where things have to happen at the same time.
   */
  readonly processors?: number
}

/** Paths that QEMU needs beside the hardware. */
export interface Start extends Hardware {
  readonly kernel: Kernel
  /** Folder for the console log and sockets, visible in the guest. */
  readonly run: string
  /** `shell` puts a terminal on our own standard input and output; `agent` connects to `agentSocket`. */
  readonly mode: 'agent' | 'shell'
  /** Unix socket on which a process listens. */
  readonly agentSocket: string
}

/** The folder of the checkout, also its path in the guest. */
export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** File in the run folder to which the kernel's console goes. */
export function consolePath(run: string): string {
  return join(run, 'console.log')
}

/** Starts the machine. The machine ends with this process, however this process ends. */
export async function startQemu(start: Start): Promise<ChildProcess> {
  await writeFile(join(start.run, 'guest.env'), guestEnvironment(start))
  await writeFile(join(start.run, 'hot-files'), (await hotFiles()).join('\n'))
  const shell = start.mode === 'shell'
  const qemu = spawnQemu(
    [
      ...machine(start, await acceleration(start.kernel)),
      ...['-kernel', start.kernel.image, '-initrd', await initramfs(start.kernel)],
      ...['-append', `${KERNEL_WORDS} lab.run=${start.run}${start.iommu === true ? ' intel_iommu=on' : ''}`],
      ...['-serial', `file:${consolePath(start.run)}`],
      ...['-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap'],
      ...['-device', 'virtio-serial-pci'],
      ...(shell
        ? ['-chardev', 'stdio,id=tty,signal=off', '-device', 'virtconsole,chardev=tty']
        : [
            '-chardev',
            `socket,id=agent,path=${start.agentSocket}`,
            '-device',
            'virtserialport,chardev=agent,name=lab',
          ]),
      ...wires(start.wires ?? 1),
    ],
    shell,
  )
  return qemu
}

// Without mitigations and address randomisation the same code runs faster. A kernel bug ends the machine. On a busy host timer
// interrupts come late, and the kernel's test of them would panic (IO-APIC + timer doesn't work).
const KERNEL_WORDS = 'console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr no_timer_check'

function spawnQemu(args: readonly string[], terminal: boolean): ChildProcess {
  // The kernel sends SIGKILL to QEMU when the thread that started QEMU is gone: no machine outlives its owner.
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
    stdio: terminal ? ['inherit', 'inherit', 'pipe'] : ['ignore', 'ignore', 'pipe'],
  })
}

/** Calls `tell` once when the machine has ended, with its exit status and QEMU's own words. */
export function whenEnded(qemu: ChildProcess, tell: (message: string, code: number) => void): void {
  let words = ''
  qemu.stderr?.on('data', (data) => {
    // QEMU warns for each wire that no host network is on it.
    words += String(data).replace(/^.*hub \d+ is not connected to host network\n/gm, '')
  })
  qemu.once('error', (error) => tell(`QEMU did not start: ${error.message}`, 1))
  qemu.once('close', (code, signal) => {
    const how = signal === null ? `code ${code}` : `signal ${signal}`
    tell(`the virtual machine ended with ${how}${words === '' ? '' : `: ${words.trim()}`}`, code ?? 1)
  })
}

// With these features a kernel copies and clears pages with `rep movsb` and `rep stosb`, which QEMU emulates byte by byte. Then the
// start of a program costs the host nearly twice as much.
const SLOW_WHEN_EMULATED = 'erms=off,fsrm=off'

function machine(
  { cpu = 'max', iommu = false, memory = 4096, processors = 2 }: Hardware,
  accel: string,
): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none'],
    ...['-machine', iommu ? 'q35,kernel-irqchip=split' : 'q35', '-accel', accel],
    ...(iommu ? ['-device', 'intel-iommu,intremap=on'] : []),
    ...['-cpu', accel === 'kvm' ? cpu : `${cpu},${SLOW_WHEN_EMULATED}`],
    ...['-smp', String(processors), '-m', String(memory)],
  ]
}

// Each PF is behind a root port of its own, as on a real board; its VFs follow at BUS:10.0, 10.2, ...
function wires(count: number): string[] {
  const args: string[] = []
  for (let wire = 0; wire < count; wire++) {
    args.push(
      '-netdev',
      `hubport,id=pf${wire},hubid=${wire}`,
      '-netdev',
      `hubport,id=end${wire},hubid=${wire}`,
    )
    args.push('-device', `pcie-root-port,id=port${wire},chassis=${wire + 1},slot=${wire + 1}`)
    args.push('-device', `igb,bus=port${wire},netdev=pf${wire},mac=52:54:00:01:0${wire}:01`)
    args.push('-device', `virtio-net-pci,netdev=end${wire},mac=52:54:00:01:0${wire}:02`)
  }
  return args
}

function guestEnvironment(start: Start): string {
  const values = {
    LAB_CHECKOUT: CHECKOUT,
    LAB_MODULES: start.kernel.modules,
    LAB_MODE: start.mode,
    LAB_ROWS: String(process.stdout.rows ?? 24),
    LAB_COLUMNS: String(process.stdout.columns ?? 80),
    LAB_TERM: process.env.TERM ?? 'linux',
  }
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('')
}

// KVM may open and still fail at the first instruction (nested, filtered), so a guest has to boot once with KVM. The answer is kept
// per host kernel and guest kernel.
async function acceleration(kernel: Kernel): Promise<string> {
  const software = 'tcg,thread=multi'
  if (!existsSync('/dev/kvm')) return software
  const answer = join(cacheFolder(), `kvm-${release()}-${kernel.version}`)
  let word = await readFile(answer, 'utf8').catch(() => '')
  if (word === '') {
    word = (await kvmBoots(kernel)) ? 'yes' : 'no'
    await writeFile(`${answer}.${process.pid}`, word)
    await rename(`${answer}.${process.pid}`, answer)
  }
  return word === 'yes' ? 'kvm' : software
}

const PROBE_MS = 15_000

async function kvmBoots(kernel: Kernel): Promise<boolean> {
  const run = await mkdtemp(join(tmpdir(), 'vf-lab-'))
  try {
    const args = [
      ...machine({ memory: 512 }, 'kvm'),
      '-kernel',
      kernel.image,
      '-initrd',
      await initramfs(kernel),
    ]
    args.push('-append', `${KERNEL_WORDS} lab.probe`, '-serial', `file:${consolePath(run)}`)
    await execa('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
      reject: false,
      timeout: PROBE_MS,
      killSignal: 'SIGKILL',
    })
    return (await readFile(consolePath(run), 'utf8').catch(() => '')).includes('lab: guest runs')
  } finally {
    await rm(run, { recursive: true, force: true })
  }
}
