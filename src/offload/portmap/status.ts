/** The needs of port mappings on a node, for STATUS. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { driverOf, readPciFunction, vfsOf } from '../../nic/pci.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { Readiness, StatusContext } from '../feature.ts'
import { uplinkAddresses } from '../port/addresses.ts'
import { orderHindrance, rewriteHindrances } from '../port/driver-words.ts'
import { linkHindrance } from '../port/hindrance.ts'
import { eswitchWords, findUplink, isSwitchdev, managerOf } from '../port/uplink.ts'
import { takesHairpin } from './hairpin/words.ts'

/** The capability is no wish: a pod that asks for no port is served without any of this. */
export function portmapReadiness({ kernel, config, pfs, device }: StatusContext): Readiness {
  if (!config.servesPorts) return { hindrances: [] }
  const { uplink, offload, nat } = config
  const isNoVf = device !== 'absent' && device?.length === 0
  return {
    asking: needsOf(kernel, config, pfs),
    hindrances: [
      ...(isNoVf && uplink === undefined
        ? [`"${config.device}" is no virtual function: ports are mapped to it only with the key "uplink"`]
        : []),
      ...(uplink === undefined ? [] : linkHindrance(kernel, uplink, `uplink "${uplink}"`)),
      ...(offload === 'require' || nat === 'nic' ? offloadHindrance(kernel, config, pfs) : []),
    ],
  }
}

type StatusConfig = Pick<OffloadConfig, 'device' | 'uplink' | 'offload' | 'nat' | 'legacyOffload'>

function needsOf(kernel: Kernel, config: StatusConfig, pfs: readonly PciAddress[]) {
  // Pods behind a bridge are served without any filter. On other nodes there are no other pods.
  const steering = pfs.length > 0 || config.device !== undefined || config.uplink !== undefined
  // Elsewhere frames keep their tags, and addresses are translated in the pod; `auto` does that too where the NIC can't.
  const switches = pfs.filter((pf) => isSwitchdev(kernel, pf))
  const inNic =
    config.nat === 'nic' || (config.nat === 'auto' && switches.some((pf) => hasPrograms(config, pf)))
  return {
    ports: true,
    steering,
    inPod: steering && config.nat !== 'nic',
    translation: steering && config.offload !== 'off' && switches.length > 0 && inNic,
    tags: steering && switches.some((pf) => hasTags(kernel, pf, config.uplink)),
  }
}

/** A VF that a pod can get is driven by a program, so that nobody but the NIC can translate. */
function hasPrograms({ device }: StatusConfig, pf: PciAddress): boolean {
  const candidates = device === undefined ? vfsOf(pf).map(({ address }) => address) : [device]
  return candidates.some((address) => readPciFunction(address)?.userspace === true)
}

/** Mapped ports can be on an address whose frames the uplink has in a VLAN. */
function hasTags(kernel: Kernel, pf: PciAddress, wanted: string | undefined): boolean {
  const found = findUplink(kernel, pf, wanted)
  return 'link' in found && uplinkAddresses(kernel, found.link).some(({ vlan }) => vlan !== 0)
}

/** A line unless one of the PFs that a pod's VF can be of takes rules. */
function offloadHindrance(kernel: Kernel, config: StatusConfig, pfs: readonly PciAddress[]): string[] {
  const { offload, nat, legacyOffload, uplink } = config
  const triesHairpin = nat !== 'nic' && legacyOffload === 'try'
  const translation = (pf: PciAddress) => (nat === 'nic' ? translationHindrance(driverOf(pf)) : undefined)
  const reasons = [
    ...pfs.map((pf) => hindrance(kernel, pf, uplink, triesHairpin) ?? translation(pf)),
    ...(triesHairpin && uplink !== undefined ? uplinkHindrance(kernel, uplink) : []),
  ]
  if (reasons.includes(undefined)) return []
  const wish = offload === 'require' ? 'offload "require"' : 'nat "nic"'
  const words = reasons.length === 0 ? 'there are no virtual functions' : reasons.join('; ')
  return [`an ADD of port mappings with ${wish} would fail: ${words}`]
}

/** Why no plan that translates in the NIC would be offered to a driver; undefined where nothing is known against it. */
function translationHindrance(driver: string | undefined): string | undefined {
  const order = orderHindrance(driver, 'replies to the node would be translated, or others not')
  return [...rewriteHindrances(driver), ...(order === undefined ? [] : [order])].join('; ') || undefined
}

/** Why a PF's eSwitch takes no rules; undefined when nothing is known against it. */
function hindrance(
  kernel: Kernel,
  pf: PciAddress,
  wanted: string | undefined,
  triesHairpin: boolean,
): string | undefined {
  const found = findUplink(kernel, pf, wanted)
  if ('why' in found) return found.why
  const { link } = found
  const eswitch = kernel.eswitch(pf)
  if (!isSwitchdev(kernel, pf, eswitch)) {
    const manager = managerOf(pf, eswitch)
    const isOffered = manager === undefined && triesHairpin && takesHairpin('vf', driverOf(pf))
    if (!isOffered) return eswitchWords(link.name, manager)
  }
  return tcHindrance(kernel, link)
}

/** The same of the uplink of NICs of their own, where its driver takes rules for them. */
function uplinkHindrance(kernel: Kernel, uplink: string): (string | undefined)[] {
  const link = kernel.link('host', uplink)
  const address = parsePciAddress(link?.parent ?? '')
  const isTaker = address !== undefined && takesHairpin('nic', driverOf(address))
  return link !== undefined && isTaker ? [tcHindrance(kernel, link)] : []
}

function tcHindrance(kernel: Kernel, link: LinkFacts): string | undefined {
  const offload = kernel.tcOffload(link.ifindex)
  if (offload === 'on') return undefined
  return `hw-tc-offload of "${link.name}" is off${offload === 'fixed' ? ' and its driver can not switch it on' : ''}`
}
