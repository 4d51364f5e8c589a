/** The part of bpf(2) that shows the programs on an interface's frames, and that loads a classifier. */
import { errorCode } from './errno.ts'
import { bpf, close, pointerTo } from './ffi.ts'

/** enum bpf_cmd of linux/bpf.h. */
const BPF_PROG_LOAD = 5
const BPF_PROG_GET_FD_BY_ID = 13
const BPF_OBJ_GET_INFO_BY_FD = 15
const BPF_PROG_QUERY = 16
/** enum bpf_attach_type of linux/bpf.h. */
const BPF_TCX_INGRESS = 46
/** enum bpf_prog_type of linux/bpf.h. */
const BPF_PROG_TYPE_SCHED_CLS = 3

/** Most programs at one hook (BPF_MPROG_MAX). */
const mostPrograms = 64

/** A loaded program. `instructions` are struct bpf_insn, 8 bytes each; undefined where the kernel hides them. */
export interface BpfProgram {
  readonly id: number
  readonly name: string
  readonly instructions: Uint8Array | undefined
}

/**
 * Numbers of the programs on an interface's tcx ingress hook, first to run first. None where the kernel has no such hook
 * (before 6.6) or no bpf(2), or refuses the caller an answer.
 */
export function tcxIngressPrograms(ifindex: number): number[] {
  const ids = new Uint32Array(mostPrograms)
  const attr = new DataView(new ArrayBuffer(64))
  attr.setUint32(0, ifindex, true)
  attr.setUint32(4, BPF_TCX_INGRESS, true)
  attr.setBigUint64(16, pointerTo(new Uint8Array(ids.buffer)), true)
  attr.setUint32(24, ids.length, true)
  try {
    bpf(BPF_PROG_QUERY, new Uint8Array(attr.buffer))
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOSYS', 'EPERM', 'EOPNOTSUPP'].includes(errorCode(error) ?? '')) return []
    throw error
  }
  return [...ids.subarray(0, attr.getUint32(24, true))]
}

/** The program with this number; undefined when the program is gone, or hidden from the caller. */
export function bpfProgram(id: number): BpfProgram | undefined {
  const attr = new DataView(new ArrayBuffer(12))
  attr.setUint32(0, id, true)
  let fd: number
  try {
    fd = bpf(BPF_PROG_GET_FD_BY_ID, new Uint8Array(attr.buffer))
  } catch (error) {
    if (['ENOENT', 'EPERM', 'ENOSYS'].includes(errorCode(error) ?? '')) return undefined
    throw error
  }
  try {
    const size = infoOf(fd).getUint32(20, true)
    const instructions = new Uint8Array(size)
    const info = size === 0 ? infoOf(fd) : infoOf(fd, instructions)
    const name = String.fromCharCode(...new Uint8Array(info.buffer, 64, 16)).replace(/\0.*$/, '')
    // The kernel returns a null pointer where it hides the instructions.
    const isShown = size > 0 && info.getBigUint64(32, true) !== 0n
    return { id, name, instructions: isShown ? instructions : undefined }
  } finally {
    close(fd)
  }
}

/** Loads a classifier while `use` runs; a filter that `use` attaches it to keeps it loaded. @throws as {@link loadClassifier} */
export function withClassifier<T>(instructions: Uint8Array, name: string, use: (fd: number) => T): T {
  const fd = loadClassifier(instructions, name)
  try {
    return use(fd)
  } finally {
    close(fd)
  }
}

/**
 * Loads a classifier (struct bpf_insn, 8 bytes each), and returns its descriptor, which keeps it loaded. `name` has at most 15 bytes. The
 * kernel's verifier takes a millisecond for some hundred instructions.
 * @throws SystemError with the kernel's refusal: EPERM without CAP_BPF, EINVAL or EACCES from its verifier
 */
export function loadClassifier(instructions: Uint8Array, name: string): number {
  // A program that calls no GPL-only helper may have any licence.
  const license = new TextEncoder().encode('Apache-2.0\0')
  const attr = new DataView(new ArrayBuffer(72))
  attr.setUint32(0, BPF_PROG_TYPE_SCHED_CLS, true)
  attr.setUint32(4, instructions.length / 8, true)
  attr.setBigUint64(8, pointerTo(instructions), true)
  attr.setBigUint64(16, pointerTo(license), true)
  new Uint8Array(attr.buffer, 48, 15).set(new TextEncoder().encode(name))
  return bpf(BPF_PROG_LOAD, new Uint8Array(attr.buffer))
}

/** The tag of a loaded program, a hash of its instructions. */
export function programTag(fd: number): Uint8Array {
  return new Uint8Array(infoOf(fd).buffer, 8, 8)
}

/** struct bpf_prog_info up to the name: tag at 8, xlated_prog_len at 20, xlated_prog_insns at 32, name at 64. */
function infoOf(fd: number, instructions?: Uint8Array): DataView {
  const info = new DataView(new ArrayBuffer(80))
  if (instructions !== undefined) {
    info.setUint32(20, instructions.length, true)
    info.setBigUint64(32, pointerTo(instructions), true)
  }
  const attr = new DataView(new ArrayBuffer(16))
  attr.setUint32(0, fd, true)
  attr.setUint32(4, info.byteLength, true)
  attr.setBigUint64(8, pointerTo(new Uint8Array(info.buffer)), true)
  bpf(BPF_OBJ_GET_INFO_BY_FD, new Uint8Array(attr.buffer))
  return info
}
