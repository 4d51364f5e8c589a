// Generic netlink: struct genlmsghdr and the controller that knows the families' numbers. linux/genetlink.h
import { attrs } from '../codec/attrs.ts'
import { indexed } from '../codec/lists.ts'
import { struct } from '../codec/struct.ts'
import { cstr, u8, u16, u32 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'

/** NETLINK_GENERIC, linux/netlink.h. */
export const NETLINK_GENERIC = 16
/** GENL_ID_CTRL: message type of the controller itself, and the number of its multicast group "notify" (genl_allocate_reserve_groups). */
export const GENL_ID_CTRL = 16
/** CTRL_CMD_*; NEWFAMILY is the answer to GETFAMILY too. */
export const CTRL_CMD = { CTRL_CMD_NEWFAMILY: 1, CTRL_CMD_GETFAMILY: 3 } as const

/** struct genlmsghdr, linux/genetlink.h. */
export const genlmsghdr = struct('genlmsghdr', [
  ['cmd', u8],
  ['version', u8],
  ['reserved', u16],
])

/** CTRL_ATTR_MCAST_GRP_*: a multicast group of a family. */
export const ctrlGroup = attrs('CTRL_ATTR_MCAST_GRP', {
  CTRL_ATTR_MCAST_GRP_NAME: [1, cstr(16)],
  CTRL_ATTR_MCAST_GRP_ID: [2, u32],
})

/** CTRL_ATTR_* of linux/genetlink.h, as far as a look-up by name needs them. */
export const ctrl = attrs('CTRL_ATTR', {
  CTRL_ATTR_FAMILY_ID: [1, u16],
  CTRL_ATTR_FAMILY_NAME: [2, cstr(16)],
  CTRL_ATTR_VERSION: [3, u32],
  CTRL_ATTR_MCAST_GROUPS: [7, indexed('CTRL_ATTR_MCAST_GROUPS', ctrlGroup, 'noflag'), 'noflag'],
})

/** The payload of controller messages. */
export const ctrlMessage = family(genlmsghdr, ctrl)

/** Asks for the number of the family `name`; ENOENT when the kernel has none. */
export function getFamily(name: string): Request {
  return ctrlMessage.request('CTRL_CMD_GETFAMILY', GENL_ID_CTRL, 0, {
    cmd: CTRL_CMD.CTRL_CMD_GETFAMILY,
    version: 1,
    CTRL_ATTR_FAMILY_NAME: name,
  })
}

/** A family as the controller tells of it. */
export interface GenericFamily {
  readonly name: string
  /** The type of its messages. */
  readonly id: number
  /** Numbers of its multicast groups by their names, for NETLINK_ADD_MEMBERSHIP. */
  readonly groups: ReadonlyMap<string, number>
}

/** The family in CTRL_CMD_NEWFAMILY; undefined for other messages of the controller. @throws RangeError */
export function decodeFamily(message: Message): GenericFamily | undefined {
  if (message.type !== GENL_ID_CTRL) return undefined
  const value = ctrlMessage.decode(message.payload)
  const { CTRL_ATTR_FAMILY_NAME: name, CTRL_ATTR_FAMILY_ID: id } = value
  if (value.cmd !== CTRL_CMD.CTRL_CMD_NEWFAMILY || name === undefined || id === undefined) return undefined
  const groups = new Map<string, number>()
  for (const [, one] of value.CTRL_ATTR_MCAST_GROUPS ?? []) {
    const { CTRL_ATTR_MCAST_GRP_NAME: group, CTRL_ATTR_MCAST_GRP_ID: number } = one
    if (group !== undefined && number !== undefined) groups.set(group, number)
  }
  return { name, id, groups }
}
