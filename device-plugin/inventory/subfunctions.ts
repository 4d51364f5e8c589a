/** Subfunctions on the auxiliary bus, as sysfs has them. */
import type { PciAddress } from '../../src/lib/pci-address.ts'
import { linkTarget, listFolder, readText } from '../../src/sys/files.ts'
import { addressesIn } from './functions.ts'
import type { Unanswered } from './unanswered.ts'

/** One subfunction. */
export interface SfFacts {
  /** `mlx5_core.sf.2` */
  readonly name: string
  readonly folder: string
  readonly entries: readonly string[]
  /** The function that carries it. */
  readonly pci: PciAddress
  readonly sfnum: number | undefined
  /** The last part of the name, by which the bus tells devices of a kind apart. */
  readonly id: number
}

/** All subfunctions: devices with `sf` in the middle of their name (drivers/net/ethernet/mellanox/mlx5/core/sf/dev/dev.c). */
export function readSubfunctions(sys: string, unanswered: Unanswered): SfFacts[] {
  const top = `${sys}/bus/auxiliary/devices`
  return listFolder(top).flatMap((name) => {
    const [, kind, id] = name.split('.')
    if (kind !== 'sf' || id === undefined) return []
    return unanswered.ask(name, () => readSubfunction(top, name, Number(id)), undefined) ?? []
  })
}

function readSubfunction(top: string, name: string, id: number): SfFacts | undefined {
  const folder = `${top}/${name}`
  const pci = addressesIn(linkTarget(folder) ?? '').at(-1)
  if (pci === undefined) return undefined
  const sfnum = readText(`${folder}/sfnum`)
  return {
    ...{ name, folder, pci, id, entries: listFolder(folder) },
    sfnum: sfnum === undefined ? undefined : Number(sfnum),
  }
}
