/** Dumps with a limit. A pod can create any number of routes and policy rules, and a verb must not read all of them. */
import type { Message, Request } from '../../netlink/message.ts'
import { NetlinkError } from '../../netlink/socket.ts'
import type { OpenSocket } from '../link/sides.ts'

const EOVERFLOW = 75
/** Limit of a dump: about ten thousand routes or policy rules. The first datagram has 4 KiB, the others up to 32 KiB. */
export const mostDatagrams = 128

/**
 * All objects of a dump. Opens a socket for the dump alone, because the rest of a dump is left unread at the limit. `what` names
 * the objects in the error.
 * @throws NetlinkError EOVERFLOW when the dump has more than {@link mostDatagrams} datagrams
 */
export function atMost(open: OpenSocket, request: Request, what: string): readonly Message[] {
  const socket = open()
  try {
    const { found, isWhole } = socket.first(request, mostDatagrams)
    if (isWhole) return found
    const extack = `more than ${found.length} ${what} exist, and no more are read`
    throw new NetlinkError({ operation: request.name, errno: EOVERFLOW, extack })
  } finally {
    socket.close()
  }
}
