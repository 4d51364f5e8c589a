// devlink: the eSwitch of a PF, and the rates of its ports. linux/devlink.h
import { attrs } from '../codec/attrs.ts'
import { cstr, u16, u32, u64 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { genlmsghdr } from './genl.ts'

/** DEVLINK_GENL_NAME */
export const devlinkFamily = 'devlink'
/** DEVLINK_GENL_MCGRP_CONFIG_NAME: the multicast group of notifications. */
export const devlinkGroup = 'config'
/** DEVLINK_CMD_* of linux/devlink.h. */
export const DEVLINK_CMD = {
  DEVLINK_CMD_NEW: 3,
  DEVLINK_CMD_DEL: 4,
  DEVLINK_CMD_PORT_NEW: 7,
  DEVLINK_CMD_PORT_DEL: 8,
  DEVLINK_CMD_ESWITCH_GET: 29,
  DEVLINK_CMD_HEALTH_REPORTER_RECOVER: 54,
  DEVLINK_CMD_RATE_GET: 74,
  DEVLINK_CMD_RATE_SET: 75,
} as const
/** DEVLINK_RATE_TYPE_* of linux/devlink.h: a leaf is a port, a node is a group of ports. */
export const DEVLINK_RATE_TYPE = { DEVLINK_RATE_TYPE_LEAF: 0, DEVLINK_RATE_TYPE_NODE: 1 } as const
/** DEVLINK_ESWITCH_MODE_* of linux/devlink.h. */
export const DEVLINK_ESWITCH_MODE = {
  DEVLINK_ESWITCH_MODE_LEGACY: 0,
  DEVLINK_ESWITCH_MODE_SWITCHDEV: 1,
} as const

/** DEVLINK_ATTR_* of linux/devlink.h. */
export const devlink = attrs('DEVLINK_ATTR', {
  DEVLINK_ATTR_BUS_NAME: [1, cstr(64)],
  DEVLINK_ATTR_DEV_NAME: [2, cstr(64)],
  DEVLINK_ATTR_PORT_INDEX: [3, u32],
  DEVLINK_ATTR_ESWITCH_MODE: [25, u16],
  DEVLINK_ATTR_RATE_TYPE: [165, u16],
  DEVLINK_ATTR_RATE_TX_SHARE: [166, u64],
  DEVLINK_ATTR_RATE_TX_MAX: [167, u64],
})

/** The payload of devlink messages. */
export const devlinkMessage = family(genlmsghdr, devlink)

/** Asks for the eSwitch mode of a PCI function; ENODEV without a devlink instance, EOPNOTSUPP without an eSwitch. */
export function getEswitch(familyId: number, pci: string): Request {
  return devlinkMessage.request('DEVLINK_CMD_ESWITCH_GET', familyId, 0, {
    cmd: DEVLINK_CMD.DEVLINK_CMD_ESWITCH_GET,
    version: 1,
    DEVLINK_ATTR_BUS_NAME: 'pci',
    DEVLINK_ATTR_DEV_NAME: pci,
  })
}

/** The mode in the answer; undefined when the answer has none. */
export function decodeEswitchMode(message: Message): number | undefined {
  return devlinkMessage.decode(message.payload).DEVLINK_ATTR_ESWITCH_MODE
}

/** The rates of a port's leaf, in bytes/s: the guaranteed rate and the highest rate, 0 = none. */
export interface LeafRates {
  readonly share: bigint
  readonly max: bigint
}

/**
 * Asks for the rates of a port: `port` is the devlink port's number (IFLA_DEVLINK_PORT of its representor). ENODEV
 * without that port, EOPNOTSUPP or EINVAL from a driver without rates.
 */
export function getRate(familyId: number, bus: string, device: string, port: number): Request {
  return devlinkMessage.request('DEVLINK_CMD_RATE_GET', familyId, 0, {
    cmd: DEVLINK_CMD.DEVLINK_CMD_RATE_GET,
    version: 1,
    DEVLINK_ATTR_BUS_NAME: bus,
    DEVLINK_ATTR_DEV_NAME: device,
    DEVLINK_ATTR_PORT_INDEX: port,
  })
}

/** Sets one or both rates of a port's leaf; an absent rate stays. Drivers round to steps: mlx5 takes multiples of 1 Mbit/s. */
export function setRate(
  familyId: number,
  bus: string,
  device: string,
  port: number,
  rates: Partial<LeafRates>,
): Request {
  return devlinkMessage.request('DEVLINK_CMD_RATE_SET', familyId, 0, {
    cmd: DEVLINK_CMD.DEVLINK_CMD_RATE_SET,
    version: 1,
    DEVLINK_ATTR_BUS_NAME: bus,
    DEVLINK_ATTR_DEV_NAME: device,
    DEVLINK_ATTR_PORT_INDEX: port,
    ...(rates.share === undefined ? {} : { DEVLINK_ATTR_RATE_TX_SHARE: rates.share }),
    ...(rates.max === undefined ? {} : { DEVLINK_ATTR_RATE_TX_MAX: rates.max }),
  })
}

/** The rates in an answer. */
export function decodeRate(message: Message): LeafRates {
  const value = devlinkMessage.decode(message.payload)
  return { share: value.DEVLINK_ATTR_RATE_TX_SHARE ?? 0n, max: value.DEVLINK_ATTR_RATE_TX_MAX ?? 0n }
}
