/** Numbers that rate limits are made and found again by: the same in operations, in their lines and for the kernel. */

/** Handle of the tbf qdiscs that versions before made, whoever they were for: the major number 0x7666 ("vf"). */
export const unownedShaperHandle = 0x76660000

/** What tells whose a tbf is. */
export interface ShaperMark {
  /** The major number, in the upper half: 0x4000 to 0x7fff, where nobody counts to; the kernel's own begin at 0x8000. */
  readonly handle: number
  /** `mtu` of struct tc_tbf_qopt, which the kernel keeps and does not use without a peak rate: 26 bits. 0 = none. */
  readonly mark: number
}

/**
 * The marks of a shaper that an attachment's limit is made of, by the limit's cookie (hex): 40 bits in all. Without a cookie
 * those of a shaper that a version before made.
 */
export function shaperMark(cookie: string | undefined): ShaperMark {
  if (cookie === undefined) return { handle: unownedShaperHandle, mark: 0 }
  const major = 0x4000 + (hash(cookie, 1) & 0x3fff)
  const handle = major * 0x10000
  return {
    handle: handle === unownedShaperHandle ? handle + 0x10000 : handle,
    // The kernel keeps it as nanoseconds in 32 bits, 64 to a tick.
    mark: hash(cookie, 2) & 0x3ffffff || 1,
  }
}

/** True for a tbf that some version of ours has made, for whatever attachment. */
export function isShaperMark({ handle, mark }: ShaperMark): boolean {
  return handle === unownedShaperHandle || (mark !== 0 && handle >>> 16 >= 0x4000 && handle >>> 16 < 0x8000)
}

/** FNV-1a of 32 bits: what goes in are digits of SHA-256. */
function hash(text: string, seed: number): number {
  let value = 0x811c9dc5 ^ seed
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return (value ^ (value >>> 16)) >>> 0
}

/**
 * Priorities of our filters for rates. The policer has the only one that mlx5 takes a matchall filter in. The detour comes
 * after everybody's filters, those too whose priority the kernel chose (from 0xc000 down): what goes through an ifb meets
 * no other filter any more. Meters come after the filters of port mappings, which have their limit too.
 */
export const ratePriority = { police: 1, detour: 60_000 } as const

/** Priorities of meters by what they match, since one holds filters of one protocol only. */
const meters = { all: 13, 4: 14, 6: 15, vlan: 16 } as const

/** All of them. */
export const meterPriorities: readonly number[] = Object.values(meters)

/** The priority of a meter. */
export function meterPriority({ vlan, family }: { vlan?: number; family?: 4 | 6 }): number {
  return meters[vlan === undefined ? (family ?? 'all') : 'vlan']
}

/** TCA_POLICE_TBF.mtu: of a longer packet the kernel looks at the segments one by one; none is longer than this. */
export const policeMtu = 65_535
