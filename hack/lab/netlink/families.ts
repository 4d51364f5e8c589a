// The payload of each message type: for annotate() and the tests. Nothing on a plugin's way imports it.

import type { Codec } from '../../../src/netlink/codec/wire.ts'
import { addrMessage } from '../../../src/netlink/rtnl/addr.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { neighMessage } from '../../../src/netlink/rtnl/neigh.ts'
import { routeMessage } from '../../../src/netlink/rtnl/route.ts'
import { ruleMessage } from '../../../src/netlink/rtnl/rule.ts'
import { actionMessage } from '../../../src/netlink/tc/actions/action.ts'
import { tcMessage } from '../../../src/netlink/tc/msg.ts'

const codecs: readonly (readonly [suffix: RegExp, codec: Codec<unknown>])[] = [
  [/LINK(PROP)?$/, linkMessage as Codec<unknown>],
  [/ADDR$/, addrMessage as Codec<unknown>],
  [/ROUTE$/, routeMessage as Codec<unknown>],
  [/NEIGH$/, neighMessage as Codec<unknown>],
  [/RULE$/, ruleMessage as Codec<unknown>],
  [/ACTION$/, actionMessage as Codec<unknown>],
  [/(QDISC|TCLASS|TFILTER|CHAIN)$/, tcMessage as Codec<unknown>],
]

/** The codecs of all payloads. */
export const families: readonly Codec<unknown>[] = codecs.map(([, codec]) => codec)

/** The name of an rtnetlink message type and the codec of its payload; undefined for an unknown type. */
export function familyOf(type: number): readonly [name: string, codec: Codec<unknown>] | undefined {
  const name = Object.entries(RTM).find(([, value]) => value === type)?.[0]
  const codec = name === undefined ? undefined : codecs.find(([suffix]) => suffix.test(name))?.[1]
  return name === undefined || codec === undefined ? undefined : [name, codec]
}
