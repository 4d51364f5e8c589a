import type { Request } from '../../cni/request.ts'
import type { Interface, Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { noMac } from '../../lib/mac.ts'
import type { AttachConfig } from '../config/config.ts'
import type { AttachFacts } from '../device/facts.ts'

/**
 * The result of an ADD: the pod's interface with `mac`, `mtu` and `pciID` as sriov-cni and the specification 1.1.0 have
 * them, then the representor on the host where there is one. A device held by a user space driver is listed too, under
 * the name that it does not have, with its administrative MAC and the PF's MTU (sriov-cni's form).
 */
export function resultOf(
  request: Request,
  config: AttachConfig,
  facts: AttachFacts,
  link: LinkFacts | undefined,
  ipam: Result | undefined,
): Result {
  const { device, vf } = facts
  const adminMac = config.mac ?? (vf?.attributes.mac === noMac ? undefined : vf?.attributes.mac)
  const mac = link === undefined ? adminMac : link.mac
  const mtu = link === undefined ? vf?.pfMtu : link.mtu
  const container: Interface = {
    name: request.ifname,
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    sandbox: request.netns,
    ...(device.pci === undefined ? {} : { pciID: device.pci.address }),
  }
  const representor = vf?.representor?.link
  const interfaces: Interface[] =
    representor === undefined ? [container] : [container, { name: representor.name, mac: representor.mac }]
  const dns = Object.keys(ipam?.dns ?? {}).length > 0 ? ipam?.dns : config.dns
  const named = dns === undefined ? {} : { dns }
  if (ipam === undefined) return { interfaces, ...named }
  return { ...ipam, ...named, interfaces, ips: (ipam.ips ?? []).map((ip) => ({ ...ip, interface: 0 })) }
}
