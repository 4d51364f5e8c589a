// ethtool: features of an interface. linux/ethtool_netlink.h
import { attrs } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { bytes, cstr, flag, u32, type Value } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { genlmsghdr } from './genl.ts'

/** ETHTOOL_GENL_NAME */
export const ethtoolFamily = 'ethtool'
/** ETHTOOL_MSG_* of linux/ethtool_netlink.h. */
export const ETHTOOL_MSG = { ETHTOOL_MSG_FEATURES_GET: 11 } as const

/** ETHTOOL_A_HEADER_*: names the interface. */
export const ethtoolHeader = attrs('ETHTOOL_A_HEADER', () => ({
  ETHTOOL_A_HEADER_DEV_INDEX: [1, u32],
  ETHTOOL_A_HEADER_DEV_NAME: [2, cstr(16)],
  ETHTOOL_A_HEADER_FLAGS: [3, u32],
}))

/** ETHTOOL_A_BITSET_BIT_*. The name of a bit is ABI, its number is not. */
export const bitsetBit = attrs('ETHTOOL_A_BITSET_BIT', () => ({
  ETHTOOL_A_BITSET_BIT_INDEX: [1, u32],
  ETHTOOL_A_BITSET_BIT_NAME: [2, cstr(64)],
  ETHTOOL_A_BITSET_BIT_VALUE: [3, flag],
}))

/** ETHTOOL_A_BITSET_*. The verbose form lists bits; without NOMASK it lists those that are off too. */
export const bitset = attrs('ETHTOOL_A_BITSET', () => ({
  ETHTOOL_A_BITSET_NOMASK: [1, flag],
  ETHTOOL_A_BITSET_SIZE: [2, u32],
  ETHTOOL_A_BITSET_BITS: [3, repeated('ETHTOOL_A_BITSET_BITS_BIT', [1, bitsetBit])],
  ETHTOOL_A_BITSET_VALUE: [4, bytes()],
  ETHTOOL_A_BITSET_MASK: [5, bytes()],
}))

/** ETHTOOL_A_FEATURES_*: features that the hardware has, that were requested, that are on, that can't be changed. */
export const features = attrs('ETHTOOL_A_FEATURES', () => ({
  ETHTOOL_A_FEATURES_HEADER: [1, ethtoolHeader],
  ETHTOOL_A_FEATURES_HW: [2, bitset],
  ETHTOOL_A_FEATURES_WANTED: [3, bitset],
  ETHTOOL_A_FEATURES_ACTIVE: [4, bitset],
  ETHTOOL_A_FEATURES_NOCHANGE: [5, bitset],
}))

/** The payload of ETHTOOL_MSG_FEATURES_GET and its reply. */
export const featuresMessage = family(genlmsghdr, features)

/** Asks for the features of one interface, bits by name; ENODEV without it, EOPNOTSUPP without ethtool operations. */
export function getFeatures(familyId: number, ifindex: number): Request {
  return featuresMessage.request('ETHTOOL_MSG_FEATURES_GET', familyId, 0, {
    cmd: ETHTOOL_MSG.ETHTOOL_MSG_FEATURES_GET,
    version: 1,
    ETHTOOL_A_FEATURES_HEADER: { ETHTOOL_A_HEADER_DEV_INDEX: ifindex },
  })
}

/** The state of the feature `name`: on or off, and changeable or not. */
export function decodeFeature(
  message: Message,
  name: string,
): { readonly active: boolean; readonly changeable: boolean } {
  const found = featuresMessage.decode(message.payload)
  return {
    active: hasBit(found.ETHTOOL_A_FEATURES_ACTIVE, name),
    changeable: hasBit(found.ETHTOOL_A_FEATURES_HW, name),
  }
}

function hasBit(set: Value<typeof bitset> | undefined, name: string): boolean {
  const bit = set?.ETHTOOL_A_BITSET_BITS?.find((one) => one.ETHTOOL_A_BITSET_BIT_NAME === name)
  // With NOMASK only the bits that are on are listed. Without it all bits are listed, and those that are on have the flag.
  return (
    bit !== undefined && (set?.ETHTOOL_A_BITSET_NOMASK === true || bit.ETHTOOL_A_BITSET_BIT_VALUE === true)
  )
}
