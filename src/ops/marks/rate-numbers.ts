/** Numbers that make rate limits and find them again: the same in operations, in command lines and for the kernel. */

/** Handle of every tbf qdisc that former versions made, for any attachment: the major number 0x7666 ("vf"). */
export const unownedShaperHandle = 0x76660000

/** The marks that tell the attachment of a tbf. */
export interface ShaperMark {
  /** The major number, in the upper half: 0x4000 to 0x7fff. People count up from 1; the kernel's own begin at 0x8000. */
  readonly handle: number
  /** `mtu` of struct tc_tbf_qopt: the kernel keeps the number and does not use it without a peak rate. 26 bits; 0 = none. */
  readonly mark: number
}

/**
 * The marks of the shaper for an attachment's limit, made from the limit's cookie (hex): 40 bits in all. Without a cookie: the marks
 * of a shaper that a former version made.
 */
export function shaperMark(cookie: string | undefined): ShaperMark {
  if (cookie === undefined) return { handle: unownedShaperHandle, mark: 0 }
  const major = 0x4000 + (hash(cookie, 1) & 0x3fff)
  const handle = major * 0x10000
  return {
    handle: handle === unownedShaperHandle ? handle + 0x10000 : handle,
    // The kernel keeps the mark as nanoseconds in 32 bits. A tick has 64 nanoseconds, so 26 bits are left.
    mark: hash(cookie, 2) & 0x3ffffff || 1,
  }
}

/** True for a tbf of any version of ours, for any attachment. */
export function isShaperMark({ handle, mark }: ShaperMark): boolean {
  return handle === unownedShaperHandle || (mark !== 0 && handle >>> 16 >= 0x4000 && handle >>> 16 < 0x8000)
}

/** FNV-1a of 32 bits. A simple hash is enough, because the input is digits of SHA-256. */
function hash(text: string, seed: number): number {
  let value = 0x811c9dc5 ^ seed
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return (value ^ (value >>> 16)) >>> 0
}

/**
 * Priorities of our bandwidth filters. mlx5 takes a matchall policer at priority 1 only. The redirect to an ifb comes after the
 * filters of everybody, those with a priority of the kernel's choice (from 0xc000 down) included: a packet that goes through an ifb
 * meets no other filter any more. MAC policers come after the filters of port mappings, which carry the limit themselves.
 */
export const ratePriority = { police: 1, detour: 60_000 } as const

/** Priorities of MAC policers by their match, since one priority holds filters of one protocol only. */
const meters = { all: 13, 4: 14, 6: 15, vlan: 16 } as const

/** The priorities of all MAC policers. */
export const meterPriorities: readonly number[] = Object.values(meters)

/** The priority of a MAC policer. */
export function meterPriority({ vlan, family }: { vlan?: number; family?: 4 | 6 }): number {
  return meters[vlan === undefined ? (family ?? 'all') : 'vlan']
}

/** TCA_POLICE_TBF.mtu in bytes. The kernel checks the segments of a longer packet one by one; no packet is longer than this. */
export const policeMtu = 65_535
