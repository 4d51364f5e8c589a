/** Deletes an interface. */
import type { BackgroundSocket } from '../../netlink/background.ts'
import { deleteLink, getLink } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'

/** Pause between two looks, in milliseconds. */
const pause = 1

/**
 * Deletes an interface. Once nobody can see it any more, the kernel waits until all processors have passed a quiet state before it gives
 * the memory back (netdev_run_todo() of net/core/dev.c), which takes some 10 ms. With `background` another thread waits for that, and this
 * returns as soon as the interface is gone.
 * @throws NetlinkError
 */
export function deleteInterface(socket: NetlinkSocket, ifindex: number, background?: BackgroundSocket): void {
  const request = deleteLink(ifindex)
  if (background?.begin(request) !== true) {
    socket.request(request)
    return
  }
  while (isThere(socket, ifindex)) if (background.isDone(pause)) return
}

function isThere(socket: NetlinkSocket, ifindex: number): boolean {
  const [answer] = socket.batch([getLink(ifindex)])
  if (!(answer instanceof NetlinkError)) return true
  if (answer.code === 'ENODEV') return false
  throw answer
}
