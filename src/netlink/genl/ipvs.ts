// IPVS, the kernel's load balancer: linux/ip_vs.h. The part that answers "does a service have this address and port?".
import { attrs } from '../codec/attrs.ts'
import { be16, bytes, cstr, u16, u32 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { genlmsghdr } from './genl.ts'

/** IPVS_GENL_NAME */
export const ipvsFamily = 'IPVS'
/** IPVS_CMD_GET_SERVICE */
export const IPVS_CMD = { IPVS_CMD_GET_SERVICE: 4 } as const

/** IPVS_SVC_ATTR_*; an address has 16 bytes, of which IPv4 uses 4. */
export const ipvsService = attrs('IPVS_SVC_ATTR', {
  IPVS_SVC_ATTR_AF: [1, u16],
  IPVS_SVC_ATTR_PROTOCOL: [2, u16],
  IPVS_SVC_ATTR_ADDR: [3, bytes()],
  IPVS_SVC_ATTR_PORT: [4, be16],
  IPVS_SVC_ATTR_FWMARK: [5, u32],
  IPVS_SVC_ATTR_SCHED_NAME: [6, cstr(16)],
})
/** IPVS_CMD_ATTR_* */
export const ipvsCommand = attrs('IPVS_CMD_ATTR', { IPVS_CMD_ATTR_SERVICE: [1, ipvsService] })

/** The payload of IPVS messages. */
export const ipvsMessage = family(genlmsghdr, ipvsCommand)

/** Asks for one service; ESRCH without it. `port` 0 asks for the service on all ports of the address. */
export function getService(
  familyId: number,
  {
    af,
    protocol,
    address,
    port,
  }: { readonly af: number; readonly protocol: number; readonly address: Uint8Array; readonly port: number },
): Request {
  const whole = new Uint8Array(16)
  whole.set(address)
  return ipvsMessage.request('IPVS_CMD_GET_SERVICE', familyId, 0, {
    ...{ cmd: IPVS_CMD.IPVS_CMD_GET_SERVICE, version: 1 },
    IPVS_CMD_ATTR_SERVICE: {
      ...{ IPVS_SVC_ATTR_AF: af, IPVS_SVC_ATTR_PROTOCOL: protocol },
      ...{ IPVS_SVC_ATTR_ADDR: whole, IPVS_SVC_ATTR_PORT: port },
    },
  })
}

/** The scheduler of an answer's service. */
export function schedulerOf(message: Message): string | undefined {
  return ipvsMessage.decode(message.payload).IPVS_CMD_ATTR_SERVICE?.IPVS_SVC_ATTR_SCHED_NAME
}
