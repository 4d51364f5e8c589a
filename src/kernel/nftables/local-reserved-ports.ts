/**
 * Ports that the kernel gives to none of the node's own programs by itself (net.ipv4.ip_local_reserved_ports, for both
 * families). proc_do_large_bitmap() of the kernel takes at most a page at once: a write at the beginning of the file replaces
 * all, any other adds to what is there. So ports are added without a look at those of others, and in one step.
 */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { formatPortSet, parsePortSet } from '../../lib/port-set.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { FileError } from '../../sys/errno.ts'
import type { SteeredPort } from '../api/reservations.ts'
import { dumpSets, elementsOf } from './map-elements.ts'
import { steered } from './steered-ports.ts'

const path = '/proc/sys/net/ipv4/ip_local_reserved_ports'

/** More than all ports take as text: a read that is too short ends in the middle of a number, and the next one is empty. */
const mostBytes = 512 << 10

/** Less than the smallest page. */
const bytesInWrite = 4000

/** The ports that are reserved now. @throws FileError */
export function reservedLocalPorts(): Set<number> {
  return withFile(constants.O_RDONLY, (fd) => {
    const bytes = Buffer.allocUnsafe(mostBytes)
    return parsePortSet(bytes.toString('latin1', 0, readSync(fd, bytes)))
  })
}

/** Adds ports to those that are reserved. @throws FileError */
export function reserveLocalPorts(ports: readonly number[]): void {
  if (ports.length === 0) return
  withFile(constants.O_WRONLY, (fd) => {
    for (const part of partsOf(ports)) writeSync(fd, part, 0, part.length, 1)
  })
}

/**
 * Takes ports from those that are reserved. The kernel can only replace them all: where more are left than a write takes, the
 * last of them are free for the moment between two writes.
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

/** The host ports whose frames filters take past the host's stack, with the cookies of their owners. */
export function steeredPorts(socket: NetlinkSocket): SteeredPort[] {
  return elementsOf(dumpSets(socket, Object.values(steered))).flatMap(({ key, comment }) => {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    return key === undefined || cookie === undefined ? [] : [{ cookie, port: key.port }]
  })
}

/** The text of a set in pieces that one write each takes. */
function partsOf(ports: Iterable<number>): Buffer[] {
  const parts = ['']
  for (const range of formatPortSet(ports).split(',')) {
    const last = parts.at(-1) ?? ''
    if (last.length + range.length >= bytesInWrite) parts.push(range)
    else parts[parts.length - 1] = last === '' ? range : `${last},${range}`
  }
  // A line without a port: nothing is written by a write of no bytes.
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
