/** Reads and sets the rates of devlink ports: the NIC limits the traffic that a VF sends. Bytes per second. */

import { decodeRate, devlink, devlinkFamily, getRate, setRate } from '../../netlink/genl/devlink.ts'
import { ctrlMessage, getFamily } from '../../netlink/genl/genl.ts'
import { decodeLink, getLink } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { OffloadRefused } from '../../ops/offload-refused.ts'
import type { PortRates } from '../../ops/op.ts'
import type { PortRateFacts } from '../api/facts.ts'
import { tolerate, wordsOf } from '../errors.ts'

/** The rates of the devlink port behind an interface; undefined without such a port, or when the driver has no rates. */
export function portRatesOf(
  route: NetlinkSocket,
  generic: NetlinkSocket,
  ifindex: number,
): PortRateFacts | undefined {
  const [message] = route.request(getLink(ifindex)).messages
  const raw = message && decodeLink(message).IFLA_DEVLINK_PORT
  if (raw === undefined) return undefined
  const {
    DEVLINK_ATTR_BUS_NAME: bus,
    DEVLINK_ATTR_DEV_NAME: device,
    DEVLINK_ATTR_PORT_INDEX: index,
  } = devlink.decode(raw)
  // The kernel's nest is empty for an interface without a port (rtnl_fill_devlink_port() of net/core/rtnetlink.c).
  return index === undefined ? undefined : ratesOfPort(generic, `${bus}/${device}/${index}`)
}

/** The rates of a devlink port by its handle (BUS/DEVICE/PORT); undefined without such a port, or when the driver has no rates. */
export function ratesOfPort(generic: NetlinkSocket, handle: string): PortRateFacts | undefined {
  const [bus = '', device = '', port = ''] = handle.split('/')
  const family = familyId(generic)
  if (family === undefined) return undefined
  return tolerate(['ENODEV', 'EOPNOTSUPP', 'EINVAL', 'ENOENT'], () => {
    const [answer] = generic.request(getRate(family, bus, device, Number(port))).messages
    if (answer === undefined) return undefined
    const { share, max } = decodeRate(answer)
    return { handle, share: Number(share), max: Number(max) }
  })
}

/** Sets the rates of a devlink port that differ from `was`. @throws OffloadRefused with the driver's reason */
export function setPortRates(generic: NetlinkSocket, handle: string, set: PortRates, was: PortRates): void {
  const [bus = '', device = '', port = ''] = handle.split('/')
  const family = familyId(generic)
  if (family === undefined) throw new OffloadRefused('the kernel has no devlink')
  const rates = {
    ...(set.share === was.share ? {} : { share: BigInt(set.share) }),
    ...(set.max === was.max ? {} : { max: BigInt(set.max) }),
  }
  try {
    generic.request(setRate(family, bus, device, Number(port), rates))
  } catch (error) {
    if (error instanceof NetlinkError && !error.isLost) throw new OffloadRefused(wordsOf(error), error)
    throw error
  }
}

function familyId(generic: NetlinkSocket): number | undefined {
  return tolerate(['ENOENT'], () => {
    const [answer] = generic.request(getFamily(devlinkFamily)).messages
    return answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
  })
}
