/** Notifications of devlink that could change the inventory. */
import { DEVLINK_CMD, devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import type { Message } from '../../../src/netlink/message.ts'
import type { Change } from './change.ts'

/**
 * Commands that tell of instances, of ports, and of health reporters. Notifications of parameters, regions, traps, rates, line cards
 * and of a flash in progress change nothing here.
 */
const commands: Readonly<Record<number, string>> = {
  [DEVLINK_CMD.DEVLINK_CMD_NEW]: 'new',
  [DEVLINK_CMD.DEVLINK_CMD_DEL]: 'del',
  [DEVLINK_CMD.DEVLINK_CMD_PORT_NEW]: 'port new',
  [DEVLINK_CMD.DEVLINK_CMD_PORT_DEL]: 'port del',
  [DEVLINK_CMD.DEVLINK_CMD_HEALTH_REPORTER_RECOVER]: 'health',
}

/**
 * The change that a notification of devlink tells of, if it is one. The kernel sends none for a change of the eSwitch's mode itself:
 * the ports and interfaces that it removes and makes tell of it. @throws RangeError for a message that can't be decoded
 */
export function changeOfDevlink(message: Message): Change | undefined {
  const command = commands[message.payload[0] ?? 0]
  if (command === undefined) return undefined
  const value = devlinkMessage.decode(message.payload)
  return { kind: 'devlink', subject: `${command} ${value.DEVLINK_ATTR_DEV_NAME ?? '?'}` }
}
