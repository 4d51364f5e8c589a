/** Host ports on which a program of the node listens: mapped, it would never hear of them again. */
import { CniError, code } from '../cni/error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Listener } from '../kernel/listeners.ts'
import { ipFamily } from '../lib/ip.ts'
import type { PortKey } from '../ops/op.ts'

/** @throws CniError 100 with the program's name for a key whose frames a listener of the host would get */
export function refuseListened(kernel: Kernel, keys: readonly PortKey[]): void {
  for (const proto of ['tcp', 'udp'] as const) {
    const own = keys.filter((key) => key.proto === proto)
    if (own.length === 0) continue
    const byPort = new Map<number, Listener[]>()
    for (const listener of kernel.listeners(proto))
      byPort.set(listener.port, [...(byPort.get(listener.port) ?? []), listener])
    for (const key of own) {
      const found = byPort.get(key.port)?.find((listener) => hears(listener, key.address))
      if (found === undefined) continue
      const who = kernel.programWith(found.inode) ?? 'a program of the node'
      throw new CniError(
        code.portTaken,
        `Cannot map ${proto} ${key.address} port ${key.port}: ${who} listens on ${found.address} port ${found.port}; allowListening true maps it all the same`,
      )
    }
  }
}

/** True when the listener's socket takes what comes to `address`. */
export function hears(listener: Listener, address: string): boolean {
  if (listener.address === address || listener.address === `::ffff:${address}`) return true
  if (listener.address === '0.0.0.0') return ipFamily(address) === 4
  return listener.address === '::' && (ipFamily(address) === 6 || !listener.v6only)
}
