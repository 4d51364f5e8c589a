/** Finds services of IPVS. A packet to such a service reaches neither a program of the node nor a nat chain. */
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import { getService, ipvsFamily, schedulerOf } from '../../netlink/genl/ipvs.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { isThere } from '../../sys/files.ts'
import { tolerate } from '../errors.ts'
import type { Packet } from './packet.ts'

/** Exists while IPVS is loaded. Tested first, because a request for the generic netlink family would make the kernel load IPVS. */
const loaded = '/proc/net/ip_vs'

/** Returns the service for a packet in ipvsadm's words; undefined when there is none. */
export type FindService = (packet: Packet) => string | undefined

/** Returns a search for services; undefined where IPVS is not loaded. `socket` opens a generic netlink socket. */
export function ipvsServices(socket: () => NetlinkSocket): FindService | undefined {
  if (!isThere(loaded)) return undefined
  const [answer] = tolerate(['ENOENT'], () => socket().request(getFamily(ipvsFamily)).messages) ?? []
  const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
  if (id === undefined) return undefined
  return ({ family, proto, address, port, key }) => {
    const af = family === 4 ? AF.AF_INET : AF.AF_INET6
    const wanted = [port, 0].map((one) => getService(id, { af, protocol: proto, address, port: one }))
    for (const [index, result] of socket().batch(wanted).entries()) {
      if (result instanceof NetlinkError) {
        if (!absent.has(result.code)) throw result
        continue
      }
      const [message] = result.messages
      const scheduler = message === undefined ? undefined : schedulerOf(message)
      const shown = family === 4 ? key.address : `[${key.address}]`
      return `IPVS service ${key.proto} ${shown}:${index === 0 ? port : 0}${scheduler === undefined ? '' : ` ${scheduler}`}`
    }
    return undefined
  }
}

/** Errors when there is no such service. */
const absent: ReadonlySet<string> = new Set(['ESRCH', 'ENOENT'])
