/** The keys pfNames and rootDevices: a device by its PF, and by its index below that PF. */
import type { PfSelector } from '../config/plugin-config.ts'
import type { Device, Pf, Snapshot } from '../inventory/snapshot.ts'
import { anyOf, type Condition } from './condition.ts'

type Ranges = readonly (readonly [first: number, last: number])[]

/**
 * The names that a config can call a PF by: those of its uplink. Without a known uplink, in legacy mode, each interface of the
 * function leads to a wire and names the PF. In switchdev mode the others are representors and name no PF.
 */
export function namesOfPf(pf: Pf): readonly string[] {
  const others = pf.eswitchMode === 'switchdev' ? [] : pf.netdevs
  const netdevs = pf.uplink === undefined ? others : [pf.uplink]
  return netdevs.flatMap(({ name, altnames }) => [name, ...altnames])
}

const within = (ranges: Ranges, index: number) =>
  ranges.some(([first, last]) => index >= first && index <= last)

/** All entries for one PF, by its name in lower case; `all`: one entry names every index. */
function united(entries: readonly PfSelector[]): ReadonlyMap<string, Ranges | 'all'> {
  const byName = new Map<string, Ranges | 'all'>()
  for (const { pf, indexes } of entries) {
    const name = pf.toLowerCase()
    const before = byName.get(name) ?? []
    byName.set(name, indexes === undefined || before === 'all' ? 'all' : [...before, ...indexes])
  }
  return byName
}

/** The condition of pfNames or rootDevices, if the key is there. A device without a PF never holds it, nor does a PF itself. */
export function pfConditions(
  key: 'pfNames' | 'rootDevices',
  entries: readonly PfSelector[] | undefined,
): Condition[] {
  if (entries === undefined || entries.length === 0) return []
  const byName = united(entries)
  const wanted = anyOf(entries.map(({ text }) => text))
  const namesFor = (pf: Pf) => (key === 'rootDevices' ? [pf.address] : namesOfPf(pf))
  // A PF has many VFs, and its names are compared once for all of them.
  const found = new WeakMap<Pf, readonly (Ranges | 'all')[]>()
  const rangesFor = (pf: Pf) => {
    const known = found.get(pf)
    if (known !== undefined) return known
    const ranges = namesFor(pf).flatMap((name) => {
      const own = byName.get(name.toLowerCase())
      return own === undefined ? [] : [own]
    })
    found.set(pf, ranges)
    return ranges
  }
  const has = (device: Device, snapshot: Snapshot) => {
    const pf = device.pf && snapshot.pfs.get(device.pf.address)
    if (device.pf === undefined || pf === undefined) return 'no PF'
    const [name = `no interface on its PF ${pf.address}`] = namesFor(pf)
    return `${name}#${device.pf.index}`
  }
  return [
    {
      key,
      holds: (device, snapshot) => {
        const { pf: place } = device
        const pf = place && snapshot.pfs.get(place.address)
        if (place === undefined || pf === undefined) return false
        return rangesFor(pf).some((ranges) => ranges === 'all' || within(ranges, place.index))
      },
      reason: (device, snapshot) => `${key}: has ${has(device, snapshot)}, wanted ${wanted}`,
    },
  ]
}
