// Raw frames that no IP stack would send. In: addresses, tags. Out: bytes as hex.
import { ipFamily, ipToBytes, parseIp } from '../../src/lib/ip.ts'

/** A frame. `tags` are EtherType and VLAN, from the outermost tag on. */
export interface RawFrame {
  readonly from: string
  readonly to: string
  readonly protocol: 'tcp' | 'udp'
  readonly tags?: readonly (readonly [etherType: number, vlan: number])[]
}

/** A port without a listener. */
const PORT = 9999
const SOURCE_PORT = 40_000
const numbers = { tcp: 6, udp: 17, icmp: 1 } as const

/** The frame to a MAC address: a TCP SYN, or a datagram of 4 bytes. */
export function rawFrame(toMac: string, { from, to, protocol, tags = [] }: RawFrame): string {
  return frame(toMac, tags, packet(from, to, protocol, protocol === 'tcp' ? syn() : datagram(from, to)))
}

/** An echo request. */
export function echoRequest(toMac: string, from: string, to: string): string {
  const message = Buffer.from([8, 0, 0, 0, 0x76, 0x66, 0, 1, 0, 0, 0, 0])
  message.writeUInt16BE(checksum(message), 2)
  return frame(toMac, [], packet(from, to, 'icmp', message))
}

function frame(toMac: string, tags: RawFrame['tags'] = [], ip: Buffer): string {
  const words = tags.flat()
  words.push(ip[0] === 0x60 ? 0x86dd : 0x0800)
  const types = Buffer.alloc(2 * words.length)
  words.forEach((word, at) => {
    types.writeUInt16BE(word, 2 * at)
  })
  const mac = Buffer.from(toMac.replaceAll(':', ''), 'hex')
  return Buffer.concat([mac, Buffer.from('020000009999', 'hex'), types, ip]).toString('hex')
}

function packet(from: string, to: string, protocol: keyof typeof numbers, payload: Buffer): Buffer {
  const addresses = Buffer.concat([from, to].map((ip) => ipToBytes(parseIp(ip))))
  if (ipFamily(parseIp(from)) === 6) {
    const header = Buffer.from([0x60, 0, 0, 0, 0, payload.length, numbers[protocol], 64])
    return Buffer.concat([header, addresses, payload])
  }
  const header = Buffer.concat([Buffer.alloc(12), addresses])
  header[0] = 0x45
  header.writeUInt16BE(header.length + payload.length, 2)
  header[8] = 64
  header[9] = numbers[protocol]
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, payload])
}

/** A SYN with a wrong checksum. TCP notices the checksum only after it has counted the segment. */
function syn(): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(SOURCE_PORT, 0)
  header.writeUInt16BE(PORT, 2)
  header[12] = 0x50
  header[13] = 2
  return header
}

/** A UDP datagram, with a checksum in IPv6, which requires one. */
function datagram(from: string, to: string): Buffer {
  const udp = Buffer.alloc(12)
  udp.writeUInt16BE(SOURCE_PORT, 0)
  udp.writeUInt16BE(PORT, 2)
  udp.writeUInt16BE(udp.length, 4)
  if (ipFamily(parseIp(from)) === 6) {
    const [source, destination] = [from, to].map((ip) => ipToBytes(parseIp(ip)))
    const pseudo = Buffer.from([0, 0, 0, udp.length, 0, 0, 0, numbers.udp])
    const sum = checksum(Buffer.concat([source ?? udp, destination ?? udp, pseudo, udp]))
    udp.writeUInt16BE(sum === 0 ? 0xffff : sum, 6)
  }
  return udp
}

/** RFC 1071 */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
