/** Reads the settings of a bridge port. The bridge forgets them when the port leaves. */
import { toHex } from '../../lib/hex.ts'
import { brportData } from '../../netlink/rtnl/bridge-attributes.ts'
import { linkMessage } from '../../netlink/rtnl/link.ts'
import type { CarriedItem } from '../../ops/op.ts'
import type { LinkFacts } from '../api/facts.ts'

/** The settings of a bridge port, one item each, because a port that joins again needs only those that differ from the defaults. */
export function carriedPort({ slaveKind, slaveData }: LinkFacts): CarriedItem[] {
  if (slaveKind !== 'bridge' || slaveData === undefined) return []
  const settings = brportData.decode(slaveData)
  return Object.entries(settings).flatMap((entry) => {
    const [name, value] = entry
    // Attributes that are no numbers are states and timers, which cannot be set.
    if (typeof value !== 'number') return []
    const data = brportData.encode(Object.fromEntries([entry]) as typeof settings)
    const message = linkMessage.encode({
      ...{ ifi_family: 0, ifi_type: 0, ifi_index: 0, ifi_flags: 0, ifi_change: 0 },
      IFLA_LINKINFO: { IFLA_INFO_SLAVE_KIND: 'bridge', IFLA_INFO_SLAVE_DATA: data },
    })
    const words = `${name.slice('IFLA_BRPORT_'.length).toLowerCase()} ${value}`
    return [{ what: 'port', words, message: toHex(message) }]
  })
}
