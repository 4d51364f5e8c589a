/** Notes for operators about filters that redirect and rewrite nothing. Pure. */
import type { OffloadConfig } from '../../config/config.ts'
import type { Identity } from '../../state/identity.ts'
import type { OffloadFacts } from '../facts.ts'
import { isNear } from './filters.ts'

/** What differs from filters that rewrite, and direct traffic that stays with the host. */
export function redirectNotes(
  { directSubnets }: Pick<OffloadConfig, 'directSubnets'>,
  facts: OffloadFacts,
  { podTable }: Pick<Identity, 'podTable'>,
): string[] {
  const near = directSubnets.filter((subnet) => isNear(subnet, facts))
  return [
    `the NIC redirects frames and rewrites none: answers leave with the MAC of the VF, which the switch outside learns; the pod takes requests in by its table "netdev ${podTable}", and whoever flushes the nftables of the pod cuts the mapped ports`,
    ...(near.length === 0
      ? []
      : [
          `direct traffic with ${near.join(', ')} stays in the host's stack: the node and VFs of the same card may be there, and the NIC takes no exceptions for them`,
        ]),
  ]
}
