/**
 * Attachments that the host-device plugin of containernetworking/plugins made. It keeps no file: all it leaves is the
 * interface CNI_IFNAME in the pod, with the name that it had on the host as its alias. Pure: the interface and the
 * config's selection in, the journal of a restore out, or nothing when the interface is none of that network's.
 */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { isPlainName } from '../../lib/interface-name.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import type { AttachJournal } from '../../records/attach.ts'

/** The selectors of a config. A key that the config does not have is absent. */
export interface HostDeviceWish {
  /**
   * Devices that `deviceID`, `pciBusID`, `runtimeConfig.deviceID` or `kernelpath` name; `parents` are the names under
   * which an interface reports them (a virtio function's is the virtio device below it).
   */
  readonly devices: readonly BusDevice[]
  /** `device`: the interface's name on the host. */
  readonly device?: string | undefined
  /** `hwaddr`, lower case. */
  readonly hwaddr?: string | undefined
}

/** A device of a bus, as a journal has it. */
export type BusDevice = Pick<AttachJournal['device'], 'id' | 'pci' | 'parents'>

/** The facts that decide. */
export type HostDeviceLink = Pick<
  LinkFacts,
  | 'alias'
  | 'altnames'
  | 'ifindex'
  | 'kind'
  | 'lower'
  | 'lowerNetns'
  | 'mac'
  | 'mtu'
  | 'name'
  | 'parent'
  | 'permanentMac'
>

/**
 * The journal that takes the pod's interface `link` home as host-device would: under its alias, down, the alias
 * cleared; MAC, MTU and altnames stay, because nobody knows what they were. Undefined when it must not be touched: the
 * config does not select it (the pod may have made an interface of that name by itself), the alias is no name that
 * an interface could have had, or the interface is joined to another one of the pod: it never was the host's.
 */
export function hostDeviceJournal(link: HostDeviceLink, wish: HostDeviceWish): AttachJournal | undefined {
  const { alias, mac, mtu, kind } = link
  if (!isPlainName(alias) || !isSelected(link, wish)) return undefined
  if (link.lower !== undefined && link.lowerNetns === undefined && link.parent === undefined) return undefined
  const altnames = link.altnames.filter((altname) => altname !== alias && altname !== link.name)
  return {
    device: {
      ...deviceOf(link, wish),
      podIfindex: link.ifindex,
      ...(link.permanentMac === undefined ? {} : { permanentMac: link.permanentMac }),
      ...(kind === undefined ? {} : { kind }),
    },
    original: { link: { name: alias, altnames, mac, mtu, up: false, alias: '' } },
  }
}

/** By any one key: host-device itself takes the first of several and does not look whether they agree. */
function isSelected(link: HostDeviceLink, wish: HostDeviceWish): boolean {
  const { alias, mac, permanentMac } = link
  if (wishedDevice(link, wish) !== undefined || wish.device === alias) return true
  return wish.hwaddr !== undefined && (wish.hwaddr === mac || wish.hwaddr === permanentMac)
}

function wishedDevice({ parent }: HostDeviceLink, { devices }: HostDeviceWish): BusDevice | undefined {
  return devices.find(({ parents }) => parent !== undefined && parents.includes(parent))
}

function deviceOf(link: HostDeviceLink, wish: HostDeviceWish): BusDevice {
  const wished = wishedDevice(link, wish)
  if (wished !== undefined) return wished
  const parents = link.parent === undefined ? [] : [link.parent]
  const pci = parsePciAddress(link.parent ?? '')
  return pci === undefined ? { id: `netdev:${link.alias}`, parents } : { id: pci, pci, parents }
}
