/**
 * Device information of an attachment (Network Plumbing Working Group, device-info-spec 1.1.0), for the file that Multus hands on.
 * In: the file's text, as the device plugin has written it, and the kernel's facts; out: the text as it has to be. Pure.
 */
import { get, isObject, type JsonObject, type JsonValue, parse, shown, stringify } from '../../lib/json.ts'
import type { PciAddress } from '../../lib/pci-address.ts'

/** The kernel's facts about a PCI device. */
export interface DeviceInfoFacts {
  readonly address: PciAddress
  readonly pf: PciAddress | undefined
  /** Name of the representor. */
  readonly representor: string | undefined
  /** Names of RDMA devices. */
  readonly rdma: readonly string[]
  /** True when a vDPA device of this name belongs to the device. */
  isVdpa(name: string): boolean
}

/** The text of a file, and a line for each thing in the old text that the kernel says otherwise. */
export interface ToldDevice {
  readonly text: string
  readonly doubts: readonly string[]
}

/**
 * The device information with the kernel's facts. From the old text come only the things that the kernel does not tell: `vhost-net`, and
 * the driver and file of a vDPA device. An old text about another device counts for nothing.
 * @param old undefined where there is no file
 */
export function deviceInfoOf(old: string | undefined, facts: DeviceInfoFacts): ToldDevice {
  const { address, pf, representor, rdma } = facts
  const doubts: string[] = []
  const told = old === undefined ? {} : sectionOf(old, facts, doubts)
  const position = { 'pf-pci-address': pf, 'representor-device': representor }
  const vdpa = told.vdpa && {
    ...pickTexts(told.vdpa, ['parent-device', 'driver', 'path']),
    'pci-address': address,
    ...position,
  }
  const pci = {
    'pci-address': address,
    ...pickTexts(told.pci ?? {}, ['vhost-net']),
    'rdma-device': rdma.length === 0 ? undefined : rdma.join(','),
    ...position,
  }
  const version = '1.1.0'
  const info = vdpa === undefined ? { type: 'pci', version, pci } : { type: 'vdpa', version, vdpa }
  return { text: stringify(info), doubts }
}

/** The section of an old text that may be used. */
function sectionOf(
  old: string,
  { address, representor, isVdpa }: DeviceInfoFacts,
  doubts: string[],
): { readonly pci?: JsonObject; readonly vdpa?: JsonObject } {
  const info = read(old)
  const type = get(info, 'type')
  const section = get(info, type === 'vdpa' ? 'vdpa' : 'pci')
  if (!isObject(section)) {
    doubts.push('it is no device information of type pci or vdpa')
    return {}
  }
  const named = get(section, 'pci-address')
  if (named !== address) {
    doubts.push(`pci-address is ${words(named)}, and the device is "${address}"`)
    return {}
  }
  const end = get(section, 'representor-device')
  if (end !== undefined && end !== representor)
    doubts.push(
      `representor-device is ${words(end)}, and the kernel has ${representor === undefined ? 'none' : `"${representor}"`}`,
    )
  if (type !== 'vdpa') return { pci: section }
  const parent = get(section, 'parent-device')
  if (typeof parent === 'string' && isVdpa(parent)) return { vdpa: section }
  doubts.push(`parent-device is ${words(parent)}, and that is no vDPA device of "${address}"`)
  return {}
}

function read(text: string): JsonObject {
  try {
    const value = parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function pickTexts(section: JsonObject, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = get(section, key)
      return typeof value === 'string' && value !== '' ? [[key, value]] : []
    }),
  )
}

function words(value: JsonValue | undefined): string {
  return value === undefined ? 'absent' : shown(value)
}
