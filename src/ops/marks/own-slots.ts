/** Where our filters are: a priority of an interface's chain 0 holds filters of one protocol and of one kind. */
import { meterPriority, ratePriority } from './rate-numbers.ts'

/**
 * Fixed priorities of port mappings, one per protocol: a priority holds one only, and equal keys collide within one. None above
 * 16, the last that every mlx5 card has.
 */
export const filterPriority = {
  ...{ untranslated4: 5, untranslated6: 6 },
  ...{ direct4: 7, direct6: 8, directVlan: 9 },
  ...{ 4: 10, 6: 11, vlan: 12 },
} as const

/** A slot for filters of ours; others may have it. */
export interface OwnSlot {
  readonly priority: number
  /** EtherType. */
  readonly protocol: number
  /** TCA_KIND of what we put there. */
  readonly kinds: readonly string[]
}

/** ETH_P_* of linux/if_ether.h */
const [ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q] = [3, 0x0800, 0x86dd, 0x8100]

const flower = ['flower']

/** All of them: a filter of ours is nowhere else. */
export const ownSlots: readonly OwnSlot[] = [
  { priority: filterPriority[4], protocol: ETH_P_IP, kinds: flower },
  { priority: filterPriority[6], protocol: ETH_P_IPV6, kinds: flower },
  { priority: filterPriority.vlan, protocol: ETH_P_8021Q, kinds: flower },
  { priority: filterPriority.direct4, protocol: ETH_P_IP, kinds: flower },
  { priority: filterPriority.direct6, protocol: ETH_P_IPV6, kinds: flower },
  { priority: filterPriority.directVlan, protocol: ETH_P_8021Q, kinds: flower },
  { priority: filterPriority.untranslated4, protocol: ETH_P_IP, kinds: flower },
  { priority: filterPriority.untranslated6, protocol: ETH_P_IPV6, kinds: flower },
  { priority: meterPriority({}), protocol: ETH_P_ALL, kinds: flower },
  { priority: meterPriority({ family: 4 }), protocol: ETH_P_IP, kinds: flower },
  { priority: meterPriority({ family: 6 }), protocol: ETH_P_IPV6, kinds: flower },
  { priority: meterPriority({ vlan: 1 }), protocol: ETH_P_8021Q, kinds: flower },
  { priority: ratePriority.police, protocol: ETH_P_ALL, kinds: ['matchall'] },
  {
    priority: ratePriority.detour,
    protocol: ETH_P_ALL,
    kinds: ['matchall', 'flower', 'u32', 'basic'],
  },
]
