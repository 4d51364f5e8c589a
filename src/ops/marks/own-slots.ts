/** The places of our filters. A priority of an interface's chain 0 holds filters of one protocol and of one kind. */
import { meterPriority, ratePriority } from './rate-numbers.ts'

/**
 * Fixed priorities of port mappings, one per protocol: a priority holds one protocol only, and equal keys collide within a priority.
 * No priority is above 16, the last one that every mlx5 card has.
 */
export const filterPriority = {
  ...{ untranslated4: 5, untranslated6: 6 },
  ...{ direct4: 7, direct6: 8, directVlan: 9 },
  ...{ 4: 10, 6: 11, vlan: 12 },
} as const

/**
 * The one priority of mlx5 in legacy mode without `ignore_flow_level` (mlx5_chains_get_prio_range() of lib/fs_chains.c). Filters of
 * one protocol have room there, those of all attachments of an uplink together.
 */
export const onlyPriority = 1

/** A slot for our filters; filters of others may be there too. */
export interface OwnSlot {
  readonly priority: number
  /** EtherType; 0: whichever the priority holds. */
  readonly protocol: number
  /** TCA_KIND of our filters there. */
  readonly kinds: readonly string[]
}

/** ETH_P_* of linux/if_ether.h */
const [ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q] = [3, 0x0800, 0x86dd, 0x8100]

const flower = ['flower']

/** All slots of our filters; no filter of ours is anywhere else. */
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
  // Of a representor the policer, of an uplink in legacy mode port mappings. tcf_chain_dump() takes 0 for any protocol.
  { priority: ratePriority.police, protocol: 0, kinds: ['matchall', 'flower'] },
  {
    priority: ratePriority.detour,
    protocol: ETH_P_ALL,
    kinds: ['matchall', 'flower', 'u32', 'basic'],
  },
]
