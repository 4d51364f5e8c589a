/**
 * Every key of a `vf-offload` config: those of the portmap and bandwidth plugins, and ours. The one source for the check in
 * config.ts, for the table in docs/configuration.md (hack/docs.ts) and for docs/schema/vf-offload.json.
 */
import { list, row, section } from '../../cni/config-keys.ts'
import { deviceInfoPath, elsewhere, logKeys, protocolKeys } from '../../cni/protocol-keys.ts'
import {
  choice,
  flag,
  folder,
  integer,
  leaf,
  pciAddress,
  portRanges,
  text,
  textThat,
} from '../../cni/value-kinds.ts'
import { isLinkName } from '../../lib/interface-name.ts'
import { formatCidr, type Ip, networkOf, tryParseCidr, tryParseIp, withoutMapping } from '../../lib/ip.ts'
import type { JsonValue } from '../../lib/json.ts'
import { defaultStateDir } from '../../records/store.ts'
import { bandwidthKeys, rateKeys } from './bandwidth.ts'
import { portmapKeys } from './portmap-compat.ts'

const port = integer(1, 65535)
const protocol = choice(['tcp', 'udp', 'sctp'])

/** One port mapping, as runtimes hand it on. */
const mappingKeys = {
  hostPort: row(port, { of: ['portmap'], isRequired: true, effect: 'port of the node' }),
  containerPort: row(port, { of: ['portmap'], isRequired: true, effect: 'port of the container' }),
  protocol: row(
    text((word) => protocol.parse(word.toLowerCase()), protocol.allowed, {
      pattern: '^([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP])$',
    }),
    { of: ['portmap'], default: 'tcp', effect: 'in any case of letters' },
  ),
  hostIP: row(text(hostIp, 'an IPv4 or IPv6 address'), {
    of: ['portmap'],
    without: 'every address that serves the pod',
    effect:
      'the address of the node; `0.0.0.0` and `::` mean those of one family, `::ffff:192.0.2.1` is 192.0.2.1',
  }),
} as const

/** An IPv4 address in the form of IPv6 is the IPv4 address. */
function hostIp(value: string): Ip | undefined {
  const ip = tryParseIp(value)
  if (ip === undefined) return undefined
  return withoutMapping(ip)
}

/** A network in canonical form, each once: hosts of one network name it, too. */
function networks(value: JsonValue): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const cidrs = value.map((entry: JsonValue) => (typeof entry === 'string' ? tryParseCidr(entry) : undefined))
  if (!cidrs.every((cidr) => cidr !== undefined)) return undefined
  return [...new Set(cidrs.map((cidr) => formatCidr(networkOf(cidr))))]
}

const device = 'optional: the kernel tells which device the pod has; a device that is named must be that one'

/** All keys. */
export const offloadKeys = {
  runtimeConfig: row(
    section({
      portMappings: row(list(mappingKeys), {
        of: ['portmap'],
        effect: 'the wishes of the pod; declare the capability `portMappings`',
      }),
      bandwidth: row(section(rateKeys), {
        of: ['bandwidth'],
        effect: 'the limits of the pod; declare the capability `bandwidth`, see [Bandwidth](#bandwidth)',
      }),
      deviceID: row(pciAddress, { of: ['CNI'], effect: device }),
      CNIDeviceInfoFile: row(deviceInfoPath, {
        of: ['Multus'],
        isIdle: true,
        effect:
          'taken, neither read nor written: the kernel tells the device and its representor, whose name can have changed since',
      }),
    }),
    { of: ['CNI'], effect: 'values of the runtime' },
  ),
  offload: row(choice(['prefer', 'require', 'off'], '"prefer", "require", "off"'), {
    of: ['vf-flower'],
    default: 'prefer',
    effect:
      "`prefer` tries the filters of a mapping with `skip_sw`, all of them or none, and falls back to software with the driver's reason; `require` fails with code 101 and the driver's words, or the reason why the NIC is not asked, and with code 7 where no NIC could be",
  }),
  legacyOffload: row(choice(['off', 'try'], '"off", "try"'), {
    of: ['vf-flower'],
    default: 'off',
    effect:
      'for VFs in legacy mode and NICs of their own: `try` offers filters that send a frame back by its own port to drivers that are known to take them (mlx5 and cxgb4, from their sources). No card was seen to deliver such a frame: see [Hairpin](#hairpin)',
  }),
  nat: row(choice(['auto', 'pod', 'nic'], '"auto", "pod", "nic"'), {
    of: ['vf-flower'],
    default: 'auto',
    effect:
      'the place where addresses and ports are translated: by connections inside the pod, or without them in the eSwitch. `auto` is `pod`, unless `directSubnets` is given, no UDP port is mapped and the NIC takes all of it',
  }),
  directSubnets: row(
    leaf(networks, 'an array of networks such as "10.1.0.0/24"', {
      type: 'array',
      items: { type: 'string', pattern: '^[0-9A-Fa-f:.]+/[0-9]{1,3}$' },
    }),
    {
      of: ['vf-flower'],
      default: [],
      effect:
        "with `nat: nic`: hosts that reach the pod's own address and port; others outside of the card can't, and these can't use the mapped port",
    },
  ),
  uplink: row(
    textThat(isLinkName, 'the name of a network interface of the host', { minLength: 1, maxLength: 127 }),
    {
      of: ['vf-flower'],
      effect:
        "for a NIC in the pod that is no VF: the host's interface on the same wire. A config that names it vouches that both are on one segment. For a macvlan: the interface below it. For a VF whose PF has several ports: the port that the pod's network is on; of a PF with one port, no other than this one",
    },
  ),
  deviceID: row(pciAddress, { of: ['CNI'], effect: device }),
  pciBusID: row(pciAddress, { of: ['host-device'], effect: device }),
  snat: row(flag, {
    of: ['portmap'],
    default: true,
    effect:
      "the host replaces the source address of connections that it translates and whose replies would not come back through it: a pod's own and its neighbours', programs at 127.0.0.1, all that reaches a VF by the host's stack",
  }),
  masqAll: row(flag, {
    of: ['portmap'],
    default: false,
    effect: '... of all connections; for pods behind a veth only, else code 2',
  }),
  localhost: row(flag, {
    of: ['vf-flower'],
    without: 'true behind a veth unless `snat` is false, else false',
    effect: "the node's programs reach mapped ports at 127.0.0.1 too (see below)",
  }),
  allowedHostPorts: row(portRanges, {
    of: ['vf-flower'],
    without: 'all',
    effect:
      'any other `hostPort` is refused with code 7; so is one that the [policy](#policy) does not allow. Recommended for networks that pods name by annotation: with Multus their authors choose ports',
  }),
  allowListening: row(flag, {
    of: ['vf-flower'],
    default: false,
    effect:
      "a port may be mapped although a program of the node listens on it; without, that is code 100 with the program's name",
  }),
  allowServicePorts: row(flag, {
    of: ['vf-flower'],
    default: false,
    effect:
      'a port may be mapped although [somebody else on the node](#ports-of-services) translates it, if the [policy](#policy) says so too; without, that is code 100 with the rule',
  }),
  allowConnected: row(flag, {
    of: ['vf-flower'],
    default: false,
    effect:
      "a port may be mapped on a VF or NIC although the node has something open from it, whose replies are lost then; without, that is code 100 with both ends. See [The node's own connections](#own-connections)",
  }),
  ...portmapKeys,
  ...rateKeys,
  bandwidth: row(section(bandwidthKeys, 'an object with the key "require"'), {
    of: ['vf-flower'],
    effect: 'see [Bandwidth](#bandwidth)',
  }),
  stateDir: row(folder, {
    of: ['vf-flower'],
    default: defaultStateDir,
    effect:
      "folder of records, in a folder `offload` of it (`portmap`, `bandwidth` under these names); where else it may be is the [policy](#policy)'s to say. The things that all attachments of a node share are in `/run/vf-flower`",
  }),
  gcLive: row(elsewhere('true or false', { type: 'boolean' }), {
    of: ['vf-flower'],
    default: false,
    effect: 'GC takes mappings and limits also from a living pod when its attachment is not listed as valid',
  }),
  ...logKeys,
  ...protocolKeys,
  ipam: row(elsewhere('an object', { type: 'object' }), {
    of: ['CNI'],
    isIdle: true,
    effect: 'for main plugins',
  }),
  dns: row(elsewhere('an object', { type: 'object' }), {
    of: ['CNI'],
    isIdle: true,
    effect: 'for main plugins',
  }),
} as const
