/** Connections that no longer lead where they should. */
import { grouped } from '../../lib/grouped.ts'
import { ipFamily } from '../../lib/ip.ts'
import { notice } from '../../lib/log/notice.ts'
import {
  type Connection,
  decodeConnection,
  deleteConnection,
  dumpConnections,
} from '../../netlink/nf/conntrack.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { FreedKey } from '../api/reservations.ts'

const IPPROTO_UDP = 17

/**
 * Has the kernel forget UDP connections to these host ports: a client that goes on sending from one port would be led
 * where it was led before, for ever. A courtesy to clients: what fails is told, no verb fails for it.
 */
export function forgetConnections(socket: NetlinkSocket, keys: readonly FreedKey[]): void {
  try {
    for (const { asked, own } of looksFor(keys.filter(({ proto }) => proto === 'udp'))) {
      const found = socket
        .dump(dumpConnections({ protocol: IPPROTO_UDP, ...asked }))
        .map(decodeConnection)
        .filter((one) => own.has(destination(one) ?? ''))
      for (const answer of socket.batch(found.map(deleteConnection))) {
        if (answer instanceof NetlinkError && answer.code !== 'ENOENT') throw answer
      }
    }
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    notice(`vf-offload: Cannot forget old UDP connections: ${error.message}`)
  }
}

/** More ports than these are not asked for one by one: each question is answered by a walk through all connections. */
const mostPorts = 16

/** What is asked for, and the keys that it is about. */
interface Look {
  readonly asked: { readonly family: number; readonly address?: string; readonly port?: number }
  readonly own: ReadonlySet<string>
}

/** As few dumps as may be: one for a port of a family, or for all of it. */
function looksFor(keys: readonly FreedKey[]): Look[] {
  return ([4, 6] as const).flatMap((version) => {
    const family = version === 4 ? AF.AF_INET : AF.AF_INET6
    const inFamily = keys.filter(({ address }) => ipFamily(address) === version)
    const byPort = [...grouped(inFamily, ({ port }) => port)]
    const own = (some: readonly FreedKey[]) => new Set(some.map(keyText))
    if (byPort.length > mostPorts) return [{ asked: { family }, own: own(inFamily) }]
    return byPort.map(([port, some]): Look => {
      const [first] = some
      const address = some.length === 1 && first !== undefined ? { address: first.address } : {}
      return { asked: { family, port, ...address }, own: own(some) }
    })
  })
}

function keyText({ address, port }: Pick<FreedKey, 'address' | 'port'>): string {
  return `${address} ${port}`
}

/** Where a UDP connection was opened to, as {@link keyText} has it. */
function destination({ CTA_TUPLE_ORIG: original }: Connection): string | undefined {
  const { CTA_TUPLE_IP: ip, CTA_TUPLE_PROTO: proto } = original ?? {}
  const address = ip?.CTA_IP_V4_DST ?? ip?.CTA_IP_V6_DST
  const port = proto?.CTA_PROTO_DST_PORT
  if (proto?.CTA_PROTO_NUM !== IPPROTO_UDP || address === undefined || port === undefined) return undefined
  return keyText({ address, port })
}
