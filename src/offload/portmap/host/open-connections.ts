/** Host ports from which the node itself has something open: filters that know no connections would take the replies. */
import { CniError, code } from '../../../cni/error.ts'
import type { Kernel } from '../../../kernel/api/kernel.ts'
import type { Endpoint, OpenConnection } from '../../../kernel/api/port-users.ts'
import type { PortKey } from '../../../ops/op.ts'
import { hears } from './listeners.ts'
import { wireKeys } from './local-ports.ts'

/**
 * @throws CniError 100 with both ends for a key from which a program of the node, or somebody whom the node translates, has a
 * connection open that leads out of the node; and for one on which a UDP socket waits for answers
 */
export function refuseConnected(kernel: Kernel, keys: readonly PortKey[]): void {
  const own = wireKeys(keys)
  if (own.length === 0) return
  const open = lookAt(kernel, own).flatMap((one) => {
    const key = own.find((candidate) => isFrom(one, candidate))
    return key === undefined ? [] : [{ key, one }]
  })
  if (open.length === 0) return
  // Connections inside the node come by no wire.
  const inside = new Set(kernel.addresses('host').map(({ address }) => address.split('/')[0]))
  const found = open.find(({ one }) => one.peer === undefined || !inside.has(one.peer.address))
  if (found === undefined) return
  const { proto, address, port } = found.key
  throw new CniError(
    code.portTaken,
    `Cannot map ${proto} ${address} port ${port}: ${words(kernel, found.one)}; allowConnected true maps it all the same, and its replies are lost`,
  )
}

/** @throws CniError 102 with the kernel's words where it tracks connections and does not tell which */
function lookAt(kernel: Kernel, keys: readonly PortKey[]): readonly OpenConnection[] {
  try {
    return kernel.openConnections(keys)
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    throw new CniError(
      code.kernelRefused,
      `Cannot see what is open from ports that are to be mapped: ${words}; allowConnected true maps them all the same`,
      { cause: error },
    )
  }
}

function isFrom(one: OpenConnection, key: PortKey): boolean {
  if (one.proto !== key.proto || one.local.port !== key.port) return false
  const { address, port } = one.local
  if (one.peer !== undefined) return address === key.address
  return hears({ proto: 'udp', address, port, v6only: one.v6only === true, inode: 0 }, key.address)
}

function words(kernel: Kernel, { local, peer, source, inode = 0 }: OpenConnection): string {
  if (source !== undefined && peer !== undefined)
    return `a connection of ${end(source)} to ${end(peer)} is translated to it`
  const who = (inode === 0 ? undefined : kernel.programWith(inode)) ?? 'a program of the node'
  return peer === undefined
    ? `${who} waits for answers on ${end(local)}`
    : `${who} has a connection from it to ${end(peer)}`
}

function end({ address, port }: Endpoint): string {
  return `${address} port ${port}`
}
