/** Hints: entries of a config that are right in form and can match nothing on this node, with the entry that is probably meant. */
import { parsePciAddress } from '../../src/lib/pci-address.ts'
import type { PfSelector, PoolConfig, Selector } from '../config/plugin-config.ts'
import type { Pf, Snapshot } from '../inventory/snapshot.ts'
import { anyOf } from '../pools/condition.ts'
import { namesOfPf } from '../pools/pf-condition.ts'

/** Likely mistakes of one pool, one sentence each, none twice. */
export function hintsFor(config: PoolConfig, snapshot: Snapshot): readonly string[] {
  const hints = config.selectors.flatMap((selector) => [
    ...productHints(selector, snapshot),
    ...addressHints(selector),
    ...(selector.pfNames ?? []).flatMap((one) => nameHint(one, snapshot)),
    ...(selector.rootDevices ?? []).flatMap((one) => rootHint(one, snapshot)),
  ])
  return [...new Set(hints)].map((hint) => `${config.resource}: ${hint}`)
}

/** `devices` takes the product ids of VFs, unless a PF is given away as a whole. */
function productHints({ devices = [] }: Selector, snapshot: Snapshot): string[] {
  return devices.flatMap((product) => {
    if (parsePciAddress(product) !== undefined)
      return `devices has ${product}, which is a PCI address; addresses stand in pciAddresses`
    const own = snapshot.devices.filter((one) => one.product === product)
    if (own.length === 0 || own.some(({ sriov }) => sriov === undefined || sriov.now === 0)) return []
    const pfs = new Set(own.map(({ pci }) => pci))
    const vfs = snapshot.devices.filter(({ pf }) => pf !== undefined && pfs.has(pf.address))
    const products = [...new Set(vfs.map((one) => one.product))]
    const meant = products.length === 0 ? '' : `; their VFs have ${anyOf(products)}`
    return `devices has ${product}, the product id of PFs that have VFs${meant}`
  })
}

function addressHints({ pciAddresses = [] }: Selector): string[] {
  return pciAddresses.flatMap((text) => {
    const meant = parsePciAddress(text)
    if (meant === text) return []
    const end = meant === undefined ? 'no PCI address; must be like 0000:3b:02.1' : `spelled ${meant} here`
    return `pciAddresses has ${text}, which is ${end}`
  })
}

function nameHint({ text, pf: name, indexes }: PfSelector, snapshot: Snapshot): string[] {
  const pfs = [...snapshot.pfs.values()]
  const own = pfs.find((pf) => namesOfPf(pf).some((one) => one.toLowerCase() === name.toLowerCase()))
  if (own !== undefined) return indexHint('pfNames', text, indexes, name, own)
  if (parsePciAddress(name) !== undefined)
    return [`pfNames has ${text}, which is a PCI address; addresses of PFs stand in rootDevices`]
  const vf = snapshot.devices.find(
    ({ pf, netdevs }) => pf !== undefined && netdevs.some((one) => one.name === name),
  )
  if (vf !== undefined) return [`pfNames has ${text}, which is the interface of the VF ${vf.id}`]
  const names = pfs.flatMap((pf) => namesOfPf(pf)[0] ?? [])
  const others = names.length === 0 ? 'no PF has an interface here' : `the PFs are ${names.join(', ')}`
  return [`pfNames has ${text}, a name that no PF has; ${others}`]
}

function rootHint({ text, pf: address, indexes }: PfSelector, snapshot: Snapshot): string[] {
  const own = snapshot.pfs.get(address.toLowerCase())
  if (own !== undefined) return indexHint('rootDevices', text, indexes, address, own)
  const named = [...snapshot.pfs.values()].find((pf) => namesOfPf(pf).includes(address))
  if (named !== undefined)
    return [
      `rootDevices has ${text}, which is a name; names stand in pfNames, and the address is ${named.address}`,
    ]
  const vf = snapshot.devices.find(({ id, pf }) => id === address && pf !== undefined)
  if (vf !== undefined) return [`rootDevices has ${text}, which is a VF; its PF is ${vf.pf?.address}`]
  const addresses = [...snapshot.pfs.keys()]
  const others = addresses.length === 0 ? 'the node has no PF' : `the PFs are ${addresses.join(', ')}`
  return [`rootDevices has ${text}, an address that no PF has; ${others}`]
}

/** VFs are numbered without a gap: a range that begins at their number or above selects none. Subfunctions have any number. */
function indexHint(
  key: string,
  text: string,
  indexes: PfSelector['indexes'],
  name: string,
  { numVfs }: Pf,
): string[] {
  const isBeyond = indexes?.some(([first]) => first >= numVfs) === true
  if (!isBeyond || numVfs === 0) return []
  return [`${key} has ${text}, but ${name} has ${numVfs} VFs: 0-${numVfs - 1}`]
}
