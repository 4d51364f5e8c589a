/** The socket of a worker whose requests another thread sends. */
import { log } from '../../../lib/log/log.ts'
import { BackgroundSocket } from '../../../netlink/background.ts'
import { openNetlink } from '../../../sys/netlink.ts'
import { poll, pollBits } from '../../../sys/poll.ts'
import { backgroundWriter } from '../../../sys/socket/background-write.ts'
import { kept } from './sockets.ts'

const NETLINK_ROUTE = 0

/**
 * Opens the socket, and keeps it. Where no thread can write to it, requests are sent as in a process of one call. That one would wait for
 * the thread at its end.
 */
export function keepBackground(): void {
  const { fd, recv, close } = openNetlink(NETLINK_ROUTE)
  try {
    const { write, error } = backgroundWriter(fd)
    kept.background = new BackgroundSocket({
      send: write,
      error,
      recv: (milliseconds) => {
        const [bits] = poll([{ fd, events: pollBits.in }], milliseconds)
        return bits === 0 ? undefined : recv()
      },
    })
  } catch (error) {
    close()
    const reason = error instanceof Error ? error.message : String(error)
    log.debug({ reason }, 'no thread sends requests: the DEL of a limit waits for the kernel')
  }
}
