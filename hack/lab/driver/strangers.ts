// Does to a socket of ours what other programs of the node may do.
import { readFileSync } from 'node:fs'
import { getLink } from '../../../src/netlink/rtnl/link.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { close, sendto, socket } from '../../../src/sys/ffi.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'

/** Sends a made-up refusal of our first request from another socket, then makes that request; what became of both. */
export function forgeAnswer(): { forged: string; answered: string } {
  const before = portIds()
  const transport = openNetlink(0)
  const [portId = 0] = portIds().filter((one) => !before.includes(one))
  const forged = words(() => sendFrom(refusalOf(1, portId), portId))
  const answered = words(() => new NetlinkSocket(transport).request(getLink('lo')))
  transport.close()
  return { forged, answered }
}

/** Of all rtnetlink sockets of our namespace: the second column is the protocol, the third the port id. */
function portIds(): number[] {
  const lines = readFileSync('/proc/self/net/netlink', 'utf8').trim().split('\n').slice(1)
  return lines
    .map((line) => line.split(/\s+/))
    .flatMap(([, protocol, id]) => (protocol === '0' ? [Number(id)] : []))
}

/** NLMSG_ERROR with EPERM for the request with this sequence number. */
function refusalOf(sequence: number, portId: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(36))
  view.setUint32(0, 36, true)
  view.setUint16(4, 2, true)
  view.setUint32(8, sequence, true)
  view.setUint32(12, portId, true)
  view.setInt32(16, -1, true)
  return new Uint8Array(view.buffer)
}

function sendFrom(message: Uint8Array, portId: number): void {
  const [AF_NETLINK, SOCK_RAW] = [16, 3]
  const fd = socket(AF_NETLINK, SOCK_RAW, 0)
  const address = new DataView(new ArrayBuffer(12))
  address.setUint16(0, AF_NETLINK, true)
  address.setUint32(4, portId, true)
  try {
    sendto(fd, message, new Uint8Array(address.buffer))
  } finally {
    close(fd)
  }
}

function words(action: () => unknown): string {
  try {
    action()
    return 'went well'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
