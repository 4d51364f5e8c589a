/** The keys pfNames and rootDevices: a device by its PF, and by its index below that PF. */
import { hasIndex, unitePfSelectors } from '../config/pf-ranges.ts'
import type { PfSelector } from '../config/plugin-config.ts'
import type { Device, Pf, Snapshot } from '../inventory/snapshot.ts'
import { anyOf, type Condition } from './condition.ts'

/**
 * The names that a config can call a PF by: those of its uplink, or of its ports where it has several. Without a known uplink, in legacy
 * mode, each interface of the function leads to a wire and names the PF. In switchdev mode the others are representors and name no PF.
 */
export function namesOfPf(pf: Pf): readonly string[] {
  const others = pf.eswitchMode === 'switchdev' ? [] : pf.netdevs
  const netdevs = pf.ports ?? (pf.uplink === undefined ? others : [pf.uplink])
  return netdevs.flatMap(({ name, altnames }) => [name, ...altnames])
}

/** The condition of pfNames or rootDevices, if the key is there. A device without a PF never holds it, nor does a PF itself. */
export function pfConditions(
  key: 'pfNames' | 'rootDevices',
  entries: readonly PfSelector[] | undefined,
): Condition[] {
  if (entries === undefined || entries.length === 0) return []
  const byName = new Map(unitePfSelectors(entries).map((entry) => [entry.pf.toLowerCase(), entry]))
  const wanted = anyOf(entries.map(({ text }) => text))
  const namesFor = (pf: Pf) => (key === 'rootDevices' ? [pf.address] : namesOfPf(pf))
  // A PF has many VFs, and its names are compared once for all of them.
  const found = new WeakMap<Pf, readonly PfSelector[]>()
  const entriesFor = (pf: Pf) => {
    const known = found.get(pf)
    if (known !== undefined) return known
    const own = namesFor(pf).flatMap((name) => byName.get(name.toLowerCase()) ?? [])
    found.set(pf, own)
    return own
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
        return entriesFor(pf).some(({ indexes }) => hasIndex(indexes, place.index))
      },
      reason: (device, snapshot) => `${key}: has ${has(device, snapshot)}, wanted ${wanted}`,
    },
  ]
}
