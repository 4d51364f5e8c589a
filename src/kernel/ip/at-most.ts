/** Dumps of what a pod can have any number of: read as far as it can have by anybody's right, and then given up. */
import type { Message, Request } from '../../netlink/message.ts'
import { NetlinkError } from '../../netlink/socket.ts'
import type { OpenSocket } from '../tc/clsact.ts'

const EOVERFLOW = 75
/** The first on a new socket has less than 4 KiB, the others up to 32 KiB: some ten thousand routes or rules. */
export const mostDatagrams = 128

/**
 * All objects of a dump, on a socket of its own; `what` names them for people.
 * @throws NetlinkError EOVERFLOW when there are more than anybody reads
 */
export function atMost(open: OpenSocket, request: Request, what: string): readonly Message[] {
  const socket = open()
  try {
    const { found, isWhole } = socket.first(request, mostDatagrams)
    if (isWhole) return found
    const extack = `there are more than ${found.length} ${what}, so many are not read`
    throw new NetlinkError({ operation: request.name, errno: EOVERFLOW, extack })
  } finally {
    socket.close()
  }
}
