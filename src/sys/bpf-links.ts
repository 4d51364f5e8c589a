/** bpf(2), as far as it takes to take programs off an interface. */
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
const linkTypes: readonly number[] = [6 /* BPF_LINK_TYPE_XDP */, 11 /* BPF_LINK_TYPE_TCX */]
/** The kernel takes no more than this at one hook (BPF_MPROG_MAX). */
const mostPrograms = 64

/** What a kernel answers that has no such hook (before 6.6), no bpf(2), or no answer for who asks. */
const none: readonly (string | undefined)[] = ['EINVAL', 'ENOENT', 'ENOSYS', 'EPERM', 'EOPNOTSUPP']

/** Numbers of the programs on an interface's tcx hook. They stay there when the interface is moved to another namespace. */
export function tcxPrograms(ifindex: number, hook: keyof typeof BPF_TCX): number[] {
  const ids = new Uint32Array(mostPrograms)
  const attr = new DataView(new ArrayBuffer(64))
  attr.setUint32(0, ifindex, true)
  attr.setUint32(4, BPF_TCX[hook], true)
  attr.setBigUint64(16, pointerTo(new Uint8Array(ids.buffer)), true)
  attr.setUint32(24, ids.length, true)
  try {
    bpf(BPF_PROG_QUERY, new Uint8Array(attr.buffer))
  } catch (error) {
    if (none.includes(errorCode(error))) return []
    throw error
  }
  return [...ids.subarray(0, attr.getUint32(24, true))]
}

/** Takes a program off a tcx hook on which no link holds it. @throws SystemError */
export function detachProgram(program: number, ifindex: number, hook: keyof typeof BPF_TCX): void {
  const fd = bpf(BPF_PROG_GET_FD_BY_ID, words(program, 0, 0))
  try {
    bpf(BPF_PROG_DETACH, words(ifindex, fd, BPF_TCX[hook], 0, 0, 0, 0, 0))
  } finally {
    close(fd)
  }
}

/**
 * Detaches the links of bpf(2) that hold a program on an interface with this number. False when there is none. The kernel says the
 * number of a link's interface and not its namespace, so one of the same number with the same program, which only the
 * same owner can give it, loses that too.
 */
export function detachLinks(program: number, ifindex: number): boolean {
  let found = false
  for (let id = nextLink(0); id !== undefined; id = nextLink(id)) {
    const fd = linkFd(id)
    if (fd === undefined) continue
    try {
      const info = infoOf(fd)
      const [type = 0, , itsProgram, , itsIfindex] = info
      if (!linkTypes.includes(type) || itsProgram !== program || itsIfindex !== ifindex) continue
      bpf(BPF_LINK_DETACH, words(fd, 0))
      found = true
    } finally {
      close(fd)
    }
  }
  return found
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

/** A link may have gone since its number was read. */
function linkFd(id: number): number | undefined {
  try {
    return bpf(BPF_LINK_GET_FD_BY_ID, words(id, 0, 0))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** struct bpf_link_info: type, id, prog_id, a gap, and of XDP and tcx the interface's number. */
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
