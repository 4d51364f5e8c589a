/** Reads the configured interface identifier for addresses from router advertisements (`ip token`). */
import { toHex } from '../../lib/hex.ts'
import { afSpec, linkMessage } from '../../netlink/rtnl/link.ts'
import type { CarriedItem } from '../../ops/op.ts'
import type { LinkFacts } from '../api/facts.ts'

/** The token of an interface; empty when there is none. A move to another namespace removes the token. */
export function carriedToken({ afSpec: spec }: LinkFacts): CarriedItem[] {
  const token = spec === undefined ? undefined : afSpec.decode(spec).AF_INET6?.IFLA_INET6_TOKEN
  if (token === undefined || token === '::') return []
  const message = linkMessage.encode({
    ...{ ifi_family: 0, ifi_type: 0, ifi_index: 0, ifi_flags: 0, ifi_change: 0 },
    IFLA_AF_SPEC: afSpec.encode({ AF_INET6: { IFLA_INET6_TOKEN: token } }),
  })
  return [{ what: 'token', words: `token ${token}`, message: toHex(message) }]
}
