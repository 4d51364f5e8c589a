/** Tables of iptables-legacy, which the kernel shows only by getsockopt: linux/netfilter_ipv4/ip_tables.h and its IPv6 twin. */
import { SystemError } from './errno.ts'
import { close, getsockopt, socket } from './ffi.ts'
import { readText } from './files.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const IPPROTO_RAW = 255
/** SOL_IP and SOL_IPV6. */
const ipLevel = 0
const ip6Level = 41
/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; the numbers are the same for IPv6. */
const IPT_SO_GET_INFO = 64
const IPT_SO_GET_ENTRIES = 65
/** Size of struct ipt_getinfo, and the offset of the first entry in struct ipt_get_entries. */
const infoSize = 84
const entriesAt = 40
/** Number of hooks (NF_INET_NUMHOOKS). */
const hooks = 5

/** A table as the kernel stores it. */
export interface LegacyTable {
  /** Offset of the first rule of each hook (NF_INET_*); undefined for a hook that the table does not have. */
  readonly hooks: readonly (number | undefined)[]
  /** struct ipt_entry or ip6t_entry, one after the other. */
  readonly entries: Uint8Array
}

/** Most attempts to read a table that another program replaces meanwhile. */
const attempts = 8

/** The table of a family; undefined where no table of that name is loaded. The question loads no module. */
export function legacyTable(family: 4 | 6, name: string): LegacyTable | undefined {
  const loaded = readText(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`) ?? ''
  if (!loaded.split('\n').includes(name)) return undefined
  const fd = socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return readTable(fd, family === 4 ? ipLevel : ip6Level, name)
      } catch (error) {
        if (!(error instanceof SystemError) || error.code !== 'EAGAIN' || attempt === attempts) throw error
      }
    }
  } finally {
    close(fd)
  }
}

function readTable(fd: number, level: number, name: string): LegacyTable {
  const info = new Uint8Array(infoSize)
  info.set(new TextEncoder().encode(name))
  getsockopt(fd, level, IPT_SO_GET_INFO, info)
  const view = new DataView(info.buffer)
  const [valid, size] = [view.getUint32(32, true), view.getUint32(80, true)]
  const answer = new Uint8Array(entriesAt + size)
  answer.set(info.subarray(0, 32))
  new DataView(answer.buffer).setUint32(32, size, true)
  getsockopt(fd, level, IPT_SO_GET_ENTRIES, answer)
  return {
    hooks: Array.from({ length: hooks }, (_, hook) =>
      (valid & (1 << hook)) === 0 ? undefined : view.getUint32(36 + hook * 4, true),
    ),
    entries: answer.subarray(entriesAt),
  }
}
