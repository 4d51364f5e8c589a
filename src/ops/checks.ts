/** Small judgements about values that were read from a file: what shape.ts puts the forms of operations together from. */
import { isInterfaceName, isLinkName } from '../lib/interface-name.ts'
import { tryParseCidr, tryParseIp } from '../lib/ip.ts'
import { tryParseMac } from '../lib/mac.ts'
import { parsePciAddress } from '../lib/pci-address.ts'

/** True for a value that is one. */
export type Check = (value: unknown) => boolean
/** A check for each field of T, those that may be absent too. */
export type Fields<T> = { readonly [K in keyof T]-?: Check }

/** True for an object, of whatever kind. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** True for an object whose fields are all as they must be; others may be there too. */
export function hasFields(
  value: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Check>>,
): boolean {
  return Object.entries(fields).every(([key, check]) => check(value[key]))
}

/** A check of an object with the fields of T. */
export function object<T>(fields: Fields<T>): Check {
  return (value) => isRecord(value) && hasFields(value, fields)
}

function parsed(parse: (text: string) => unknown): Check {
  return (value) => typeof value === 'string' && parse(value) !== undefined
}

/** What may be absent. */
export const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
/** An array of such values. */
export const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)
/** An integer from `low` to `high`, both included. */
export const integer =
  (low: number, high: number): Check =>
  (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high
/** One of these words. */
export const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    typeof value === 'string' && words.includes(value)
/** Text that a C string can hold. */
export const text: Check = (value) => typeof value === 'string' && !value.includes('\0')
export const flag: Check = (value) => typeof value === 'boolean'
/** What an interface can be asked for by. */
export const named: Check = (value) => typeof value === 'string' && isLinkName(value)
/** What an interface can be called. */
export const newName: Check = (value) => typeof value === 'string' && isInterfaceName(value)

export const u32 = integer(0, 0xffffffff)
/** struct ifinfomsg has it with a sign. */
export const ifindex = integer(1, 0x7fffffff)
export const port = integer(0, 65535)
export const vlanId = integer(0, 4095)
/** Rates and bursts: the kernel counts them in 64 bits, plans in whole numbers. */
export const amount: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0
export const ip = parsed(tryParseIp)
export const cidr = parsed(tryParseCidr)
export const mac = parsed(tryParseMac)
export const side = oneOf('host', 'pod')
export const proto = oneOf('tcp', 'udp', 'sctp')
export const offload = oneOf('off', 'prefer', 'require')
/** A cookie: 1 to 16 bytes (TCA_ACT_COOKIE). */
export const hex: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2}){1,16}$/.test(value)
/** A message of netlink, without its header. */
export const message: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2})+$/.test(value)
/** Below /proc/sys and nowhere else. */
export const sysctl: Check = (value) =>
  typeof value === 'string' &&
  value.startsWith('net/') &&
  !value.includes('\0') &&
  !/(^|\/)\.\.(\/|$)/.test(value)

/** The address of a PCI function. */
export const pci = parsed(parsePciAddress)
