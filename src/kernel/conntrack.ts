/** Connections that no longer lead where they should. */
import { ipFamily } from '../lib/ip.ts'
import { notice } from '../lib/notice.ts'
import {
  type Connection,
  decodeConnection,
  deleteConnection,
  dumpConnections,
} from '../netlink/nf/conntrack.ts'
import { AF } from '../netlink/rtnl/const.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import type { FreedKey } from './kernel.ts'

const IPPROTO_UDP = 17

/**
 * Has the kernel forget UDP connections to these host ports: a client that goes on sending from one port would be led
 * where it was led before, for ever. A courtesy to clients: what fails is told, no verb fails for it.
 */
export function forgetConnections(socket: NetlinkSocket, keys: readonly FreedKey[]): void {
  try {
    for (const key of keys.filter(({ proto }) => proto === 'udp')) {
      const family = ipFamily(key.address) === 4 ? AF.AF_INET : AF.AF_INET6
      const wanted = { family, address: key.address, protocol: IPPROTO_UDP, port: key.port }
      const found = socket
        .dump(dumpConnections(wanted))
        .map(decodeConnection)
        .filter((one) => leadsTo(one, key))
      for (const answer of socket.batch(found.map(deleteConnection))) {
        if (answer instanceof NetlinkError && answer.code !== 'ENOENT') throw answer
      }
    }
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    notice(`vf-offload: Cannot forget old UDP connections: ${error.message}`)
  }
}

function leadsTo(connection: Connection, { address, port }: FreedKey): boolean {
  const { CTA_TUPLE_IP: ip, CTA_TUPLE_PROTO: proto } = connection.CTA_TUPLE_ORIG ?? {}
  return (
    (ip?.CTA_IP_V4_DST ?? ip?.CTA_IP_V6_DST) === address &&
    proto?.CTA_PROTO_NUM === IPPROTO_UDP &&
    proto.CTA_PROTO_DST_PORT === port
  )
}
