/** Numbers that rate limits are made and found again by: the same in operations, in their lines and for the kernel. */

/** Handle of our tbf qdiscs: the major number 0x7666 ("vf"), which nobody gets by chance (the kernel's own begin at 0x8000). */
export const shaperHandle = 0x76660000

/**
 * Priorities of our filters for rates. The policer has the only one that mlx5 takes a matchall filter in. The detour comes
 * after everybody's filters, those too whose priority the kernel chose (from 0xc000 down): what goes through an ifb meets
 * no other filter any more. Meters come after the filters of port mappings, which have their limit too.
 */
export const ratePriority = { police: 1, detour: 60_000 } as const

/** Priorities of meters by what they match, since one holds filters of one protocol only. */
const meterPriorities = { all: 13, 4: 14, 6: 15, vlan: 16 } as const

/** The priority of a meter. */
export function meterPriority({ vlan, family }: { vlan?: number; family?: 4 | 6 }): number {
  return meterPriorities[vlan === undefined ? (family ?? 'all') : 'vlan']
}

/** TCA_POLICE_TBF.mtu: of a longer packet the kernel looks at the segments one by one; none is longer than this. */
export const policeMtu = 65_535
