// Uevents that the kernel sends for us: a message with a uevent as its payload goes to the kernel, which adds SEQNUM and sends it to
// the listeners of our network namespace alone, as one of its own (uevent_net_rcv_skb of lib/kobject_uevent.c, Linux 4.18). Needs
// CAP_SYS_ADMIN in the user namespace of the network namespace.
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { NETLINK_KOBJECT_UEVENT } from '../../../src/netlink/uevent.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'

/** A uevent in a test. `fields` beside ACTION, DEVPATH and SEQNUM; together at most about 2,000 bytes. */
export interface TestUevent {
  readonly action: string
  readonly path: string
  readonly fields: Readonly<Record<string, string>>
}

/** NLMSG_MIN_TYPE: the kernel does not look at the type, but takes lower ones for its own. */
const anyType = 0x10

/** Has the kernel send each event `times` times. Every "%" in a path becomes the number of the repetition. */
export function injectUevents(events: readonly TestUevent[], times = 1): void {
  const socket = new NetlinkSocket(openNetlink(NETLINK_KOBJECT_UEVENT))
  try {
    for (let count = 0; count < times; count++)
      for (const { action, path: pattern, fields } of events) {
        const path = pattern.replaceAll('%', String(count))
        const texts = [
          `${action}@${path}`,
          ...Object.entries({ ACTION: action, DEVPATH: path, ...fields }).map(([k, v]) => `${k}=${v}`),
        ]
        const payload = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(''))
        socket.request({ name: 'uevent', type: anyType, flags: 0, payload })
      }
  } finally {
    socket.close()
  }
}
