/** Checks the addresses of a result. The protocol passes any text on; a plugin that hands an address to the kernel checks it first. */
import { tryParseCidr, tryParseIp } from '../lib/ip.ts'
import { shown } from '../lib/json.ts'
import { CniError, code } from './error.ts'
import type { Result } from './result.ts'

/**
 * Requires a prefix length on every address and destination, an IP address as every gateway, and route numbers that fit
 * into the kernel's fields.
 * @param source name of the result, for the message: `prevResult`
 * @throws CniError 6 that names the first invalid value
 */
export function checkAddresses(source: string, { ips = [], routes = [] }: Result): void {
  for (const [index, { address, gateway }] of ips.entries()) {
    needCidr(`${source}.ips[${index}].address`, address)
    if (gateway !== undefined) needIp(`${source}.ips[${index}].gateway`, gateway)
  }
  for (const [index, route] of routes.entries()) {
    const at = `${source}.routes[${index}]`
    needCidr(`${at}.dst`, route.dst)
    if (route.gw !== undefined) needIp(`${at}.gw`, route.gw)
    for (const [key, highest] of numbers) needNumber(`${at}.${key}`, route[key], highest)
  }
}

/** Highest values of a route's numbers: rtm_scope has 8 bits, the others have 32 (linux/rtnetlink.h). */
const numbers = [
  ['mtu', 0xffffffff],
  ['advmss', 0xffffffff],
  ['priority', 0xffffffff],
  ['table', 0xffffffff],
  ['scope', 255],
] as const

function needNumber(at: string, value: number | undefined, highest: number): void {
  if (value === undefined || (value >= 0 && value <= highest)) return
  throw undecodable(at, value, `an integer from 0 to ${highest}`)
}

function needCidr(at: string, text: string): void {
  if (tryParseCidr(text) === undefined) throw undecodable(at, text, 'an address and a prefix length')
}

function needIp(at: string, text: string): void {
  if (tryParseIp(text) === undefined) throw undecodable(at, text, 'an address')
}

function undecodable(at: string, value: string | number, wanted: string): CniError {
  return new CniError(code.decodeFailure, `Cannot use ${at} ${shown(value)}: must be ${wanted}`)
}
