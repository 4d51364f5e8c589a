/** The other VFs of a pod's card, as far as its PF knows them. Pure. */
import type { Port } from './port.ts'

/** The MAC that PFs show of a VF whose MAC nobody has set. */
const noMac = '00:00:00:00:00:00'

/** MACs of the PF's other VFs, each once. */
export function neighbourMacs(port: Pick<Port, 'vf' | 'mac' | 'wire'>): string[] {
  const macs = neighbours(port).flatMap(({ mac }) => (isKnown(mac) ? [mac] : []))
  return [...new Set(macs)].filter((mac) => mac !== port.mac)
}

/** Indexes of the PF's other VFs whose MAC it does not know: the program or driver of each chooses one. */
export function unknownNeighbours(port: Pick<Port, 'vf' | 'wire'>): number[] {
  return neighbours(port).flatMap(({ index, mac }) => (isKnown(mac) ? [] : [index]))
}

function neighbours({ vf, wire }: Pick<Port, 'vf' | 'wire'>) {
  const all = [...(wire?.uplink.vfs ?? [])].map(([index, { mac }]) => ({ index, mac }))
  return all.filter(({ index }) => index !== vf?.index)
}

function isKnown(mac: string | undefined): mac is string {
  return mac !== undefined && mac !== noMac
}
