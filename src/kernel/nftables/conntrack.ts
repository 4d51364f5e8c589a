/** Deletes connection tracking entries that lead to the wrong place after a port map has changed. */
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
 * Makes the kernel forget UDP connections to these host ports. Without this, a client that keeps sending from one port reaches
 * the old destination for ever. A failure gives a notice and no error, because only clients depend on this step.
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

/** Limit for one dump per port: the kernel walks through all connections for each dump. */
const mostPorts = 16

/** A dump of connections, and the keys to find in it. */
interface Look {
  readonly asked: { readonly family: number; readonly address?: string; readonly port?: number }
  readonly own: ReadonlySet<string>
}

/** The fewest dumps: one per family and port, or one for the whole family. */
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

/** The original destination of a UDP connection, in the form of {@link keyText}. */
function destination({ CTA_TUPLE_ORIG: original }: Connection): string | undefined {
  const { CTA_TUPLE_IP: ip, CTA_TUPLE_PROTO: proto } = original ?? {}
  const address = ip?.CTA_IP_V4_DST ?? ip?.CTA_IP_V6_DST
  const port = proto?.CTA_PROTO_DST_PORT
  if (proto?.CTA_PROTO_NUM !== IPPROTO_UDP || address === undefined || port === undefined) return undefined
  return keyText({ address, port })
}
