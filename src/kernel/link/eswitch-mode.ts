import {
  DEVLINK_ESWITCH_MODE,
  decodeEswitchMode,
  devlinkFamily,
  getEswitch,
} from '../../netlink/genl/devlink.ts'
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'

/** Errors of a NIC without an eSwitch: no devlink, no devlink instance, no such operation. */
const noEswitch: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'EOPNOTSUPP'])

/**
 * True when the eSwitch of the PCI function is in switchdev mode. Only devlink tells the mode: mlx5 and ice set phys_switch_id
 * in legacy mode too. `socket` is a generic netlink socket.
 */
export function isSwitchdev(socket: NetlinkSocket, pci: string): boolean {
  try {
    const [answer] = socket.request(getFamily(devlinkFamily)).messages
    const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
    if (id === undefined) return false
    const [eswitch] = socket.request(getEswitch(id, pci)).messages
    const mode = eswitch === undefined ? undefined : decodeEswitchMode(eswitch)
    return mode === DEVLINK_ESWITCH_MODE.DEVLINK_ESWITCH_MODE_SWITCHDEV
  } catch (error) {
    if (error instanceof NetlinkError && noEswitch.has(error.code)) return false
    throw error
  }
}
