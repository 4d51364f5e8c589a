/** An Ethernet address in canonical form: six lower-case octets, `02:00:5e:10:00:01`. */
export type Mac = string & { readonly __mac: true }

/**
 * Parses a 48-bit Ethernet address with one separator throughout: `aa:bb:cc:dd:ee:ff`, `AA-BB-CC-DD-EE-FF`, or Cisco's
 * `aabb.ccdd.eeff`. Throws RangeError for anything else, 64-bit and InfiniBand addresses included.
 */
export function parseMac(text: string): Mac {
  const mac = tryParseMac(text)
  if (mac === undefined) {
    throw new RangeError(`Cannot parse MAC address "${text}": need 6 octets as in aa:bb:cc:dd:ee:ff`)
  }
  return mac
}

/** As parseMac, with undefined instead of an error. */
export function tryParseMac(text: string): Mac | undefined {
  const bytes = parseOctets(text)
  return bytes === undefined ? undefined : macFromBytes(bytes)
}

/** The six octets of an address, in wire order. Throws RangeError for text that is no address. */
export function macToBytes(mac: string): Uint8Array {
  const bytes = parseOctets(mac)
  if (bytes === undefined) throw new RangeError(`Cannot parse MAC address "${mac}"`)
  return bytes
}

/** Prints six octets in wire order as an address. Throws RangeError for another length. */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new RangeError(`Cannot read a MAC address from ${bytes.length} bytes: need 6`)
  return hexOctets(bytes, 0, 6) as Mac
}

/** True for group addresses (lowest bit of the first octet), the broadcast address included: no interface may have one. */
export function isMulticast(mac: Mac): boolean {
  return (hexDigit(mac.charCodeAt(1)) & 1) === 1
}

/** The address that a driver, such as a PF's, reports for a VF to which no administrator has given one. */
export const noMac = '00:00:00:00:00:00'

/** True for {@link noMac}. */
export function isZero(mac: Mac): boolean {
  return mac === noMac
}

/** True for an address of 20 octets, as IPoIB has it (RFC 4391): the number of a queue pair, then the port's own address. */
export function isInfiniband(mac: string): boolean {
  return mac.length === 59
}

/** True for addresses of the same port: the number of the queue pair, which changes each time that a driver starts, does not count. */
export function isSameAddress(one: string, other: string | undefined): boolean {
  if (one === other || other === undefined) return one === other
  return isInfiniband(one) && isInfiniband(other) && one.slice(12) === other.slice(12)
}

/** bytes[at, end) as two lower-case hexadecimal digits each, with colons. */
export function hexOctets(bytes: Uint8Array, at: number, end: number): string {
  let text = ''
  for (let i = at; i < end; i++) {
    const octet = bytes[i] as number
    text += (i > at ? ':' : '') + (octet < 16 ? '0' : '') + octet.toString(16)
  }
  return text
}

/** The value of a hexadecimal digit by its character code; -1 for another character. */
export function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}

/** Written out by hand: the first use of a regular expression costs a short-lived process more than all the rest here. */
function parseOctets(text: string): Uint8Array | undefined {
  const separator = text.charAt(text.length === 14 ? 4 : 2)
  const perGroup = separator === '.' ? 2 : 1
  if (text.length !== 12 + 6 / perGroup - 1 || (separator !== '.' && separator !== ':' && separator !== '-'))
    return undefined
  const bytes = new Uint8Array(6)
  let at = 0
  for (let i = 0; i < 6; i++) {
    if (i > 0 && i % perGroup === 0 && text.charAt(at++) !== separator) return undefined
    const high = hexDigit(text.charCodeAt(at++))
    const low = hexDigit(text.charCodeAt(at++))
    if (high < 0 || low < 0) return undefined
    bytes[i] = high * 16 + low
  }
  return bytes
}
