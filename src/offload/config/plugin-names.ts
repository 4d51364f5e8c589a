/** Names that the chain plugin answers to: under a peer's name it does what the peer does. */
import type { OffloadFolder } from '../../records/offload.ts'

export const offloadNames = ['vf-offload', 'portmap', 'bandwidth'] as const
export type OffloadName = (typeof offloadNames)[number]

/** The folder of a name's records. Two names in one list have a folder each, so that each has its own ADD and DEL. */
export function folderOf(name: OffloadName): OffloadFolder {
  return name === 'vf-offload' ? 'offload' : name
}
