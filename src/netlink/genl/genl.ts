// Generic netlink: struct genlmsghdr and the controller that knows the families' numbers. linux/genetlink.h
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { cstr, u8, u16, u32 } from '../codec/wire.ts'
import { family, type Request } from '../message.ts'

/** NETLINK_GENERIC, linux/netlink.h. */
export const NETLINK_GENERIC = 16
/** GENL_ID_CTRL: message type of the controller itself. */
export const GENL_ID_CTRL = 16
/** CTRL_CMD_GETFAMILY */
export const CTRL_CMD = { CTRL_CMD_GETFAMILY: 3 } as const

/** struct genlmsghdr, linux/genetlink.h. */
export const genlmsghdr = struct('genlmsghdr', [
  ['cmd', u8],
  ['version', u8],
  ['reserved', u16],
])

/** CTRL_ATTR_* of linux/genetlink.h, as far as a look-up by name needs them. */
export const ctrl = attrs('CTRL_ATTR', {
  CTRL_ATTR_FAMILY_ID: [1, u16],
  CTRL_ATTR_FAMILY_NAME: [2, cstr(16)],
  CTRL_ATTR_VERSION: [3, u32],
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
