/** The device that a config names, in one or several ways. */
import type { Values } from '../../cni/config-keys.ts'
import { CniError, code } from '../../cni/error.ts'
import { shown } from '../../lib/json.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import type { BusName, deviceKeys } from './keys.ts'

/** One way in which the config names the device; `key` is the config's word for it. */
export type Selector =
  | (BusName & { readonly key: string })
  | { readonly by: 'name'; readonly key: string; readonly name: string }
  | { readonly by: 'hwaddr'; readonly key: string; readonly mac: string }
  | { readonly by: 'kernelpath'; readonly key: string; readonly path: string }

/** The device of a config: selectors that must agree, or `pf`, any free VF of which will do. */
export interface ChosenDevice {
  readonly selectors: readonly Selector[]
  readonly pf: string | undefined
}

/** The keys of a config that name a device. */
export type DeviceValues = Values<typeof deviceKeys>

/**
 * Reads the device of an ADD or CHECK. Multus fills three of the keys at once. PCI addresses that differ are an error here, other
 * selectors are compared when the device is looked up: whichever we took, somebody would have meant the other.
 * @throws CniError 7 where no key names a device, or two name different ones
 */
export function chosenDevice(values: DeviceValues): ChosenDevice {
  const chosen = namedDevice(values)
  if (chosen.pf === undefined && chosen.selectors.length === 0) {
    const words =
      'one of deviceID, pciBusID, runtimeConfig.deviceID, device, hwaddr, kernelpath or pf must name it'
    throw new CniError(code.invalidConfig, `Cannot choose a device: ${words}`)
  }
  return chosen
}

/** Reads the device, which may be absent: of a STATUS the runtime names it at ADD. */
export function namedDevice(values: DeviceValues): ChosenDevice {
  const selectors = selectorsOf(values)
  const { pf } = values
  if (pf !== undefined && selectors[0] !== undefined) {
    const words = `Cannot choose a device: pf ${shown(pf)} must stand alone, and ${selectors[0].key} is given too`
    throw new CniError(code.invalidConfig, words)
  }
  const addresses = new Map(
    selectors.flatMap((one): [string, PciAddress][] => (one.by === 'pci' ? [[one.key, one.address]] : [])),
  )
  if (new Set(addresses.values()).size > 1) {
    const list = [...addresses].map(([key, value]) => `${key} "${value}"`).join(', ')
    throw new CniError(code.invalidConfig, `Cannot choose a device: ${list} must be the same`)
  }
  return { selectors, pf }
}

function selectorsOf(values: DeviceValues): readonly Selector[] {
  const { deviceID, pciBusID, runtimeConfig, device, hwaddr, kernelpath } = values
  const fromRuntime = runtimeConfig?.deviceID
  const selectors: Selector[] = []
  if (deviceID !== undefined) selectors.push({ ...deviceID, key: 'deviceID' })
  if (pciBusID !== undefined) selectors.push({ by: 'pci', address: pciBusID, key: 'pciBusID' })
  if (fromRuntime !== undefined) selectors.push({ ...fromRuntime, key: 'runtimeConfig.deviceID' })
  if (device !== undefined) selectors.push({ by: 'name', name: device, key: 'device' })
  if (hwaddr !== undefined) selectors.push({ by: 'hwaddr', mac: hwaddr, key: 'hwaddr' })
  if (kernelpath !== undefined) selectors.push({ by: 'kernelpath', path: kernelpath, key: 'kernelpath' })
  return selectors
}
