/** Selectors: from checked values to the form of the inventory. */
import { parsePciAddress } from '../../src/lib/pci-address.ts'
import type { SelectorValues } from './keys/selector-keys.ts'
import { parsePfSelector, unitePfSelectors } from './pf-ranges.ts'
import type { PfSelector, Selector } from './plugin-config.ts'
import { type Findings, member, type Node } from './text/document.ts'

type Texts = readonly string[] | undefined
/** Tells of an entry that is taken in another spelling. */
type Tell = (key: string, index: number, text: string) => void

/** The selector of checked values; `node` is its place in the file. Lists without an entry are no condition, as none were given. */
export function selectorOf(values: SelectorValues, node: Node, findings: Findings): Selector {
  const tell: Tell = (key, index, text) => {
    const list = member(node, key)
    const entry = list?.kind === 'list' ? list.items[index] : undefined
    findings.add('warning', entry ?? node, text)
  }
  const { exclude = [], isRdma, needVhostNet } = values
  const excludes = member(node, 'exclude')
  const excluded = exclude.map((one, index) =>
    selectorOf(one, (excludes?.kind === 'list' ? excludes.items[index] : undefined) ?? node, findings),
  )
  return present<Selector>({
    vendors: canonical(values.vendors, 'vendors', hexId, tell),
    devices: canonical(values.devices, 'devices', hexId, tell),
    drivers: values.drivers,
    pciAddresses: canonical(values.pciAddresses, 'pciAddresses', pciAddress, tell),
    acpiIndexes: values.acpiIndexes,
    auxTypes: values.auxTypes,
    pfNames: pfs(values.pfNames, (pf) => pf),
    rootDevices: pfs(values.rootDevices, (pf, entry, index) => {
      const address = pciAddress(pf)
      if (address !== pf) tell('rootDevices', index, taken(entry, address))
      return address
    }),
    linkTypes: values.linkTypes,
    ddpProfiles: values.ddpProfiles,
    pKeys: values.pKeys?.map(partitionKey),
    isRdma: isRdma === true ? true : undefined,
    needVhostNet: needVhostNet === true ? true : undefined,
    vdpaType: values.vdpaType,
    eswitchModes: values.eswitchModes,
    hasRepresentor: values.hasRepresentor,
    exclude: excluded,
  })
}

function hexId(text: string): string {
  return text.toLowerCase().replace(/^0x/, '')
}

function pciAddress(text: string): string {
  return parsePciAddress(text) ?? text
}

/** As sysfs prints it: `0x%04x` (drivers/infiniband/core/sysfs.c). */
function partitionKey(text: string): string {
  return `0x${text.toLowerCase().replace(/^0x/, '').padStart(4, '0')}`
}

const taken = (text: string, as: string) =>
  `is ${JSON.stringify(text)} and is taken as "${as}"; other device plugins compare the text`

function canonical(texts: Texts, key: string, form: (text: string) => string, tell: Tell): Texts {
  return texts?.map((text, index) => {
    const own = form(text)
    if (own !== text) tell(key, index, taken(text, own))
    return own
  })
}

function pfs(
  texts: Texts,
  form: (pf: string, text: string, index: number) => string,
): readonly PfSelector[] | undefined {
  if (texts === undefined) return undefined
  const parsed = texts.flatMap((text, index) => {
    const entry = parsePfSelector(text)
    return entry === undefined ? [] : [{ ...entry, pf: form(entry.pf, text, index) }]
  })
  return unitePfSelectors(parsed)
}

/** An object without its absent members and empty lists. */
function present<T>(values: { readonly [K in keyof T]: T[K] | undefined }): T {
  const given = Object.entries(values).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  )
  return Object.fromEntries(given) as T
}
