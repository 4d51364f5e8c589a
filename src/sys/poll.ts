/**
 * Waiting for descriptors in one synchronous call, and descriptors that tell of signals and of the end of processes. For programs that
 * run a loop of their own: Bun waits by itself otherwise.
 */
import { readSync } from 'node:fs'
import { SystemError } from './errno.ts'
import { anyCall, pointerTo } from './ffi.ts'

/** Bits of poll(2), asm-generic/poll.h. The kernel reports `error`, `hangup` and `invalid` without being asked. */
export const pollBits = { in: 1, out: 4, error: 8, hangup: 16, invalid: 32, remoteClosed: 0x2000 } as const

/** One descriptor that is waited for. */
export interface Polled {
  readonly fd: number
  /** Bits of {@link pollBits} that end the wait. */
  readonly events: number
}

/** Size of struct pollfd: descriptor, events, what happened. */
const pollfdBytes = 8

/**
 * poll(2), by ppoll(2), which both processors have.
 * @param milliseconds longest wait; negative waits without end
 * @returns the bits of each descriptor, in their order; all 0 when the time is over. A time that a signal interrupts is waited for anew
 * @throws SystemError
 */
export function poll(all: readonly Polled[], milliseconds: number): readonly number[] {
  // An array of length 0 has no address.
  const view = new DataView(new ArrayBuffer(Math.max(all.length, 1) * pollfdBytes))
  for (const [index, { fd, events }] of all.entries()) {
    view.setInt32(index * pollfdBytes, fd, true)
    view.setInt16(index * pollfdBytes + 4, events, true)
  }
  const whole = Math.floor(milliseconds / 1000)
  const time = BigInt64Array.of(BigInt(whole), BigInt(Math.round((milliseconds - whole * 1000) * 1e6)))
  const limit = milliseconds < 0 ? 0 : time
  const structures = new Uint8Array(view.buffer)
  anyCall('ppoll', [271, 73], [structures, all.length, limit, 0, 0])
  return all.map((_, index) => view.getInt16(index * pollfdBytes + 6, true))
}

/** True when the other end of a socket is closed; asks and does not wait. */
export function isHungUp(fd: number): boolean {
  const [bits = 0] = poll([{ fd, events: pollBits.remoteClosed }], 0)
  return (bits & (pollBits.hangup | pollBits.error | pollBits.remoteClosed)) !== 0
}

/** asm-generic/signal.h: the kernel's set of signals has 64 bits. */
const signalSetBytes = 8

/** Numbers of the signals that an operator or systemd sends (asm-generic/signal.h). */
export const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15, SIGCHLD: 17 } as const

/** The name of a signal. */
export type SignalName = keyof typeof signalNumbers

function signalSet(signals: readonly SignalName[]): BigUint64Array {
  const bits = signals.map((name) => 1n << BigInt(signalNumbers[name] - 1))
  return BigUint64Array.of(bits.reduce((all, one) => all | one, 0n))
}

/** rt_sigprocmask(2): SIG_SETMASK of asm-generic/signal-defs.h. */
const SIG_SETMASK = 2

/**
 * Blocks these signals and no others, for the calling thread, for threads that it starts from now on, and for programs that it executes.
 * @throws SystemError
 */
export function setSignalMask(signals: readonly SignalName[]): void {
  anyCall('rt_sigprocmask', [14, 135], [SIG_SETMASK, signalSet(signals), 0, signalSetBytes])
}

/** SFD_CLOEXEC and SFD_NONBLOCK of linux/signalfd.h. */
const SFD_FLAGS = 0o2000000 | 0o4000
/** Size of struct signalfd_siginfo; its first word is the signal. */
const signalInfoBytes = 128

/**
 * A descriptor that is readable while one of these signals waits. Close-on-exec, not blocking. All threads of the process must block
 * them, because a thread that does not would take them.
 * @throws SystemError
 */
export function signalDescriptor(signals: readonly SignalName[]): number {
  return anyCall('signalfd4', [289, 74], [-1, signalSet(signals), signalSetBytes, SFD_FLAGS])
}

/** Takes the next signal of a {@link signalDescriptor}; undefined when none waits. */
export function takeSignal(fd: number): SignalName | undefined {
  const info = new Uint8Array(signalInfoBytes)
  try {
    readSync(fd, info)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined
    throw error
  }
  const [number] = new Uint32Array(info.buffer)
  return (Object.keys(signalNumbers) as SignalName[]).find((name) => signalNumbers[name] === number)
}

/**
 * A descriptor of a process, which is readable once the process has ended. Close-on-exec.
 * @throws SystemError ESRCH when there is no such process
 */
export function openProcess(pid: number): number {
  return anyCall('pidfd_open', [434, 434], [pid, 0])
}

/** pidfd_send_signal(2): ends the process of a descriptor with SIGKILL, and never another process that has got its number. */
export function killProcess(pidfd: number): void {
  const SIGKILL = 9
  anyCall('pidfd_send_signal', [424, 424], [pidfd, SIGKILL, 0, 0])
}

/** MFD_CLOEXEC of linux/memfd.h. */
const MFD_CLOEXEC = 1

/** memfd_create(2): an empty file in memory, under a name that /proc shows. Close-on-exec. @throws SystemError */
export function memoryFile(name: string): number {
  return anyCall('memfd_create', [319, 279], [new TextEncoder().encode(`${name}\0`), MFD_CLOEXEC])
}

/**
 * execve(2): this process becomes another program. Returns only by an error.
 * @param file path of the program
 * @throws SystemError
 */
export function execute(file: string, argv: readonly string[], env: readonly string[]): never {
  const encoder = new TextEncoder()
  const texts: Uint8Array[] = []
  const list = (all: readonly string[]) => {
    const pointers = new BigUint64Array(all.length + 1)
    for (const [index, one] of all.entries()) {
      const text = encoder.encode(`${one}\0`)
      texts.push(text)
      pointers[index] = pointerTo(text)
    }
    return pointers
  }
  const [argvList, envList] = [list(argv), list(env)]
  anyCall('execve', [59, 221], [encoder.encode(`${file}\0`), argvList, envList])
  // The texts must live until the kernel has read them.
  throw new SystemError('execve', 0, `${texts.length} texts`)
}
