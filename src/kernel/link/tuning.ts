/**
 * Reads and sets the ethtool and sysfs values that an interface keeps in another namespace: features, channels, rings, and the
 * files of its queues. Uses ioctl(2) on any socket, because generic netlink would cost one more call to find the family.
 */
import { fromHex, toHex } from '../../lib/hex.ts'
import type { EthtoolPart, Op } from '../../ops/op.ts'
import { errorCode, SystemError } from '../../sys/errno.ts'
import { close, ioctlWith, pointerTo, socket } from '../../sys/ffi.ts'
import { listFolder, readText, writeValue } from '../../sys/files.ts'
import type { LinkTuning } from '../api/facts.ts'

/** linux/sockios.h */
const SIOCETHTOOL = 0x8946
const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

/**
 * ETHTOOL_GFEATURES and SFEATURES, GCHANNELS and SCHANNELS, GRINGPARAM and SRINGPARAM of linux/ethtool.h. `words` is the size of
 * the structure, and `at` are the places of the values that can be set, both in words of 32 bits.
 */
const parts = {
  features: { get: 0x3a, set: 0x3b, words: 10, at: [3, 7] },
  channels: { get: 0x3c, set: 0x3d, words: 9, at: [5, 6, 7, 8] },
  rings: { get: 0x10, set: 0x11, words: 9, at: [5, 6, 7, 8] },
} as const

/** Number of blocks of 32 features: ETHTOOL_DEV_FEATURE_WORDS of net/ethtool/common.h for 64 features. */
const featureBlocks = 2

/** The files of a queue, and of the interface, that user space can set. */
const queueFiles = {
  rx: ['rps_cpus', 'rps_flow_cnt'],
  tx: [
    ...['xps_cpus', 'xps_rxqs', 'tx_maxrate'],
    ...['byte_queue_limits/limit_max', 'byte_queue_limits/limit_min', 'byte_queue_limits/hold_time'],
  ],
} as const
const netdevFiles = ['gro_flush_timeout', 'napi_defer_hard_irqs', 'threaded']

/** Errors of a file or a driver without the setting. */
const absent: readonly (string | undefined)[] = ['EOPNOTSUPP', 'ENOENT', 'EINVAL', 'ENODEV', 'EPERM']

/** The values of the host's interface `name`: all ethtool parts, and these files of sysfs, or `all` files that exist. */
export function tuningOf(name: string, files: readonly string[] | 'all'): LinkTuning {
  const ethtool: Partial<Record<EthtoolPart, string>> = {}
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    for (const part of Object.keys(parts) as EthtoolPart[]) {
      const value = ethtoolOf(fd, name, part)
      if (value !== undefined) ethtool[part] = value
    }
  } finally {
    close(fd)
  }
  return { ethtool, files: contentsOf(name, files === 'all' ? filesOf(name) : files) }
}

/** Operations that change the values from `now` to `was`. A value that only one of them has stays. */
export function tuningOps(name: string, was: LinkTuning, now: LinkTuning): Op[] {
  const ops: Op[] = []
  // Channels come first: they create the queues, and the queues have the files.
  for (const part of ['channels', 'rings', 'features'] as const) {
    const [value, found] = [was.ethtool[part], now.ethtool[part]]
    if (value !== undefined && found !== undefined && value !== found)
      ops.push({ do: 'ethtool.set', link: name, part, value, was: found })
  }
  for (const [file, value] of Object.entries(was.files)) {
    const found = now.files[file]
    if (found !== undefined && found !== value)
      ops.push({ do: 'netdev.set', link: name, file, value, was: found })
  }
  return ops
}

/** Sets a part to a value as {@link tuningOf} returns it (hex). @throws SystemError */
export function setEthtool(name: string, part: EthtoolPart, value: string): void {
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    setPart(fd, name, part, numbersOf(value))
  } finally {
    close(fd)
  }
}

function setPart(fd: number, name: string, part: EthtoolPart, wanted: Uint32Array): void {
  const { get, set, words, at } = parts[part]
  if (part !== 'features') {
    const all = asked(fd, name, get, words)
    for (const [index, place] of at.entries()) all[place] = wanted[index] ?? 0
    call(fd, name, set, all)
    return
  }
  const now = asked(fd, name, get, words, featureBlocks)
  const change = new Uint32Array(2 + featureBlocks * 2)
  change[1] = featureBlocks
  for (const [block, place] of parts.features.at.entries()) {
    const [available = 0, requested = 0] = now.subarray(place - 1, place + 1)
    const bits = wanted[block] ?? 0
    change[2 + block * 2] = (requested ^ bits) & available
    change[3 + block * 2] = bits
  }
  call(fd, name, set, change)
}

/** Writes a file below /sys/class/net/NAME. @throws Node's file errors */
export function setNetdev(name: string, file: string, value: string): void {
  writeValue(`/sys/class/net/${name}/${file}`, value)
}

function ethtoolOf(fd: number, name: string, part: EthtoolPart): string | undefined {
  const { get, words, at } = parts[part]
  try {
    const all = asked(fd, name, get, words, part === 'features' ? featureBlocks : 0)
    const values = Uint32Array.from(at, (place) => all[place] ?? 0)
    return toHex(new Uint8Array(values.buffer))
  } catch (error) {
    if (absent.includes(errorCode(error))) return undefined
    throw error
  }
}

/** Reads a structure of `words` words. `second` is the second word of the request: the number of blocks that fit. */
function asked(fd: number, name: string, command: number, words: number, second = 0): Uint32Array {
  const all = new Uint32Array(words)
  all[1] = second
  return call(fd, name, command, all)
}

/** Runs SIOCETHTOOL with a struct ifreq: the name of the interface, and the address of `structure`. */
function call(fd: number, name: string, command: number, structure: Uint32Array): Uint32Array {
  structure[0] = command
  const request = new Uint8Array(40)
  request.set(new TextEncoder().encode(name).subarray(0, 15))
  const bytes = new Uint8Array(structure.buffer)
  new DataView(request.buffer).setBigUint64(16, pointerTo(bytes), true)
  ioctlWith(fd, SIOCETHTOOL, request)
  return structure
}

/** The files that the interface has. A single transmit queue serves every processor, so it has no xps maps. */
function filesOf(name: string): string[] {
  const folder = `/sys/class/net/${name}/queues`
  const queues = listFolder(folder)
  const isAlone = queues.filter((queue) => queue.startsWith('tx')).length === 1
  const ofQueues = queues.flatMap((queue) => {
    const there = listFolder(`${folder}/${queue}`)
    const files = queueFiles[queue.startsWith('rx') ? 'rx' : 'tx'].filter((file) => {
      const [first = ''] = file.split('/')
      return there.includes(first) && !(isAlone && first.startsWith('xps'))
    })
    return files.map((file) => `queues/${queue}/${file}`)
  })
  return [...netdevFiles, ...ofQueues]
}

function contentsOf(name: string, files: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const file of files) {
    const value = contentOf(`/sys/class/net/${name}/${file}`)
    if (value !== undefined) found[file] = value
  }
  return found
}

function contentOf(path: string): string | undefined {
  try {
    return readText(path)?.trim()
  } catch (error) {
    if (absent.includes(errorCode(error))) return undefined
    throw error
  }
}

function numbersOf(hex: string): Uint32Array {
  const bytes = fromHex(hex)
  if (bytes.length % 4 !== 0)
    throw new SystemError('ethtool.set', 22, `"${hex}" are no 32-bit numbers; must be 8 hex digits each`)
  return new Uint32Array(bytes.buffer, 0, bytes.length / 4)
}
