/** The part of bpf(2) that takes programs off an interface. */
import { errorCode } from './errno.ts'
import { bpf, close, pointerTo } from './ffi.ts'

/** enum bpf_cmd of linux/bpf.h. */
const BPF_PROG_DETACH = 9
const BPF_PROG_GET_FD_BY_ID = 13
const BPF_OBJ_GET_INFO_BY_FD = 15
const BPF_PROG_QUERY = 16
const BPF_LINK_GET_FD_BY_ID = 30
const BPF_LINK_GET_NEXT_ID = 31
const BPF_LINK_DETACH = 34
/** enum bpf_attach_type and bpf_link_type of linux/bpf.h. */
const BPF_TCX = { ingress: 46, egress: 47 } as const
const BPF_LINK_TYPE_XDP = 6
/** Most programs at one hook (BPF_MPROG_MAX). */
const mostPrograms = 64

/** Errors of a kernel that has no such hook (before 6.6) or no bpf(2), or that refuses the caller an answer. */
const none: readonly (string | undefined)[] = ['EINVAL', 'ENOENT', 'ENOSYS', 'EPERM', 'EOPNOTSUPP']

/** A program on a hook of tcx, and the link of bpf(2) that holds it there; no link where the program was attached without one. */
interface TcxProgram {
  readonly program: number
  readonly link: number | undefined
}

/** Numbers of the programs on an interface's tcx hook. They stay there when the interface is moved to another namespace. */
export function tcxPrograms(ifindex: number, hook: keyof typeof BPF_TCX): number[] {
  return tcxOf(ifindex, hook).map(({ program }) => program)
}

function tcxOf(ifindex: number, hook: keyof typeof BPF_TCX): TcxProgram[] {
  const ids = new Uint32Array(mostPrograms)
  const links = new Uint32Array(mostPrograms)
  const attr = new DataView(new ArrayBuffer(64))
  attr.setUint32(0, ifindex, true)
  attr.setUint32(4, BPF_TCX[hook], true)
  attr.setBigUint64(16, pointerTo(new Uint8Array(ids.buffer)), true)
  attr.setUint32(24, ids.length, true)
  attr.setBigUint64(40, pointerTo(new Uint8Array(links.buffer)), true)
  try {
    bpf(BPF_PROG_QUERY, new Uint8Array(attr.buffer))
  } catch (error) {
    if (none.includes(errorCode(error))) return []
    throw error
  }
  return Array.from(ids.subarray(0, attr.getUint32(24, true)), (program, at) => ({
    program,
    link: links[at] === 0 ? undefined : links[at],
  }))
}

/** Takes a program off a tcx hook; by its link where it has one. @throws SystemError */
export function detachTcx(program: number, ifindex: number, hook: keyof typeof BPF_TCX): void {
  for (const { link } of tcxOf(ifindex, hook).filter((one) => one.program === program)) {
    if (link === undefined) detachProgram(program, ifindex, hook)
    else withLink(link, (fd) => bpf(BPF_LINK_DETACH, words(fd, 0)))
  }
}

function detachProgram(program: number, ifindex: number, hook: keyof typeof BPF_TCX): void {
  const fd = bpf(BPF_PROG_GET_FD_BY_ID, words(program, 0, 0))
  try {
    bpf(BPF_PROG_DETACH, words(ifindex, fd, BPF_TCX[hook], 0, 0, 0, 0, 0))
  } finally {
    close(fd)
  }
}

/**
 * Detaches links of bpf(2) that hold an XDP program on an interface with this number, one after the other until `isOff` answers true.
 * Returns the last answer of `isOff`. The kernel tells the number of a link's interface but not its namespace: an agent may have put
 * the same program on interfaces with that number in several namespaces.
 */
export function detachXdpLinks(program: number, ifindex: number, isOff: () => boolean): boolean {
  for (let id = nextLink(0); id !== undefined; id = nextLink(id)) {
    const isDetached = withLink(id, (fd) => {
      const [type, , itsProgram, , itsIfindex] = infoOf(fd)
      if (type !== BPF_LINK_TYPE_XDP || itsProgram !== program || itsIfindex !== ifindex) return false
      bpf(BPF_LINK_DETACH, words(fd, 0))
      return true
    })
    if (isDetached === true && isOff()) return true
  }
  return isOff()
}

/** Runs an action on a link; undefined if the link has gone since its number was read. */
function withLink<T>(id: number, action: (fd: number) => T): T | undefined {
  const fd = linkFd(id)
  if (fd === undefined) return undefined
  try {
    return action(fd)
  } finally {
    close(fd)
  }
}

function nextLink(after: number): number | undefined {
  const attr = new Uint32Array([after, 0, 0])
  try {
    bpf(BPF_LINK_GET_NEXT_ID, new Uint8Array(attr.buffer))
  } catch (error) {
    if (none.includes(errorCode(error))) return undefined
    throw error
  }
  return attr[1]
}

/** Opens a link; undefined if the link has gone since its number was read. */
function linkFd(id: number): number | undefined {
  try {
    return bpf(BPF_LINK_GET_FD_BY_ID, words(id, 0, 0))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** struct bpf_link_info: type, id, prog_id, padding, and for XDP the interface's number. */
function infoOf(fd: number): Uint32Array {
  const info = new Uint32Array(16)
  const attr = new DataView(new ArrayBuffer(16))
  attr.setUint32(0, fd, true)
  attr.setUint32(4, info.byteLength, true)
  attr.setBigUint64(8, pointerTo(new Uint8Array(info.buffer)), true)
  bpf(BPF_OBJ_GET_INFO_BY_FD, new Uint8Array(attr.buffer))
  return info
}

function words(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(numbers).buffer)
}
