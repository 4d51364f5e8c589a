/**
 * Reserves ports against automatic use (net.ipv4.ip_local_reserved_ports, for both families): the kernel gives them to no program
 * that does not ask for a port by number. proc_do_large_bitmap() of the kernel takes at most a page per write. A write at offset 0
 * replaces all ports, and a write at another offset adds ports. Ports are therefore added in one step, without a read.
 */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { formatPortSet, parsePortSet } from '../../lib/port-set.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { FileError } from '../../sys/errno.ts'
import type { SteeredPort } from '../api/reservations.ts'
import { dumpSets, elementsOf } from './map-elements.ts'
import { steered } from './steered-ports.ts'

const path = '/proc/sys/net/ipv4/ip_local_reserved_ports'

/** Size of the read buffer, larger than all ports as text: a short read ends within a number, and the next read is empty. */
const mostBytes = 512 << 10

/** Limit of a write, below the smallest page size. */
const bytesInWrite = 4000

/** The ports in the setting now. @throws FileError */
export function reservedLocalPorts(): Set<number> {
  return withFile(constants.O_RDONLY, (fd) => {
    const bytes = Buffer.allocUnsafe(mostBytes)
    return parsePortSet(bytes.toString('latin1', 0, readSync(fd, bytes)))
  })
}

/** Adds ports to the setting. @throws FileError */
export function reserveLocalPorts(ports: readonly number[]): void {
  if (ports.length === 0) return
  withFile(constants.O_WRONLY, (fd) => {
    for (const part of partsOf(ports)) writeSync(fd, part, 0, part.length, 1)
  })
}

/**
 * Removes ports from the setting. The kernel can only replace all ports. Where the rest does not fit into one write, the last
 * ports of the rest are free for the moment between two writes.
 * @throws FileError
 */
export function releaseLocalPorts(ports: readonly number[]): void {
  const left = reservedLocalPorts()
  const before = left.size
  for (const port of ports) left.delete(port)
  if (left.size === before) return
  withFile(constants.O_WRONLY, (fd) => {
    for (const [at, part] of partsOf(left).entries()) writeSync(fd, part, 0, part.length, at === 0 ? 0 : 1)
  })
}

/** The steered ports of the host table, with the cookies of their owners. */
export function steeredPorts(socket: NetlinkSocket): SteeredPort[] {
  return elementsOf(dumpSets(socket, Object.values(steered))).flatMap(({ key, comment }) => {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    return key === undefined || cookie === undefined ? [] : [{ cookie, port: key.port }]
  })
}

/** The text of a set of ports, in parts that fit into one write each. */
function partsOf(ports: Iterable<number>): Buffer[] {
  const parts = ['']
  for (const range of formatPortSet(ports).split(',')) {
    const last = parts.at(-1) ?? ''
    if (last.length + range.length >= bytesInWrite) parts.push(range)
    else parts[parts.length - 1] = last === '' ? range : `${last},${range}`
  }
  // An empty set is a line without a port, because a write of no bytes changes nothing.
  return parts.map((part) => Buffer.from(`${part}\n`))
}

function withFile<T>(flags: number, action: (fd: number) => T): T {
  let fd: number | undefined
  try {
    fd = openSync(path, flags)
    return action(fd)
  } catch (error) {
    throw FileError.at(path, error)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
