/**
 * Every key of a `vf-attach` config. The one source for the check in config.ts, for the table in docs/configuration.md
 * (hack/docs.ts) and for docs/schema/vf-attach.json. Keys that follow from each other are checked in vf-wishes.ts.
 */
import { group, row, section } from '../../cni/config-keys.ts'
import { deviceInfoPath, elsewhere, logKeys, protocolKeys } from '../../cni/protocol-keys.ts'
import { type Dns, readDns } from '../../cni/result.ts'
import {
  anyObject,
  choice,
  flag,
  folder,
  integer,
  invalid,
  type Kind,
  type Leaf,
  leaf,
  pciAddress,
  pciPattern,
  pciWords,
  text,
  textThat,
} from '../../cni/value-kinds.ts'
import { isLinkName, isPlainName } from '../../lib/interface-name.ts'
import { isMulticast, isZero, type Mac, tryParseMac } from '../../lib/mac.ts'
import { isFolderPath } from '../../lib/path.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { defaultStateDir } from '../../records/store.ts'

/** A device by its PCI address, or by its name on the auxiliary bus. */
export type BusName =
  | { readonly by: 'pci'; readonly address: PciAddress }
  | { readonly by: 'auxiliary'; readonly name: string }

const interfaceName = (allowed: string): Leaf<string> =>
  textThat(isPlainName, allowed, { minLength: 1, maxLength: 15, pattern: '^[^/:%\\s]+$' })

/** Names of the auxiliary bus (Linux Documentation/driver-api/auxiliary_bus.rst): MODULE.DEVICE.NUMBER. */
const auxiliaryName = '\\w+\\.\\w+\\.\\d+'
const auxiliary = new RegExp(`^${auxiliaryName}$`)
const busName: Leaf<BusName> = text(
  (name): BusName | undefined => {
    const address = parsePciAddress(name)
    if (address !== undefined) return { by: 'pci', address }
    return auxiliary.test(name) ? { by: 'auxiliary', name } : undefined
  },
  `${pciWords}, or a device of the auxiliary bus such as mlx5_core.sf.4`,
  { pattern: `^(${pciPattern}|${auxiliaryName})$` },
)

const octet = '[0-9A-Fa-f]{2}'
const macPattern = `^(${octet}(:${octet}){5}|${octet}(-${octet}){5}|[0-9A-Fa-f]{4}(\\.[0-9A-Fa-f]{4}){2})$`
/** The MAC address of an interface. */
export const unicastMac: Leaf<Mac> = text(
  (value) => {
    const mac = tryParseMac(value)
    return mac === undefined || isMulticast(mac) || isZero(mac) ? undefined : mac
  },
  'a unicast MAC address such as 02:00:00:00:00:01',
  { pattern: macPattern },
)
/** Read where it is chosen (vf-wishes.ts): of several MAC addresses only the one that counts must be right. */
const anyMac = textThat(() => true, 'a unicast MAC address', { pattern: macPattern })

/** sriov-cni has words for a switch; true and false are what others write. */
const onOff: Leaf<boolean> = leaf(
  (value) =>
    value === 'on' || value === true ? true : value === 'off' || value === false ? false : undefined,
  '"on" or "off"',
  { anyOf: [{ enum: ['on', 'off'] }, { type: 'boolean', deprecated: true }] },
)
const vlanProto = choice(['802.1q', '802.1ad'])
const rate = integer(0, 0xffffffff, 'Mbit/s, 0 = no limit')

/** As the reader of results has it: CHECK gets it back in a result. */
const dns: Kind<Dns | undefined> = {
  allowed: 'an object',
  schema: {
    type: 'object',
    properties: {
      domain: { type: 'string' },
      ...Object.fromEntries(
        ['nameservers', 'search', 'options'].map((key) => [
          key,
          { type: 'array', items: { type: 'string' } },
        ]),
      ),
    },
  },
  read: (value, path) => readDns(value, path, invalid),
}

/** The keys that name a device, in the order in which they are looked at. */
export const deviceKeys = {
  deviceID: row(busName, {
    of: ['sriov-cni', 'host-device'],
    effect:
      'the device; also as `runtimeConfig.deviceID` (capability `deviceID`). Several selectors must agree',
  }),
  pciBusID: row(pciAddress, { of: ['host-device'], effect: 'the device, as host-device names it' }),
  runtimeConfig: row(
    section({
      deviceID: row(busName, {
        of: ['CNI'],
        effect: 'the device, from a runtime that knows the capability `deviceID`',
      }),
      mac: row(anyMac, {
        of: ['CNI'],
        effect: 'the MAC address, from a runtime that knows the capability `mac`; comes before `mac`',
      }),
      CNIDeviceInfoFile: row(deviceInfoPath, {
        of: ['Multus'],
        effect:
          'file that ADD writes the device information of a PCI device to, for the network status of the pod (capability `CNIDeviceInfoFile`), see [Device information](#device-information). A file that can not be used is a warning',
      }),
    }),
    { of: ['CNI'], effect: 'values of the runtime' },
  ),
  device: row(interfaceName('the name of a network interface of the host'), {
    of: ['host-device'],
    effect: 'the device by the name of its interface; software interfaces (veth, VLAN) too',
  }),
  hwaddr: row(text(tryParseMac, 'a MAC address such as 02:00:00:00:00:01', { pattern: macPattern }), {
    of: ['host-device'],
    effect:
      'the device by the MAC of its interface, permanent or present; hardware is preferred to a VLAN or bridge above it',
  }),
  kernelpath: row(
    textThat(
      (path) => path.startsWith('/sys/devices/') && isFolderPath(path),
      'an absolute path below /sys/devices/',
      { pattern: '^/sys/devices/' },
    ),
    { of: ['host-device'], effect: 'the device by its folder in sysfs' },
  ),
  pf: row(
    textThat(isLinkName, "a physical function's interface name or PCI address", {
      minLength: 1,
      maxLength: 127,
    }),
    {
      of: ['vf-flower'],
      effect: 'the first free VF of this PF, for users without a device plugin; no other selector beside it',
    },
  ),
} as const

/** All keys. */
export const attachKeys = {
  ...deviceKeys,
  vlan: row(integer(0, 4094), {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: "the VF's VLAN; 0 takes it away. With `bridge`: the VLAN of the bridge's port",
  }),
  vlanQoS: row(integer(0, 7), { of: ['sriov-cni'], without: '0', effect: '802.1p priority, with `vlan`' }),
  vlanProto: row(
    text((value) => vlanProto.parse(value.toLowerCase()), vlanProto.allowed, {
      pattern: '^802\\.1([qQ]|[aA][dD])$',
    }),
    { of: ['sriov-cni'], without: '802.1q', effect: 'with `vlan`' },
  ),
  mac: row(anyMac, {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect:
      'on the PF for the VF and on the interface; `runtimeConfig.mac` (capability `mac`) and MAC in CNI_ARGS come before it',
  }),
  spoofchk: row(onOff, {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: 'PF-side; true and false are taken too',
  }),
  trust: row(onOff, {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: 'PF-side; true and false are taken too',
  }),
  link_state: row(choice(['auto', 'enable', 'disable']), {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: 'PF-side',
  }),
  min_tx_rate: row(rate, {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: 'PF-side; without max_tx_rate that keeps its value',
  }),
  max_tx_rate: row(rate, {
    of: ['sriov-cni'],
    without: 'unchanged',
    effect: 'PF-side; without min_tx_rate that keeps its value',
  }),
  mtu: row(integer(68, 65535), {
    of: ['vf-flower'],
    without: 'unchanged',
    effect: "MTU of the interface in the pod in bytes; at most the PF's; with an IPv6 address 1280 or more",
  }),
  bridge: row(interfaceName('the name of a Linux bridge'), {
    of: ['vf-flower'],
    effect: "switchdev mode: the bridge that the VF's representor is attached to until DEL",
  }),
  announce: row(
    group(
      {
        count: row(integer(0, 10), {
          of: ['vf-flower'],
          default: 3,
          effect: 'ADD itself announces the addresses so often; 0 = nobody does',
        }),
        interval: row(integer(0, 1000), {
          of: ['vf-flower'],
          default: 20,
          effect: 'milliseconds from one announcement to the next',
        }),
        carrier: row(integer(0, 10_000), {
          of: ['vf-flower'],
          default: 200,
          effect: 'milliseconds that ADD waits for the carrier first',
        }),
      },
      'an object of count (0-10), interval and carrier (milliseconds)',
    ),
    {
      of: ['vf-flower'],
      without: 'the kernel announces',
      effect:
        'by default the kernel tells neighbours after ADD: three gratuitous ARP requests a second apart, and a neighbour advertisement once duplicate address detection is over. With this key ADD itself sends both forms of gratuitous ARP and the advertisement',
    },
  ),
  ipam: row(anyObject, { of: ['CNI'], effect: 'as the IPAM plugin wants it; all verbs are delegated' }),
  dns: row(dns, {
    of: ['CNI'],
    effect:
      'in the result where IPAM says nothing: `nameservers`, `search` and `options`, arrays of strings, and `domain`, a string',
  }),
  stateDir: row(folder, {
    of: ['vf-flower'],
    default: defaultStateDir,
    effect: "folder of records and their locks; where else it may be is the [policy](#policy)'s to say",
  }),
  allowNodeDevice: row(flag, {
    of: ['vf-flower'],
    default: false,
    effect:
      "gives a pod also a device by which the node lives, if the [policy](#policy) says so too: with a default route, the node's only address, ports or interfaces on it. DEL gives everything back that it carries",
  }),
  gcLive: row(flag, {
    of: ['vf-flower'],
    default: false,
    effect: 'GC takes a device also from a living namespace when its attachment is not listed as valid',
  }),
  ...logKeys,
  ipMasq: row(elsewhere('true or false', { type: 'boolean' }), {
    of: ['CNI'],
    isIdle: true,
    effect: "a VF does not pass the host's stack",
  }),
  ...protocolKeys,
} as const
