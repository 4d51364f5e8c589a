/** Sources of the inventory on this node. */
import { openNetworkFacts } from '../src/kernel/linux-network-facts.ts'
import type { Settings } from './config/settings.ts'
import type { Sources } from './inventory/sources.ts'

/** The folders of the settings and the real network; addresses of the node from the variable `NODE_IPS` (status.hostIPs). */
export function nodeSources({ roots }: Pick<Settings, 'roots'>): Sources {
  const given = (process.env.NODE_IPS ?? '').split(',').map((one) => one.trim())
  const nodeAddresses = given.filter((one) => one !== '')
  return {
    sys: roots.sys,
    dev: roots.dev,
    openNetwork: openNetworkFacts,
    ...(nodeAddresses.length === 0 ? {} : { nodeAddresses }),
  }
}
