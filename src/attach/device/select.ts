/**
 * The device that a config means. In: selectors, the host's interfaces and sysfs; out: one device with the name under
 * which it is recorded and locked. Whatever can be read in two ways is an error, never a guess.
 */

import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { deviceBehind } from '../../nic/netdev.ts'
import {
  deviceOfKernelPath,
  type PciFunction,
  pciOfKernelPath,
  readAuxDevice,
  readPciFunction,
  vfsOf,
} from '../../nic/pci.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { RecordStore } from '../../records/store.ts'
import type { Selector } from '../config/device.ts'
import { refuseTakenName } from './taken-names.ts'

/** A device that can be attached. */
export interface Device {
  /** Subject of its record and lock: PCI address, name on the auxiliary bus, or `netdev:NAME`. */
  readonly id: string
  readonly pci: PciFunction | undefined
  /** Names that its interface may report as parent (IFLA_PARENT_DEV_NAME); none for software interfaces. */
  readonly parents: readonly string[]
  /** Its interfaces on the host. */
  readonly netdevs: readonly string[]
}

/** The places in which a device is looked for. */
interface Place {
  /** Absent for a look after which nothing is taken: then a name may be another device's. */
  readonly machine?: Machine
  readonly kernel: Kernel
  readonly store: RecordStore<AttachJournal>
}

/**
 * The device that all selectors mean.
 * @throws CniError 7 when there is none, several, or the selectors disagree; 11 where the name is that of a device that a pod has
 */
export function selectDevice(place: Place, selectors: readonly Selector[]): Device {
  const devices = selectors.map((selector) => resolve(place, selector))
  const [device] = devices
  if (device === undefined) throw new RangeError('Cannot select a device without a selector')
  if (devices.some(({ id }) => id !== device.id)) {
    const list = selectors.map((selector, at) => `${selector.key} means ${devices[at]?.id ?? ''}`).join(', ')
    throw new CniError(code.invalidConfig, `Cannot choose a device: ${list}; they must be the same`)
  }
  return device
}

/**
 * All VFs of a PF, by index; the caller takes the first that nobody has.
 * @throws CniError 7 when there is no such PF or it has no VFs
 */
export function vfsBelow(kernel: Kernel, pf: string): readonly PciAddress[] {
  const address = parsePciAddress(pf) ?? parsePciAddress(kernel.link('host', pf)?.parent ?? '')
  if (address === undefined || readPciFunction(address) === undefined) {
    throw new CniError(
      code.invalidConfig,
      `Cannot use pf "${pf}": no physical function of that name or address`,
    )
  }
  const vfs = vfsOf(address)
  if (vfs.length === 0) {
    throw new CniError(
      code.invalidConfig,
      `Cannot use pf "${pf}": it has no virtual functions (sriov_numvfs is 0)`,
    )
  }
  return vfs.map((vf) => vf.address)
}

/** The device at a PCI address. @throws CniError 7 */
export function pciDevice(address: PciAddress, key = 'deviceID'): Device {
  const pci = readPciFunction(address)
  if (pci === undefined) {
    throw new CniError(code.invalidConfig, `Cannot use ${key} "${address}": no such PCI device`)
  }
  return { id: address, pci, parents: pci.parents, netdevs: pci.netdevs }
}

function resolve({ machine, kernel, store }: Place, selector: Selector): Device {
  switch (selector.by) {
    case 'pci':
      return pciDevice(selector.address, selector.key)
    case 'auxiliary':
      return auxiliaryDevice(selector.name, selector.key)
    case 'name': {
      const link = kernel.link('host', selector.name)
      if (link !== undefined) {
        const device = deviceOf(link)
        if (machine !== undefined)
          refuseTakenName(machine, store, selector.key, selector.name, { id: device.id, link: link.name })
        return device
      }
      return attached(store, selector, ({ original }) =>
        [original.link?.name, ...(original.link?.altnames ?? [])].includes(selector.name),
      )
    }
    case 'hwaddr': {
      const links = kernel
        .links('host')
        .filter(({ mac, permanentMac }) => [mac, permanentMac].includes(selector.mac))
      // A VLAN, bridge or bond carries the MAC of the hardware below it.
      const hardware = links.filter((link) => link.parent !== undefined)
      const [link, ...others] = hardware.length > 0 ? hardware : links
      if (others.length > 0) throw ambiguous(selector, [link, ...others])
      if (link !== undefined) return deviceOf(link)
      return attached(store, selector, ({ device, original }) =>
        [device.permanentMac, original.link?.mac].includes(selector.mac),
      )
    }
    case 'kernelpath': {
      const netdevs = deviceOfKernelPath(selector.path)
      const links = netdevs.flatMap((name) => kernel.link('host', name) ?? [])
      if (links.length > 1) throw ambiguous(selector, links)
      if (links[0] !== undefined) return deviceOf(links[0])
      // In a pod its interface can't be seen from here, and under a user space driver it has none.
      const address = pciOfKernelPath(selector.path)
      if (address === undefined) throw nothing(selector)
      return pciDevice(address, selector.key)
    }
  }
}

function auxiliaryDevice(name: string, key: string): Device {
  const found = readAuxDevice(name)
  if (found === undefined) {
    throw new CniError(code.invalidConfig, `Cannot use ${key} "${name}": no such device on the auxiliary bus`)
  }
  return { id: name, pci: undefined, parents: [name], netdevs: found.netdevs }
}

/** The device of an interface; one of several interfaces of a function is recorded by its own name. */
function deviceOf(link: LinkFacts): Device {
  const behind = link.parent === undefined ? undefined : (parentOf(link) ?? deviceBehind(link.name))
  const device =
    behind === undefined
      ? undefined
      : behind.bus === 'pci'
        ? pciDevice(behind.address)
        : auxiliaryDevice(behind.name, 'device')
  if (device?.netdevs.length === 1) return device
  return {
    id: `netdev:${link.name}`,
    pci: device?.pci,
    parents: link.parent === undefined ? [] : [link.parent],
    netdevs: [link.name],
  }
}

/** The device of an interface, as the kernel tells it beside the name, which may be another one by now. */
function parentOf({ parent = '', parentBus }: LinkFacts): ReturnType<typeof deviceBehind> {
  if (parentBus === 'auxiliary') return { bus: 'auxiliary', name: parent }
  const address = parentBus === 'pci' ? parsePciAddress(parent) : undefined
  return address === undefined ? undefined : { bus: 'pci', address }
}

/** A device that is not on the host because it is attached: the record knows what it was called here. */
function attached(
  store: RecordStore<AttachJournal>,
  selector: Selector,
  matches: (journal: AttachJournal) => boolean,
): Device {
  const found = recorded(store, selector, matches)
  if (found === undefined) throw nothing(selector)
  return found
}

/** The device of the first record that fits. */
function recorded(
  store: RecordStore<AttachJournal>,
  selector: Selector,
  matches: (journal: AttachJournal) => boolean,
): Device | undefined {
  for (const name of store.list()) {
    try {
      const record = store.read(name)
      if (record === undefined || !matches(record.journal)) continue
    } catch {
      continue // a record that can't be read is the business of those whose device it is
    }
    const address = parsePciAddress(name.subject)
    return address === undefined
      ? { id: name.subject, pci: undefined, parents: [], netdevs: [] }
      : pciDevice(address, selector.key)
  }
  return undefined
}

function nothing(selector: Selector): CniError {
  return new CniError(
    code.invalidConfig,
    `Cannot use ${selectorWords(selector)}: no interface of the host is that`,
  )
}

function ambiguous(selector: Selector, links: readonly (LinkFacts | undefined)[]): CniError {
  const names = links.map((link) => link?.name ?? '').join(', ')
  return new CniError(
    code.invalidConfig,
    `Cannot use ${selectorWords(selector)}: it means several interfaces: ${names}`,
  )
}

/** A selector as the config has it: key and value. */
export function selectorWords(selector: Selector): string {
  const value =
    selector.by === 'hwaddr'
      ? selector.mac
      : selector.by === 'kernelpath'
        ? selector.path
        : 'name' in selector
          ? selector.name
          : selector.address
  return `${selector.key} "${value}"`
}
