/**
 * Children by posix_spawn(3). Bun's own call waits for the end; this one returns at once, so that other work goes on beside the child.
 * Nobody else may wait for these children: their end is told by {@link collect}.
 */
import { closeSync, writeSync } from 'node:fs'
import { ChildError, SystemError } from '../errno.ts'
import { anyCall, bindLibc, checked, pointerTo } from '../ffi.ts'
import { readPipes, waitForEnd } from './end.ts'

/** A program to start. */
export interface ChildOptions {
  /** Path of the executable; PATH is not searched. */
  readonly file: string
  /** argv; default: the path alone. */
  readonly argv?: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Text that the child can read, also at any place (a file in memory); or a descriptor of ours. */
  readonly stdin: string | number
  /** A descriptor of ours, or `collect` for {@link collect}. */
  readonly stdout: 'collect' | number
  readonly stderr: 'collect' | number
  /** A descriptor of ours that the child has as number 3. The child gets none but these four. */
  readonly held?: number | undefined
}

/** A child that was started. {@link collect} must follow. */
export interface Child {
  readonly pid: number
  /** Our ends of the pipes; undefined where the child writes to a descriptor of ours. */
  readonly stdout: number | undefined
  readonly stderr: number | undefined
}

/** The end of a child, and its output. */
export interface CollectedChild {
  /** Exit code; null if a signal ended it. */
  readonly status: number | null
  /** Name of the signal; null if it exited. */
  readonly signal: string | null
  /** Empty for a stream that was not collected. */
  readonly stdout: string
  readonly stderr: string
  /** The child has printed more than it may, and got SIGTERM. */
  readonly isTooLong: boolean
  /** The child has not ended its output in time, and got SIGKILL. */
  readonly isLate: boolean
}

const signatures = {
  posix_spawn: { args: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
  posix_spawn_file_actions_init: { args: ['ptr'], returns: 'i32' },
  posix_spawn_file_actions_adddup2: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
  posix_spawn_file_actions_destroy: { args: ['ptr'], returns: 'i32' },
  posix_spawnattr_init: { args: ['ptr'], returns: 'i32' },
  posix_spawnattr_setflags: { args: ['ptr', 'i32'], returns: 'i32' },
  posix_spawnattr_setsigmask: { args: ['ptr', 'ptr'], returns: 'i32' },
  posix_spawnattr_setsigdefault: { args: ['ptr', 'ptr'], returns: 'i32' },
  pipe2: { args: ['ptr', 'i32'], returns: 'i32' },
  fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
} as const

let bound: ReturnType<typeof bindLibc<typeof signatures>> | undefined

function libc() {
  bound ??= bindLibc(signatures)
  return bound
}

/** spawn.h; the same in glibc and musl. */
const POSIX_SPAWN_SETSIGDEF = 4
const POSIX_SPAWN_SETSIGMASK = 8
/** Bytes that hold a posix_spawnattr_t (336) or a posix_spawn_file_actions_t (80), of glibc and musl, with room to spare. */
const opaqueBytes = 1024
/** Bytes of a sigset_t, of which 8 are used. */
const signalSetBytes = 128
/** fcntl.h, linux/close_range.h, linux/memfd.h */
const O_CLOEXEC = 0o2000000
const F_DUPFD_CLOEXEC = 1030
const CLOSE_RANGE_CLOEXEC = 4
const MFD_CLOEXEC = 1
const EINVAL = 22
/** Numbers of x86-64 and arm64: a libc of a node may be older than its kernel, and have no functions for these. */
const memfdNumbers = [319, 279] as const
const closeRangeNumbers = [436, 436] as const
/** The first number that no descriptor of a child has. */
const firstFree = 4

/**
 * Starts a program and returns at once. The child has the signals' default actions and no signal blocked, whatever this process has.
 * @throws ChildError with the errno of execve(2) or clone(2); SystemError
 */
export function startChild(options: ChildOptions): Child {
  const { stdin, stdout, stderr, held } = options
  const closed: number[] = []
  const ours: number[] = []
  const pipe = (): readonly [ours: number, theirs: number] => {
    const ends = new Int32Array(2)
    checked('pipe2', libc().pipe2(ends, O_CLOEXEC))
    const [reading = -1, writing = -1] = ends
    ours.push(reading)
    closed.push(writing)
    return [reading, writing]
  }
  try {
    const input = typeof stdin === 'number' ? stdin : memoryFile(stdin, closed)
    const [out, theirOut] = stdout === 'collect' ? pipe() : [undefined, stdout]
    const [err, theirErr] = stderr === 'collect' ? pipe() : [undefined, stderr]
    const given = [input, theirOut, theirErr, ...(held === undefined ? [] : [held])]
    const pid = spawn(
      options,
      given.map((fd) => aboveAll(fd, closed)),
    )
    return { pid, stdout: out, stderr: err }
  } catch (error) {
    for (const fd of ours) closeSync(fd)
    throw error
  } finally {
    for (const fd of closed) closeSync(fd)
  }
}

/**
 * Reads the child's output to its end and waits for the child's end. A grandchild that has the child's output open is waited for, too.
 * @param maxOutput bytes that stdout and stderr may have together; of a child that prints more, the rest is not read, and SIGTERM
 * asks it to end
 * @param milliseconds longest time for the output; undefined has no end
 * @param look called from time to time while the child prints nothing
 * @throws SystemError ECHILD if somebody else has waited for the child
 */
export function collect(
  child: Child,
  maxOutput: number,
  milliseconds?: number,
  look?: () => void,
): CollectedChild {
  const output = readPipes([child.stdout, child.stderr], maxOutput, milliseconds, look)
  const [isTooLong, isLate] = [output === 'long', output === 'late']
  if (isTooLong || isLate) process.kill(child.pid, isLate ? 'SIGKILL' : 'SIGTERM')
  const [stdout = '', stderr = ''] = typeof output === 'string' ? [] : output
  return { ...waitForEnd(child.pid), stdout, stderr, isTooLong, isLate }
}

/** A file in memory with a text, which is read from its begin. */
function memoryFile(text: string, closed: number[]): number {
  const fd = anyCall('memfd_create', memfdNumbers, [encoder.encode('stdin\0'), MFD_CLOEXEC])
  closed.push(fd)
  const bytes = encoder.encode(text)
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, done)
  return fd
}

/** A descriptor for the same file with a number that is none of the child's, so that no dup2(2) overwrites the source of another. */
function aboveAll(fd: number, closed: number[]): number {
  if (fd >= firstFree) return fd
  const copy = checked('fcntl', libc().fcntl(fd, F_DUPFD_CLOEXEC, firstFree))
  closed.push(copy)
  return copy
}

function spawn({ file, argv = [file], env }: ChildOptions, descriptors: readonly number[]): number {
  const symbols = libc()
  const [actions, attributes, signals] = [opaqueBytes, opaqueBytes, signalSetBytes].map(
    (length) => new Uint8Array(length),
  ) as [Uint8Array, Uint8Array, Uint8Array]
  symbols.posix_spawn_file_actions_init(actions)
  try {
    symbols.posix_spawnattr_init(attributes)
    symbols.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
    symbols.posix_spawnattr_setsigmask(attributes, signals)
    symbols.posix_spawnattr_setsigdefault(attributes, signals.fill(0xff, 0, 8))
    for (const [number, fd] of descriptors.entries()) {
      const errno = symbols.posix_spawn_file_actions_adddup2(actions, fd, number)
      if (errno !== 0) throw new SystemError('posix_spawn_file_actions_adddup2', errno)
    }
    // A descriptor that this process was started with may not be close-on-exec.
    anyCall('close_range', closeRangeNumbers, [firstFree - 1, 0xffffffff, CLOSE_RANGE_CLOEXEC])
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const pid = new Int32Array(1)
    const errno = symbols.posix_spawn(
      pid,
      encoder.encode(cString(file)),
      actions,
      attributes,
      stringArray(argv),
      stringArray(variables),
    )
    if (errno !== 0) throw new ChildError(errno, file)
    return pid[0] as number
  } finally {
    symbols.posix_spawn_file_actions_destroy(actions)
  }
}

const encoder = new TextEncoder()

/** @throws SystemError EINVAL for a text with a NUL, which C would cut off there */
function cString(text: string): string {
  if (text.includes('\0')) throw new SystemError('posix_spawn', EINVAL, 'a text has a NUL character')
  return `${text}\0`
}

/** An array of pointers to strings, with a null pointer at its end, and the strings behind it: one buffer holds all. */
function stringArray(texts: readonly string[]): Uint8Array {
  const strings = texts.map((text) => encoder.encode(cString(text)))
  const start = 8 * (strings.length + 1)
  const buffer = new Uint8Array(strings.reduce((length, one) => length + one.length, start))
  const pointers = new BigUint64Array(buffer.buffer, 0, strings.length)
  const base = pointerTo(buffer)
  let place = start
  for (const [index, string] of strings.entries()) {
    buffer.set(string, place)
    pointers[index] = base + BigInt(place)
    place += string.length
  }
  return buffer
}
