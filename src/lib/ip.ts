import { hexDigit } from './mac.ts'

/** An IPv4 address as dotted quad or an IPv6 address in the canonical form of RFC 5952. */
export type Ip = string & { readonly __ip: true }
/** An address with its prefix length; host bits are kept (`10.1.0.5/24`), as interface addresses have them. */
export interface Cidr {
  readonly ip: Ip
  /** 0-32 for IPv4, 0-128 for IPv6. */
  readonly prefix: number
}

/** Parses an address of either family. Throws RangeError; parseIpv4 and parseIpv6 say which forms are accepted. */
export function parseIp(text: string): Ip {
  const ip = tryParseIp(text)
  if (ip === undefined) throw new RangeError(`Cannot parse IP address "${text}"`)
  return ip
}

/** As parseIp, with undefined instead of an error. */
export function tryParseIp(text: string): Ip | undefined {
  const bytes = text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text)
  return bytes === undefined ? undefined : ipFromBytes(bytes)
}

/** Parses a dotted quad: four decimal numbers 0-255. Leading zeros are refused, because some readers take them for octal. */
export function parseIpv4(text: string): Ip {
  const bytes = ipv4Bytes(text)
  if (bytes === undefined) throw new RangeError(`Cannot parse IPv4 address "${text}"`)
  return ipFromBytes(bytes)
}

/** Parses the text forms of RFC 4291 §2.2, IPv4 tail included. A zone (`%eth0`) is refused, because it has a meaning on one host only. */
export function parseIpv6(text: string): Ip {
  const bytes = ipv6Bytes(text)
  if (bytes === undefined) throw new RangeError(`Cannot parse IPv6 address "${text}"`)
  return ipFromBytes(bytes)
}

/** Parses `address/prefix`. Throws RangeError if either part is malformed or the prefix is longer than the address. */
export function parseCidr(text: string): Cidr {
  const cidr = tryParseCidr(text)
  if (cidr === undefined)
    throw new RangeError(`Cannot parse "${text}": need an address and a prefix length, as in 10.0.0.1/24`)
  return cidr
}

/** As parseCidr, with undefined instead of an error. */
export function tryParseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const ip = tryParseIp(text.slice(0, slash))
  const prefix = decimal(text, slash + 1, text.length)
  if (ip === undefined || prefix < 0) return undefined
  return prefix > (ipFamily(ip) === 4 ? 32 : 128) ? undefined : { ip, prefix }
}

/** `10.1.0.5/24` */
export function formatCidr(cidr: Cidr): string {
  return `${cidr.ip}/${cidr.prefix}`
}

/** The same network with all host bits zero: 10.1.0.5/24 -> 10.1.0.0/24. */
export function networkOf(cidr: Cidr): Cidr {
  const bytes = ipToBytes(cidr.ip)
  for (let i = 0; i < bytes.length; i++) {
    const kept = Math.min(8, Math.max(0, cidr.prefix - 8 * i))
    bytes[i] = (bytes[i] as number) & (0xff00 >> kept)
  }
  return { ip: ipFromBytes(bytes), prefix: cidr.prefix }
}

/** True if the network of `cidr` holds `ip`. IPv4 addresses and IPv4-mapped IPv6 addresses are different families. */
export function contains(cidr: Cidr, ip: Ip): boolean {
  if (ipFamily(cidr.ip) !== ipFamily(ip)) return false
  return networkOf(cidr).ip === networkOf({ ip, prefix: cidr.prefix }).ip
}

/** True if some address is in both networks: then the shorter prefix holds the other network. */
export function overlaps(one: Cidr, other: Cidr): boolean {
  return one.prefix <= other.prefix ? contains(one, other.ip) : contains(other, one.ip)
}

/** 4 or 6. IPv4-mapped IPv6 addresses are 6. */
export function ipFamily(ip: string): 4 | 6 {
  return ip.includes(':') ? 6 : 4
}

/** The IPv4 address in an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`), as Go reads it; any other address unchanged. */
export function withoutMapping(ip: Ip): Ip {
  const prefix = '::ffff:'
  return ip.startsWith(prefix) && ip.includes('.') ? parseIpv4(ip.slice(prefix.length)) : ip
}

/** Order for sorting: IPv4 before IPv6, then by number. */
export function compareIp(a: Ip, b: Ip): number {
  const left = ipToBytes(a)
  const right = ipToBytes(b)
  if (left.length !== right.length) return left.length - right.length
  for (let i = 0; i < left.length; i++) {
    const difference = (left[i] as number) - (right[i] as number)
    if (difference !== 0) return difference
  }
  return 0
}

/** 4 or 16 bytes in wire order. Throws RangeError for text that is no address. */
export function ipToBytes(text: string): Uint8Array {
  const bytes = text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text)
  if (bytes === undefined) throw new RangeError(`Cannot parse IP address "${text}"`)
  return bytes
}

/** The canonical text of `bytes[at, at + length)`; length is 4 or 16 and defaults to all bytes. Throws RangeError otherwise. */
export function ipFromBytes(bytes: Uint8Array, at = 0, length = bytes.length - at): Ip {
  if (length === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}` as Ip
  if (length === 16) return ipv6Text(bytes, at)
  throw new RangeError(`Cannot read an IP address from ${length} bytes: need 4 or 16`)
}

// The parsers are written out by hand: the first use of a regular expression costs a short-lived process more than all
// the rest here.

function ipv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4)
  let at = 0
  for (let i = 0; i < 4; i++) {
    const dot = i === 3 ? text.length : text.indexOf('.', at)
    const value = decimal(text, at, dot)
    if (value < 0 || value > 255) return undefined
    bytes[i] = value
    at = dot + 1
  }
  return bytes
}

/** The decimal number text[at, end), without sign or leading zeros, of at most three digits; -1 for anything else. */
function decimal(text: string, at: number, end: number): number {
  if (end <= at || end - at > 3 || (end - at > 1 && text.charAt(at) === '0')) return -1
  let value = 0
  for (let i = at; i < end; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** One group of an IPv6 address: one to four hexadecimal digits; -1 for anything else. */
function group(text: string): number {
  if (text.length < 1 || text.length > 4) return -1
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const digit = hexDigit(text.charCodeAt(i))
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const gap = text.indexOf('::')
  if (gap < 0) {
    const groups = ipv6Groups(text)
    return groups?.length === 8 ? bytesOf(groups) : undefined
  }
  const head = gap === 0 ? [] : ipv6Groups(text.slice(0, gap), false)
  const tail = gap + 2 === text.length ? [] : ipv6Groups(text.slice(gap + 2))
  // RFC 4291: "::" stands for one or more groups; accepted for exactly one too, refused for none.
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined
  return bytesOf([...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail])
}

/** 16-bit groups of one side of "::"; a dotted quad may only end the address, never the part before "::". */
function ipv6Groups(text: string, mayEndInQuad = true): number[] | undefined {
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    const value = group(part)
    if (value >= 0) groups.push(value)
    else {
      const v4 = mayEndInQuad && i === parts.length - 1 ? ipv4Bytes(part) : undefined
      if (v4 === undefined) return undefined
      groups.push(((v4[0] as number) << 8) | (v4[1] as number), ((v4[2] as number) << 8) | (v4[3] as number))
    }
  }
  return groups.length > 8 ? undefined : groups
}

function bytesOf(groups: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(16)
  groups.forEach((value, i) => {
    bytes[2 * i] = value >> 8
    bytes[2 * i + 1] = value
  })
  return bytes
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::", IPv4-mapped as quad. */
function ipv6Text(bytes: Uint8Array, at: number): Ip {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2)
    groups.push(((bytes[at + i] as number) << 8) | (bytes[at + i + 1] as number))
  if (groups[5] === 0xffff && groups.slice(0, 5).every((value) => value === 0)) {
    return `::ffff:${ipFromBytes(bytes, at + 12, 4)}` as Ip
  }
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > length) {
      start = i
      length = end - i
    }
    if (end > i) i = end
  }
  const hex = (part: readonly number[]) => part.map((value) => value.toString(16)).join(':')
  if (start < 0) return hex(groups) as Ip
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}` as Ip
}
