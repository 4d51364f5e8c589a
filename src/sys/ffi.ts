/**
 * The only door to libc: no other file of the project imports `bun:ffi`. The *system's* libc is opened by its soname;
 * nothing is embedded, so nothing is ever extracted to a temporary folder. Symbols are bound on first use, because binding
 * costs start time and a VERSION needs none. A libc call that fails returns -1 and sets errno; `check` turns that into a
 * SystemError.
 */
import { dlopen, FFIType, type Pointer, ptr, read } from 'bun:ffi'
import { SystemError } from './errno.ts'

const sonames = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']

const signatures = {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  sendto: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'u32'], returns: FFIType.i64_fast },
  recv: { args: ['i32', 'ptr', 'u64', 'i32'], returns: FFIType.i64_fast },
  close: { args: ['i32'], returns: 'i32' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  unshare: { args: ['i32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  syscall: { args: ['i64', 'i32', 'ptr', 'ptr'], returns: FFIType.i64_fast },
  __errno_location: { args: [], returns: 'ptr' },
} as const

type Libc = ReturnType<typeof dlopen<typeof signatures>>['symbols']

let bound: Libc | undefined

/** The bound functions of the system's libc, glibc or musl. Throws SystemError ENOENT when neither can be opened. */
function libc(): Libc {
  bound ??= open(signatures)
  return bound
}

/** Functions of libc by name, with the types of their arguments and results. */
export type LibcSignatures = Parameters<typeof dlopen>[1]

/**
 * Binds functions of libc for one file that calls them; binding takes some 0.1 ms.
 * @throws SystemError ENOENT when no libc can be opened
 */
export function bindLibc<const S extends LibcSignatures>(functions: S) {
  return open(functions)
}

/** The result of a libc function that sets errno. @throws SystemError when it is negative; call it right after the function */
export function checked(call: string, result: number | bigint): number {
  return check(call, result)
}

function open<const S extends LibcSignatures>(functions: S) {
  const refusals: string[] = []
  for (const name of sonames) {
    try {
      return dlopen(name, functions).symbols
    } catch (error) {
      // Try the next soname. Memory may also be too short for the right libc, so the reason is kept.
      refusals.push(`${name} (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  throw new SystemError('dlopen', 2, `no C library could be opened: ${refusals.join('; ')}`)
}

/** A system call without a libc function that is bound here: binding costs start time, and each of these runs once or twice. */
function systemCall(
  name: keyof typeof callNumbers,
  first: number,
  second: NodeJS.TypedArray | number,
  third: NodeJS.TypedArray | number,
): number {
  const [x64, arm64] = callNumbers[name]
  const number = process.arch === 'arm64' ? arm64 : x64
  return check(name, libc().syscall(number, first, word(second), word(third)))
}

/** The content of a register: the address of a buffer, or a number. */
function word(value: NodeJS.TypedArray | number): Pointer {
  return typeof value === 'number' ? (value as Pointer) : ptr(value)
}

/** Numbers of x86-64 and of arm64 (asm/unistd_64.h, asm-generic/unistd.h). */
const callNumbers = {
  bpf: [321, 280],
  clock_gettime: [228, 113],
  connect: [42, 203],
  fcntl: [72, 25],
  ioctl: [16, 29],
} as const

/** Returns `result`, or throws a SystemError with the calling thread's errno when it is negative. */
function check(call: string, result: number | bigint): number {
  const value = Number(result)
  if (value >= 0) return value
  throw new SystemError(call, errno())
}

/** The calling thread's errno. Nothing may run between the call and this, because any later libc call may change it. */
function errno(): number {
  const location = libc().__errno_location()
  return location === null ? 0 : read.i32(location as Pointer, 0)
}

/** socket(2). Returns the descriptor (close-on-exec when `type` carries SOCK_CLOEXEC). */
export function socket(domain: number, type: number, protocol: number): number {
  return check('socket', libc().socket(domain, type, protocol))
}

/** bind(2) to a raw struct sockaddr. */
export function bind(fd: number, address: Uint8Array): void {
  check('bind', libc().bind(fd, ptr(address), address.length))
}

/** setsockopt(2) with an option value of raw bytes. */
export function setsockopt(fd: number, level: number, option: number, value: Uint8Array): void {
  check('setsockopt', libc().setsockopt(fd, level, option, ptr(value), value.length))
}

/** getsockopt(2) into `value`, which the option fills. */
export function getsockopt(fd: number, level: number, option: number, value: Uint8Array): void {
  check('getsockopt', libc().getsockopt(fd, level, option, ptr(value), ptr(new Uint32Array([value.length]))))
}

/** sendto(2), or send(2) without `address`. Restarted on EINTR; a datagram is never written in part. */
export function sendto(fd: number, data: Uint8Array, address?: Uint8Array): number {
  for (;;) {
    try {
      const to = address === undefined ? null : ptr(address)
      return check('sendto', libc().sendto(fd, ptr(data), data.length, 0, to, address?.length ?? 0))
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EINTR') throw error
    }
  }
}

/** recv(2) into `buffer`; returns the result of recv (with MSG_TRUNC the datagram's whole length). Restarted on EINTR. */
export function recv(fd: number, buffer: Uint8Array, flags: number): number {
  for (;;) {
    try {
      return check('recv', libc().recv(fd, ptr(buffer), buffer.length, flags))
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EINTR') throw error
    }
  }
}

/** close(2); errors are ignored, because the descriptor is gone in every case (close(2), NOTES). */
export function close(fd: number): void {
  libc().close(fd)
}

/** setns(2) for the calling thread. `kind` is a CLONE_NEW* flag or 0. */
export function setns(fd: number, kind: number): void {
  check('setns', libc().setns(fd, kind))
}

/** unshare(2) for the calling thread. `kinds` are CLONE_NEW* flags. */
export function unshare(kinds: number): void {
  check('unshare', libc().unshare(kinds))
}

/** bpf(2), for which no libc has a function: `attr` is a union bpf_attr. Returns a descriptor or 0. */
export function bpf(command: number, attr: Uint8Array): number {
  return systemCall('bpf', command, attr, attr.length)
}

/** connect(2) to a raw struct sockaddr. */
export function connect(fd: number, address: Uint8Array): void {
  systemCall('connect', fd, address, address.length)
}

/** ioctl(2) of a request without an argument. Returns the kernel's result. */
export function ioctl(fd: number, request: number): number {
  return systemCall('ioctl', fd, request, 0)
}

/** ioctl(2) with a structure, which the kernel may change. @throws SystemError */
export function ioctlWith(fd: number, request: number, structure: Uint8Array): void {
  systemCall('ioctl', fd, request, structure)
}

/**
 * fcntl(2) with the struct flock in `lock`, which the kernel changes. The struct has 64-bit offsets, as on both processors that this
 * runs on.
 */
export function fcntl(fd: number, command: number, lock: Int32Array): void {
  systemCall('fcntl', fd, command, lock)
}

/** clock_gettime(2): whole microseconds of a clock (CLOCK_* of linux/time.h). */
export function microseconds(clock: number): number {
  const time = new BigInt64Array(2)
  systemCall('clock_gettime', clock, time, 0)
  const [seconds = 0n, nanoseconds = 0n] = time
  return Number(seconds) * 1e6 + Math.floor(Number(nanoseconds) / 1e3)
}

/** The address of a buffer, for structures with pointers; the caller keeps the buffer until the call is over. */
export function pointerTo(buffer: NodeJS.TypedArray): bigint {
  return BigInt(ptr(buffer))
}

/** flock(2). Returns false when LOCK_NB was given and somebody else holds the lock. */
export function flock(fd: number, operation: number): boolean {
  try {
    check('flock', libc().flock(fd, operation))
    return true
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EAGAIN') return false
    throw error
  }
}

/** madvise(2) for `length` bytes at `address`, both whole pages. Bound apart from the others, because no CNI call needs it. */
export function madvise(address: number, length: number, advice: number): void {
  check(
    'madvise',
    open({ madvise: { args: ['u64', 'u64', 'i32'], returns: 'i32' } }).madvise(address, length, advice),
  )
}

/** The numbers of a system call on x86-64 and on arm64 (asm/unistd_64.h, asm-generic/unistd.h). */
export type CallNumbers = readonly [x64: number, arm64: number]

type AnySystemCall = (number: number, ...registers: readonly number[]) => number | bigint
let anySystemCall: AnySystemCall | undefined

/**
 * Any system call, with up to six registers: numbers, or buffers, whose addresses are passed. Restarted on EINTR unless `once` is set.
 * Bound apart from the others, because most CNI calls need it for nothing: the agent does, and the start of a child.
 * @returns the kernel's result, not negative
 * @throws SystemError
 */
export function anyCall(
  name: string,
  numbers: CallNumbers,
  registers: readonly (number | NodeJS.TypedArray)[],
  once = false,
): number {
  for (;;) {
    const result = callOrErrno(numbers, registers)
    if (result >= 0) return result
    if (once || -result !== EINTR) throw new SystemError(name, -result)
  }
}

/** asm-generic/errno-base.h */
const EINTR = 4

/** As {@link anyCall}, but returns the negative errno of a call that fails: an error takes longer to make than most system calls. */
export function callOrErrno(
  [x64, arm64]: CallNumbers,
  registers: readonly (number | NodeJS.TypedArray)[],
): number {
  anySystemCall ??= open({
    syscall: { args: ['i64', 'i64', 'i64', 'i64', 'i64', 'i64', 'i64'], returns: FFIType.i64_fast },
  }).syscall as AnySystemCall
  const number = process.arch === 'arm64' ? arm64 : x64
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = registers.map((one) =>
    typeof one === 'number' ? one : Number(ptr(one)),
  )
  const result = Number(anySystemCall(number, a, b, c, d, e, f))
  return result >= 0 ? result : -errno()
}
