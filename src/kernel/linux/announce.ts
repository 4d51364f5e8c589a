import { notice } from '../../lib/log/notice.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Announce } from '../../ops/op.ts'
import { sendFrames } from '../../sys/packet.ts'
import { sleep } from '../../sys/sleep.ts'
import type { OpenNetns } from '../api/machine.ts'
import { settledAddresses } from '../ip/addressing.ts'
import { announcements } from '../ip/announce.ts'
import { findLink } from '../link/links.ts'

/** Pause between looks for a carrier, in milliseconds. */
const carrierPoll = 5

/**
 * Tells neighbours of the pod's addresses.
 *
 * IPv6 addresses still under duplicate address detection are left to the kernel (sysctl ndisc_notify): a NIC that hands
 * a VF its own multicast back would make the address a duplicate of itself (ndisc_recv_na), and RFC 4862, 5.4 has such
 * an address not yet assigned.
 */
export function announce(
  socket: NetlinkSocket,
  ifindex: number,
  pod: OpenNetns | undefined,
  op: Announce,
): void {
  if (pod === undefined || op.count <= 0) return
  const addresses = settledAddresses(socket, ifindex, op.addresses)
  if (addresses.length === 0) return
  const look = () => findLink(socket, ifindex)
  let link = look()
  for (let waited = 0; link?.carrier === false && waited < op.carrierMs; waited += carrierPoll) {
    sleep(carrierPoll)
    link = look()
  }
  // Without carrier the frames would be dropped; neighbours learn the address from the pod's first own frame then.
  if (link?.carrier !== true) return
  const frames = announcements(op.mac, addresses)
  try {
    for (let sent = 0; sent < op.count; sent++) {
      if (sent > 0) sleep(op.intervalMs)
      sendFrames(pod, link.ifindex, frames)
    }
  } catch (error) {
    // A courtesy to neighbours: a carrier that goes just now is no reason to fail an ADD.
    notice(`vf-attach: Cannot announce ${addresses.join(', ')}: ${String(error)}`)
  }
}
