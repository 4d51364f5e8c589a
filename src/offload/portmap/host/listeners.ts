/** Host ports on which a program of the node listens: mapped, it would never hear of them again. */
import { CniError, code } from '../../../cni/error.ts'
import type { Kernel } from '../../../kernel/api/kernel.ts'
import type { Listener } from '../../../kernel/api/port-users.ts'
import { ipFamily } from '../../../lib/ip.ts'
import type { PortKey, Proto } from '../../../ops/op.ts'
import type { PortMapping } from '../../config/config.ts'
import { localhost } from '../keys.ts'

/** Listeners by their port; each protocol is asked for once, when somebody wants to know. */
export type Listeners = (proto: Proto) => ReadonlyMap<number, readonly Listener[]>

/** Asks the kernel for those on the ports of `mappings`. SCTP is not looked at. */
export function listenersOf(
  kernel: Kernel,
  mappings: readonly Pick<PortMapping, 'proto' | 'hostPort'>[],
): Listeners {
  const known = new Map<Proto, ReadonlyMap<number, readonly Listener[]>>()
  return (proto) => {
    const asked = known.get(proto)
    if (asked !== undefined) return asked
    const byPort = new Map<number, Listener[]>()
    const ports = mappings.flatMap((one) => (one.proto === proto ? one.hostPort : []))
    for (const listener of proto === 'sctp' ? [] : kernel.listeners(proto, [...new Set(ports)]))
      byPort.set(listener.port, [...(byPort.get(listener.port) ?? []), listener])
    known.set(proto, byPort)
    return byPort
  }
}

/** @throws CniError 100 with the program's name for a key whose frames a listener of the host would get */
export function refuseListened(kernel: Kernel, listeners: Listeners, keys: readonly PortKey[]): void {
  for (const { address, proto, port } of keys.toSorted((a, b) => order[a.proto] - order[b.proto])) {
    const found = listeners(proto)
      .get(port)
      ?.find((listener) => hears(listener, address))
    if (found === undefined) continue
    throw new CniError(
      code.portTaken,
      `Cannot map ${proto} ${address} port ${port}: ${programOf(kernel, found)} listens on ${found.address} port ${found.port}; allowListening true maps it all the same`,
    )
  }
}

const order = { tcp: 0, udp: 1, sctp: 2 } as const

/**
 * Mappings of all addresses of IPv4 whose port a program of the node serves at 127.0.0.1 alone, and who it is: nobody has asked for
 * that address, so the program keeps it.
 */
export function servedLocally(
  kernel: Kernel,
  listeners: Listeners,
  mappings: readonly PortMapping[],
): ReadonlyMap<PortMapping, string> {
  const found = new Map<PortMapping, string>()
  for (const mapping of mappings) {
    const { hostIP = everyAddress, proto, hostPort } = mapping
    const listener =
      hostIP === everyAddress
        ? listeners(proto)
            .get(hostPort)
            ?.find((one) => isAt(one))
        : undefined
    if (listener !== undefined) found.set(mapping, programOf(kernel, listener))
  }
  return found
}

const everyAddress = '0.0.0.0'

function isAt({ address }: Listener): boolean {
  return address === localhost || address === `::ffff:${localhost}`
}

function programOf(kernel: Kernel, { inode }: Listener): string {
  return kernel.programWith(inode) ?? 'a program of the node'
}

/** True when the listener's socket takes what comes to `address`. */
export function hears(listener: Listener, address: string): boolean {
  if (listener.address === address || listener.address === `::ffff:${address}`) return true
  if (listener.address === '0.0.0.0') return ipFamily(address) === 4
  return listener.address === '::' && (ipFamily(address) === 6 || !listener.v6only)
}
