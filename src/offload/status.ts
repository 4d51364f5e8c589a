import { CniError, code } from '../cni/error.ts'
import { requireAnswers } from '../cni/ready.ts'
import type { Kernel, Needs } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import type { PciAddress } from '../lib/pci-address.ts'
import { pfsWithVfs, readPciFunction, uplinkOf, vfsOf } from '../nic/pci.ts'
import type { RecordStore } from '../ops/record-store.ts'
import type { OffloadConfig } from './config.ts'
import { uplinkAddresses } from './host-addresses.ts'
import type { OffloadJournal } from './record.ts'

/** What the config can be asked for by a pod. */
export interface Serves {
  readonly ports: boolean
  readonly rates: boolean
}

/**
 * STATUS: netlink answers, records can be written, the kernel has the qdiscs, classifiers and actions that rules and
 * limits are made of and nft its part, the device that the config names has an uplink. The kernel is asked for nothing
 * that the config does not serve.
 * @throws CniError 50 with the reason when an ADD would fail, 51 when it would because the uplink is down, or rules must
 *   be in the NIC and the NIC takes none now: running pods suffer from that too
 */
export function requireReady(
  machine: Machine,
  store: RecordStore<OffloadJournal>,
  config: Pick<OffloadConfig, 'device' | 'uplink' | 'offload' | 'nat' | 'rates'>,
  { ports, rates }: Serves,
): void {
  requireAnswers(machine, store, (kernel) => {
    if (config.uplink !== undefined) requireLink(kernel, config.uplink, `uplink "${config.uplink}"`)
    const named = config.device === undefined ? undefined : pfOf(config.device, config.uplink !== undefined)
    const pfs = named ?? pfsWithVfs()
    const missing = kernel.missingNeeds(needsOf(kernel, config, pfs, { ports, rates }))
    if (missing.length > 0) throw new CniError(code.pluginNotAvailable, missing.join('; '))
    for (const pf of named ?? []) requireLink(kernel, uplinkOf(pf), `network interface of the PF "${pf}"`)
    if (ports && (config.offload === 'require' || config.nat === 'nic')) requireOffload(kernel, config, pfs)
  })
}

/** What pods can ask for, on this node as it is now, that an ADD would fail without. */
function needsOf(
  kernel: Kernel,
  config: Pick<OffloadConfig, 'device' | 'uplink' | 'offload' | 'nat' | 'rates'>,
  pfs: readonly PciAddress[],
  { ports, rates }: Serves,
): Needs {
  // Pods behind a bridge, all that there can be on other nodes, are served without any filter.
  const steering = ports && (pfs.length > 0 || config.device !== undefined || config.uplink !== undefined)
  // Elsewhere frames keep their tags, and addresses are translated in the pod; `auto` does that too where the NIC can't.
  const switches = pfs.filter((pf) => kernel.isSwitchdev(pf))
  const inNic =
    config.nat === 'nic' || (config.nat === 'auto' && switches.some((pf) => hasPrograms(config, pf)))
  return {
    ...{ ports, steering, rates },
    translation: steering && config.offload !== 'off' && switches.length > 0 && inNic,
    tags: steering && switches.some((pf) => hasTags(kernel, pf)),
    // Elsewhere a limit that no policer can have is kept by a shaper.
    police: rates && config.rates.outside && switches.length > 0,
  }
}

/** A VF that a pod can get is driven by a program, so that nobody but the NIC can translate. */
function hasPrograms({ device }: Pick<OffloadConfig, 'device'>, pf: PciAddress): boolean {
  const candidates = device === undefined ? vfsOf(pf).map(({ address }) => address) : [device]
  return candidates.some((address) => readPciFunction(address)?.userspace === true)
}

/** Mapped ports can be on an address whose frames the uplink has in a VLAN. */
function hasTags(kernel: Kernel, pf: PciAddress): boolean {
  const name = uplinkOf(pf)
  const uplink = name === undefined ? undefined : kernel.link('host', name)
  return uplink !== undefined && uplinkAddresses(kernel, uplink).some(({ vlan }) => vlan !== 0)
}

/** The PF of a device that the config names; none of a NIC of its own, for which it must name an uplink too. */
function pfOf(device: PciAddress, hasUplink: boolean): PciAddress[] {
  const found = readPciFunction(device)
  if (found === undefined) throw new CniError(code.pluginNotAvailable, `no PCI device "${device}"`)
  if (found.vf !== undefined) return [found.vf.pf]
  if (hasUplink) return []
  throw new CniError(
    code.pluginNotAvailable,
    `"${device}" is no virtual function: the key "uplink" must name the interface of the host on the same wire`,
  )
}

function requireLink(kernel: Kernel, name: string | undefined, what: string): void {
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined) throw new CniError(code.pluginNotAvailable, `the host has no ${what}`)
  if (!link.up) {
    throw new CniError(code.limitedConnectivity, `Cannot serve an ADD: the uplink "${link.name}" is down`)
  }
}

/** At least one of the PFs that a pod's VF can be of takes rules. */
function requireOffload(
  kernel: Kernel,
  { offload }: Pick<OffloadConfig, 'offload'>,
  pfs: readonly PciAddress[],
): void {
  const reasons = pfs.map((pf) => hindrance(kernel, pf))
  if (reasons.includes(undefined)) return
  const wish = offload === 'require' ? 'offload "require"' : 'nat "nic"'
  const words = reasons.length === 0 ? 'there are no virtual functions' : reasons.join('; ')
  throw new CniError(code.limitedConnectivity, `Cannot serve an ADD with ${wish}: ${words}`)
}

/** Why a PF's eSwitch takes no rules; undefined when nothing is known against it. */
function hindrance(kernel: Kernel, pf: PciAddress): string | undefined {
  const name = uplinkOf(pf)
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined) return `the PF "${pf}" has no network interface on the host`
  if (!kernel.isSwitchdev(pf)) return `the eSwitch of "${link.name}" is in legacy mode`
  const offload = kernel.tcOffload(link.ifindex)
  if (offload === 'on') return undefined
  return `hw-tc-offload of "${link.name}" is off${offload === 'fixed' ? ' and its driver can not switch it on' : ''}`
}
