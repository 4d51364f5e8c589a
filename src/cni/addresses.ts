/** Judges the addresses in a result: the protocol passes any text on, but who hands one to the kernel must know better. */
import { tryParseCidr, tryParseIp } from '../lib/ip.ts'
import { stringify } from '../lib/json.ts'
import { CniError, code } from './error.ts'
import type { Result } from './result.ts'

/**
 * Makes sure that every address and destination has its prefix length and every gateway is an address.
 * @param source what the result is, for the message: `prevResult`
 * @throws CniError 6 that names the first one that is not
 */
export function checkAddresses(source: string, { ips = [], routes = [] }: Result): void {
  for (const [index, { address, gateway }] of ips.entries()) {
    needCidr(`${source}.ips[${index}].address`, address)
    if (gateway !== undefined) needIp(`${source}.ips[${index}].gateway`, gateway)
  }
  for (const [index, { dst, gw }] of routes.entries()) {
    needCidr(`${source}.routes[${index}].dst`, dst)
    if (gw !== undefined) needIp(`${source}.routes[${index}].gw`, gw)
  }
}

function needCidr(at: string, text: string): void {
  if (tryParseCidr(text) === undefined) throw undecodable(at, text, 'an address and a prefix length')
}

function needIp(at: string, text: string): void {
  if (tryParseIp(text) === undefined) throw undecodable(at, text, 'an address')
}

function undecodable(at: string, text: string, wanted: string): CniError {
  return new CniError(code.decodeFailure, `Cannot use ${at} ${stringify(text)}: must be ${wanted}`)
}
