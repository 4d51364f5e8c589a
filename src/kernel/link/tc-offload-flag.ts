import { decodeFeature, ethtoolFamily, getFeatures } from '../../netlink/genl/ethtool.ts'
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { TcOffload } from '../api/probe.ts'

/** Errors of an interface without ethtool features, and of a kernel before 5.10. */
const noFeatures: ReadonlySet<string> = new Set(['ENOENT', 'EOPNOTSUPP', 'ENODEV'])

/** Reads `hw-tc-offload` (ethtool). `socket` is a generic netlink socket. */
export function tcOffloadOf(socket: NetlinkSocket, ifindex: number): TcOffload {
  try {
    const [answer] = socket.request(getFamily(ethtoolFamily)).messages
    const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
    const [reply] = id === undefined ? [] : socket.request(getFeatures(id, ifindex)).messages
    if (reply === undefined) return 'fixed'
    const { active, changeable } = decodeFeature(reply, 'hw-tc-offload')
    return active ? 'on' : changeable ? 'off' : 'fixed'
  } catch (error) {
    if (error instanceof NetlinkError && noFeatures.has(error.code)) return 'fixed'
    throw error
  }
}
