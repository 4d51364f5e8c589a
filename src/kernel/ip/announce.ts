/** Builds the frames that tell a pod's neighbours the MAC of the pod's addresses. Pure bytes. */
import { ipFamily, ipToBytes, parseIp } from '../../lib/ip.ts'
import { macToBytes, parseMac } from '../../lib/mac.ts'

const ETH_P_ARP = 0x0806
const ETH_P_IPV6 = 0x86dd

/**
 * Two frames for an IPv4 address: gratuitous ARP as a request (RFC 5227, announcement) and as a reply, because some neighbours
 * accept only one of the two (Linux: arp_accept, arp_notify). One frame for an IPv6 address: an unsolicited neighbour
 * advertisement (RFC 4861, 7.2.6).
 */
export function announcements(mac: string, addresses: readonly string[]): Uint8Array[] {
  const source = macToBytes(parseMac(mac))
  return addresses.flatMap((text) => {
    const address = ipToBytes(parseIp(text))
    return ipFamily(text) === 4
      ? [arpRequest, arpReply].map((operation) => gratuitousArp(operation, source, address))
      : [unsolicitedNa(source, address)]
  })
}

/** Operations of RFC 826. */
const arpRequest = 1
const arpReply = 2

/** Sender and target are one address. The target MAC is 0 in a request, and the sender's MAC in a reply (RFC 5944, 4.6). */
function gratuitousArp(operation: number, mac: Uint8Array, address: Uint8Array): Uint8Array {
  const frame = new Uint8Array(60)
  const view = new DataView(frame.buffer)
  frame.fill(0xff, 0, 6)
  frame.set(mac, 6)
  view.setUint16(12, ETH_P_ARP)
  view.setUint16(14, 1) // Ethernet
  view.setUint16(16, 0x0800) // IPv4
  frame.set([6, 4], 18)
  view.setUint16(20, operation)
  frame.set(mac, 22)
  frame.set(address, 28)
  if (operation === arpReply) frame.set(mac, 32)
  frame.set(address, 38)
  return frame
}

/** To all nodes (ff02::1), override flag set, with the target link-layer address option. */
function unsolicitedNa(mac: Uint8Array, address: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + 40 + 32)
  const view = new DataView(frame.buffer)
  frame.set([0x33, 0x33, 0, 0, 0, 1], 0)
  frame.set(mac, 6)
  view.setUint16(12, ETH_P_IPV6)
  view.setUint32(14, 0x60000000)
  view.setUint16(18, 32)
  frame.set([58, 255], 20) // ICMPv6, hop limit 255
  frame.set(address, 22)
  frame.set([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 38)
  frame.set([136, 0], 54) // neighbour advertisement
  view.setUint32(58, 0x20000000) // override
  frame.set(address, 62)
  frame.set([2, 1], 78)
  frame.set(mac, 80)
  view.setUint16(56, icmpv6Checksum(frame.subarray(22, 54), frame.subarray(54)))
  return frame
}

/** RFC 4443, 2.3: over the pseudo header (addresses, length, next header) and the message. */
function icmpv6Checksum(addresses: Uint8Array, message: Uint8Array): number {
  let sum = message.length + 58
  for (const part of [addresses, message]) {
    const view = new DataView(part.buffer, part.byteOffset, part.length)
    for (let at = 0; at < part.length; at += 2) sum += view.getUint16(at)
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
