// devlink: versions, parameters and health of devices. linux/devlink.h
import { attrs } from '../codec/attrs.ts'
import { ordered, repeated } from '../codec/lists.ts'
import { bytes, cstr, flag, u8 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { devlink as device } from './devlink.ts'
import { genlmsghdr } from './genl.ts'

/** DEVLINK_CMD_* of linux/devlink.h. */
export const DEVLINK_FACTS_CMD = {
  DEVLINK_CMD_GET: 1,
  DEVLINK_CMD_PARAM_GET: 38,
  DEVLINK_CMD_INFO_GET: 51,
  DEVLINK_CMD_HEALTH_REPORTER_GET: 52,
} as const

/** One value of a parameter. A flag is on when its data are there, however short. */
export const paramValue = attrs('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_PARAM_VALUE_DATA: [86, bytes()],
  DEVLINK_ATTR_PARAM_VALUE_CMODE: [87, u8],
}))

/** A parameter with its values, one for each time at which a value takes effect. */
export const param = attrs('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_PARAM_NAME: [81, cstr(256)],
  DEVLINK_ATTR_PARAM_GENERIC: [82, flag],
  DEVLINK_ATTR_PARAM_TYPE: [83, u8],
  DEVLINK_ATTR_PARAM_VALUES_LIST: [84, repeated('DEVLINK_ATTR_PARAM_VALUE', [85, paramValue])],
}))

/** A health reporter. */
export const reporter = attrs('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_HEALTH_REPORTER_NAME: [115, cstr(256)],
  DEVLINK_ATTR_HEALTH_REPORTER_STATE: [116, u8],
}))

/** DEVLINK_ATTR_* of linux/devlink.h: the device, and its parts of these commands. */
export const devlinkFacts = attrs('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_BUS_NAME: device.table.DEVLINK_ATTR_BUS_NAME,
  DEVLINK_ATTR_DEV_NAME: device.table.DEVLINK_ATTR_DEV_NAME,
  DEVLINK_ATTR_PARAM: [80, param],
  DEVLINK_ATTR_PARAM_NAME: [81, cstr(256)],
  DEVLINK_ATTR_HEALTH_REPORTER: [114, reporter],
  DEVLINK_ATTR_RELOAD_FAILED: [136, u8],
}))

/** A version of a device: name and text. */
export const version = attrs('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_INFO_VERSION_NAME: [103, cstr(256)],
  DEVLINK_ATTR_INFO_VERSION_VALUE: [104, cstr(1024)],
}))

/** The attributes of DEVLINK_CMD_INFO_GET. Versions repeat, so the attributes are a list. */
export const info = ordered('DEVLINK_ATTR', () => ({
  DEVLINK_ATTR_INFO_VERSION_FIXED: [100, version],
  DEVLINK_ATTR_INFO_VERSION_RUNNING: [101, version],
  DEVLINK_ATTR_INFO_VERSION_STORED: [102, version],
}))

/** The payload of these messages, but for DEVLINK_CMD_INFO_GET. */
export const devlinkFactsMessage = family(genlmsghdr, devlinkFacts)

const noAttributes = {}

/** For dump(): all devices. */
export function dumpDevices(familyId: number): Request {
  return ask('DEVLINK_CMD_GET', familyId, noAttributes)
}

/** For dump(): all health reporters of all devices and ports. */
export function dumpReporters(familyId: number): Request {
  return ask('DEVLINK_CMD_HEALTH_REPORTER_GET', familyId, noAttributes)
}

/** Asks for the versions of a PCI function; ENODEV without a devlink instance, EOPNOTSUPP from a driver that tells none. */
export function getInfo(familyId: number, pci: string): Request {
  return ask('DEVLINK_CMD_INFO_GET', familyId, place(pci))
}

/** Asks for one parameter of a PCI function; ENODEV without a devlink instance, EINVAL without that parameter. */
export function getParam(familyId: number, pci: string, name: string): Request {
  return ask('DEVLINK_CMD_PARAM_GET', familyId, { ...place(pci), DEVLINK_ATTR_PARAM_NAME: name })
}

function place(pci: string): { DEVLINK_ATTR_BUS_NAME: string; DEVLINK_ATTR_DEV_NAME: string } {
  return { DEVLINK_ATTR_BUS_NAME: 'pci', DEVLINK_ATTR_DEV_NAME: pci }
}

function ask(
  name: keyof typeof DEVLINK_FACTS_CMD,
  familyId: number,
  attributes: Parameters<typeof devlinkFactsMessage.request>[3],
): Request {
  return devlinkFactsMessage.request(name, familyId, 0, {
    ...attributes,
    cmd: DEVLINK_FACTS_CMD[name],
    version: 1,
  })
}

/** The running version with this name in an answer to DEVLINK_CMD_INFO_GET; undefined when there is none. */
export function decodeVersion({ payload }: Message, name: string): string | undefined {
  for (const [key, value] of info.read(payload, genlmsghdr.size, payload.length)) {
    if (key !== 'DEVLINK_ATTR_INFO_VERSION_RUNNING' || value instanceof Uint8Array) continue
    if (value.DEVLINK_ATTR_INFO_VERSION_NAME === name) return value.DEVLINK_ATTR_INFO_VERSION_VALUE
  }
  return undefined
}

/** The PCI function that a message is about, with its health as far as the message tells; undefined for devices of other buses. */
export function decodeDevice({
  payload,
}: Message):
  | { readonly pci: string; readonly reloadFailed: boolean; readonly reporter: string | undefined }
  | undefined {
  const facts = devlinkFactsMessage.decode(payload)
  const { DEVLINK_ATTR_BUS_NAME: bus, DEVLINK_ATTR_DEV_NAME: pci } = facts
  if (bus !== 'pci' || pci === undefined) return undefined
  const reporter = facts.DEVLINK_ATTR_HEALTH_REPORTER?.DEVLINK_ATTR_HEALTH_REPORTER_NAME
  return { pci, reloadFailed: facts.DEVLINK_ATTR_RELOAD_FAILED === 1, reporter }
}

/** True when the parameter of the answer, a flag, is on in one of its values. */
export function decodeFlag({ payload }: Message): boolean {
  const values = devlinkFactsMessage.decode(payload).DEVLINK_ATTR_PARAM?.DEVLINK_ATTR_PARAM_VALUES_LIST ?? []
  return values.some((value) => value.DEVLINK_ATTR_PARAM_VALUE_DATA !== undefined)
}

/** Bytes of a message about a reporter in state error: DEVLINK_ATTR_HEALTH_REPORTER_STATE 1 (devlink_health_reporter_state). */
export const stateError: Uint8Array = Uint8Array.of(5, 0, 116, 0, 1, 0, 0, 0)
