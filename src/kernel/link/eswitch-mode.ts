import {
  DEVLINK_ESWITCH_MODE,
  decodeEswitchMode,
  devlinkFamily,
  getEswitch,
} from '../../netlink/genl/devlink.ts'
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { EswitchState } from '../api/links.ts'
import type { EswitchMode } from '../api/network-facts.ts'

/** Errors of a NIC of which devlink tells no mode: no devlink, no devlink instance, no such operation. */
const untold: Readonly<Record<string, EswitchState | undefined>> = {
  ENOENT: 'untold',
  ENODEV: 'untold',
  EOPNOTSUPP: 'unsupported',
}

/**
 * The mode of the eSwitch of a PCI function. Only devlink tells it: mlx5 and ice set phys_switch_id in legacy mode too. `socket` is a
 * generic netlink socket.
 * @throws NetlinkError for a refusal that says nothing about the mode
 */
export function eswitchOf(socket: NetlinkSocket, pci: string): EswitchState {
  try {
    const [answer] = socket.request(getFamily(devlinkFamily)).messages
    const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
    if (id === undefined) return 'untold'
    const [eswitch] = socket.request(getEswitch(id, pci)).messages
    return eswitch === undefined ? 'untold' : (modeOf(decodeEswitchMode(eswitch)) ?? 'untold')
  } catch (error) {
    const state = error instanceof NetlinkError ? untold[error.code] : undefined
    if (state === undefined) throw error
    return state
  }
}

/** The name of a mode's number; undefined for a number of another mode. */
export function modeOf(mode: number | undefined): EswitchMode | undefined {
  const { DEVLINK_ESWITCH_MODE_LEGACY: legacy, DEVLINK_ESWITCH_MODE_SWITCHDEV: switchdev } =
    DEVLINK_ESWITCH_MODE
  return mode === switchdev ? 'switchdev' : mode === legacy ? 'legacy' : undefined
}
