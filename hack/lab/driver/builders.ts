// Requests that a test can have sent, by name: the request builders of src/netlink, and `raw` for messages that they refuse
// to make. In: plain values; out: a Request.

import { Writer } from '../../../src/netlink/codec/wire.ts'
import type { Request } from '../../../src/netlink/message.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { familyOf } from '../netlink/families.ts'

export { deleteAddr, dumpAddrs, newAddr } from '../../../src/netlink/rtnl/addr.ts'
export {
  addAltNames,
  changeLink,
  deleteAltNames,
  deleteLink,
  dumpLinks,
  getLink,
  newLink,
  setLink,
} from '../../../src/netlink/rtnl/link.ts'
export { deleteNeigh, dumpNeighs, newNeigh } from '../../../src/netlink/rtnl/neigh.ts'
export { deleteRoute, dumpRoutes, getRoute, newRoute } from '../../../src/netlink/rtnl/route.ts'
export { deleteRule, dumpRules, newRule } from '../../../src/netlink/rtnl/rule.ts'
export {
  deleteFilter,
  dumpFilters,
  getFilter,
  newFilter,
  newFlower,
  newMatchall,
} from '../../../src/netlink/tc/filter.ts'
export { deleteClsact, dumpQdiscs, newClsact } from '../../../src/netlink/tc/qdisc.ts'

/** A message as it is given, through the codec of its family: `value` has the header's fields and the attributes. */
export function raw(name: keyof typeof RTM, flags: number, value: object): Request {
  const type = RTM[name]
  const codec = familyOf(type)?.[1]
  if (codec === undefined) throw new RangeError(`Cannot send ${name}: no codec`)
  const out = new Writer()
  codec.write(out, value)
  return { name, type, flags, payload: out.take(), codec }
}
