/** Numbers that rate limits are made and found again by: the same in operations, in their lines and for the kernel. */

/** Handle of our tbf qdiscs: the major number 0x7666 ("vf"), which nobody gets by chance (the kernel's own begin at 0x8000). */
export const shaperHandle = 0x76660000

/**
 * Priorities of our filters for rates. The policer has the only one that mlx5 takes a matchall filter in. The detour comes
 * after everybody's filters, those too whose priority the kernel chose (from 0xc000 down): what goes through an ifb meets
 * no other filter any more. The meter comes after the filters of port mappings, which have its limit too.
 */
export const ratePriority = { police: 1, meter: 13, detour: 60_000 } as const

/** TCA_POLICE_TBF.mtu: of a longer packet the kernel looks at the segments one by one; none is longer than this. */
export const policeMtu = 65_535
