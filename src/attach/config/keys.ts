/**
 * Every key of a `vf-attach` config: its schema, the words for what is allowed, and what it does. The one source for
 * the check in config/config.ts and for the table in docs/configuration.md (hack/docs.ts).
 */
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { isLinkName, isPlainName } from '../../lib/interface-name.ts'
import { isFolderPath } from '../../lib/path.ts'

/** One key of the config. */
export interface Key {
  /** Made when it is asked for: a call uses few of them, and each costs start time. */
  readonly schema: () => z.ZodMiniType
  /** What is allowed, as an error says it after "must be". */
  readonly allowed: string
  readonly effect: string
}

const fits = (judge: (text: string) => boolean) => z.string().check(z.refine(judge))
const interfaceName = () => fits(isPlainName)
const onOff = () => z.union([z.literal('on'), z.literal('off'), z.boolean()])
const pciAddress = 'a PCI address such as 0000:3b:02.1'
const rate = 'an integer from 0 to 4294967295 (Mbit/s, 0 = no limit)'

/** Keys of sriov-cni and host-device, and ours: `pf`, `mtu`, `bridge`, `announce`, `stateDir`, `allowNodeDevice`, `gcLive`. */
export const keys: Readonly<Record<string, Key>> = {
  deviceID: {
    schema: () => z.string(),
    allowed: `${pciAddress}, or a device of the auxiliary bus such as mlx5_core.sf.4`,
    effect:
      'the device; also as `runtimeConfig.deviceID` (capability `deviceID`). Several selectors must agree',
  },
  pciBusID: { schema: () => z.string(), allowed: pciAddress, effect: 'the device, as host-device names it' },
  device: {
    schema: interfaceName,
    allowed: 'the name of a network interface of the host',
    effect: 'the device by the name of its interface; software interfaces (veth, VLAN) too',
  },
  hwaddr: {
    schema: () => z.string(),
    allowed: 'a MAC address',
    effect:
      'the device by the MAC of its interface, permanent or present; hardware is preferred to a VLAN or bridge above it',
  },
  kernelpath: {
    schema: () => fits((path) => path.startsWith('/sys/devices/') && isFolderPath(path)),
    allowed: 'an absolute path below /sys/devices/',
    effect: 'the device by its folder in sysfs',
  },
  pf: {
    schema: () => fits(isLinkName),
    allowed: "a physical function's interface name or PCI address",
    effect: 'the first free VF of this PF, for users without a device plugin; no other selector beside it',
  },
  vlan: {
    schema: () => integer(0, 4094),
    allowed: 'an integer from 0 to 4094',
    effect: "the VF's VLAN; 0 takes it away, absent leaves it. With `bridge`: the VLAN of the bridge's port",
  },
  vlanQoS: {
    schema: () => integer(0, 7),
    allowed: 'an integer from 0 to 7',
    effect: '802.1p priority, with `vlan`',
  },
  vlanProto: {
    schema: () => z.string().check(z.regex(/^802\.1(q|ad)$/i)),
    allowed: '"802.1q" or "802.1ad"',
    effect: 'with `vlan`',
  },
  mac: {
    schema: () => z.string(),
    allowed: 'a unicast MAC address',
    effect:
      'on the PF for the VF and on the interface; `runtimeConfig.mac` (capability `mac`) and MAC in CNI_ARGS come before it',
  },
  spoofchk: { schema: onOff, allowed: '"on" or "off"', effect: 'PF-side; true and false are taken too' },
  trust: { schema: onOff, allowed: '"on" or "off"', effect: 'PF-side; true and false are taken too' },
  link_state: {
    schema: () => z.enum(['auto', 'enable', 'disable']),
    allowed: '"auto", "enable" or "disable"',
    effect: 'PF-side',
  },
  min_tx_rate: {
    schema: () => integer(0, 0xffffffff),
    allowed: rate,
    effect: 'PF-side; without max_tx_rate that keeps its value',
  },
  max_tx_rate: {
    schema: () => integer(0, 0xffffffff),
    allowed: rate,
    effect: 'PF-side; without min_tx_rate that keeps its value',
  },
  mtu: {
    schema: () => integer(68, 65535),
    allowed: 'an integer from 68 to 65535',
    effect: "MTU of the interface in the pod in bytes; at most the PF's; with an IPv6 address 1280 or more",
  },
  bridge: {
    schema: interfaceName,
    allowed: 'the name of a Linux bridge',
    effect: "switchdev mode: the bridge that the VF's representor is attached to until DEL",
  },
  announce: {
    schema: () =>
      z.object({
        count: z.optional(integer(0, 10)),
        interval: z.optional(integer(0, 1000)),
        carrier: z.optional(integer(0, 10_000)),
      }),
    allowed: 'an object of count (0-10), interval and carrier (milliseconds)',
    effect:
      'by default the kernel tells neighbours after ADD: three gratuitous ARP requests a second apart, and a neighbour advertisement once duplicate address detection is over. With this key ADD itself sends both forms of gratuitous ARP and the advertisement: so often (default 3, 0 = none, by nobody), so far apart (default 20 ms), after waiting for the carrier so long (default 200 ms)',
  },
  ipam: {
    schema: () => z.looseObject({}),
    allowed: 'an object',
    effect: 'as the IPAM plugin wants it; all verbs are delegated',
  },
  dns: {
    schema: () => z.looseObject({}),
    allowed: 'an object',
    effect:
      'in the result where IPAM says nothing: `nameservers`, `search` and `options`, arrays of strings, and `domain`, a string',
  },
  stateDir: {
    schema: () => fits(isFolderPath),
    allowed: 'an absolute path',
    effect:
      "records and their locks, default `/var/lib/cni/vf-flower`; where else is the [policy](#policy)'s to say",
  },
  allowNodeDevice: {
    schema: () => z.boolean(),
    allowed: 'true or false',
    effect:
      "gives a pod also a device by which the node lives, if the [policy](#policy) says so too: with a default route, the node's only address, ports or interfaces on it. What it carries is given back by DEL",
  },
  gcLive: {
    schema: () => z.boolean(),
    allowed: 'true or false',
    effect: 'GC takes a device also from a living namespace when its attachment is not listed as valid',
  },
}

/** Keys that belong to the protocol or to the runtime, and those of the log. */
export const otherKeys = [
  'cniVersion',
  'cniVersions',
  'name',
  'type',
  'capabilities',
  'runtimeConfig',
  'args',
  'prevResult',
  'disableCheck',
  'disableGC',
  'ipMasq',
  'logLevel',
  'logFile',
]

function integer(low: number, high: number) {
  return z.int().check(z.gte(low), z.lte(high))
}
