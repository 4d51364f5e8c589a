import { CniError, code } from '../../cni/error.ts'
import { requireAnswers } from '../../cni/ready.ts'
import type { Kernel, Needs } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { pfsWithVfs, readPciFunction, uplinkOf, vfsOf } from '../../nic/pci.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { RecordStore } from '../../records/store.ts'
import type { Limited } from '../config/bandwidth.ts'
import type { OffloadConfig } from '../config/config.ts'
import { uplinkAddresses } from '../port/addresses.ts'

/** What the config lets pods have: port mappings by the capability, limits as {@link Limited} says. */
export interface Serves {
  readonly ports: boolean
  readonly limited: Limited
}

type StatusConfig = Pick<OffloadConfig, 'device' | 'uplink' | 'offload' | 'nat' | 'rates'>

/**
 * STATUS: netlink answers, records can be written, and every ADD of this config gets what it needs. A declared capability
 * is no wish: a pod that asks for nothing is served without anything, so that what only a pod that asks would miss is a
 * notice, not an error. Runtimes take the whole node for not ready after an error.
 * @throws CniError 50 with the reason when every ADD of this config would fail (CNI specification 1.1.0, "STATUS"). Never
 *   51, which says the same and that running pods suffer too: a link that is down keeps no ADD from succeeding.
 */
export function requireReady(
  machine: Machine,
  store: RecordStore<OffloadJournal>,
  config: StatusConfig,
  serves: Serves,
): void {
  requireAnswers(machine, store, (kernel) => {
    requireForEvery(kernel, config, serves)
    for (const line of hindrances(kernel, config, serves)) notice(`vf-offload: ${line}`)
  })
}

/** Of limits that the config itself has, which no ADD goes without. */
function requireForEvery(kernel: Kernel, { device, rates }: StatusConfig, { limited }: Serves): void {
  if (limited !== 'every') return
  if (device !== undefined && readPciFunction(device) === undefined)
    throw new CniError(code.pluginNotAvailable, noDevice(device))
  // A VF in legacy mode can have its limit of what it sends by its PF, one with a representor both by the NIC.
  const pfs = pfsWithVfs()
  const byNic = pfs.some((pf) => rates.toPod === undefined || kernel.isSwitchdev(pf))
  const missing = byNic ? [] : kernel.missingNeeds({ ...nothing, shapers: true })
  if (missing.length > 0) throw new CniError(code.pluginNotAvailable, missing.join('; '))
}

/** A line for each thing for want of which an ADD that asks for ports or limits would fail, or reach nobody. */
function hindrances(kernel: Kernel, config: StatusConfig, { ports, limited }: Serves): string[] {
  const rates = limited !== 'none'
  if (!ports && !rates) return []
  const { device, uplink } = config
  const found = device === undefined ? undefined : readPciFunction(device)
  const isStrange = device !== undefined && found === undefined
  // Of a NIC of its own, for which the config must name an uplink too, there is no PF.
  const named = device === undefined ? undefined : found?.vf === undefined ? [] : [found.vf.pf]
  const pfs = named ?? pfsWithVfs()
  const needs = needsOf(kernel, config, pfs, { ports, rates })
  return [
    ...(isStrange ? [noDevice(device)] : []),
    ...kernel.missingNeeds(needs).map((line) => `an ADD would fail: ${line}`),
    ...(ports && !isStrange && device !== undefined && named?.length === 0 && uplink === undefined
      ? [`"${device}" is no virtual function: ports are mapped to it only with the key "uplink"`]
      : []),
    ...(ports && uplink !== undefined ? linkHindrance(kernel, uplink, `uplink "${uplink}"`) : []),
    ...(named ?? []).flatMap((pf) =>
      linkHindrance(kernel, uplinkOf(pf), `network interface of the PF "${pf}"`),
    ),
    ...(ports && (config.offload === 'require' || config.nat === 'nic')
      ? offloadHindrance(kernel, config, pfs)
      : []),
  ]
}

function noDevice(device: PciAddress): string {
  return `no pod can have deviceID "${device}": the host has no PCI device of that address`
}

/** None of all that can be asked for. */
const nothing: Needs = {
  ...{ ports: false, steering: false, translation: false, tags: false },
  ...{ rates: false, shapers: false, police: false },
}

/** What pods can ask for, on this node as it is now, that an ADD would fail without. */
function needsOf(
  kernel: Kernel,
  config: StatusConfig,
  pfs: readonly PciAddress[],
  { ports, rates }: { readonly ports: boolean; readonly rates: boolean },
): Needs {
  // Pods behind a bridge, all that there can be on other nodes, are served without any filter.
  const steering = ports && (pfs.length > 0 || config.device !== undefined || config.uplink !== undefined)
  // Elsewhere frames keep their tags, and addresses are translated in the pod; `auto` does that too where the NIC can't.
  const switches = pfs.filter((pf) => kernel.isSwitchdev(pf))
  const inNic =
    config.nat === 'nic' || (config.nat === 'auto' && switches.some((pf) => hasPrograms(config, pf)))
  return {
    ...{ ports, steering, rates, shapers: rates },
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

function linkHindrance(kernel: Kernel, name: string | undefined, what: string): string[] {
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined) return [`the host has no ${what}`]
  return link.up ? [] : [`uplink "${link.name}" is down: what is mapped or limited on it reaches nobody`]
}

/** A line unless one of the PFs that a pod's VF can be of takes rules. */
function offloadHindrance(
  kernel: Kernel,
  { offload }: Pick<OffloadConfig, 'offload'>,
  pfs: readonly PciAddress[],
): string[] {
  const reasons = pfs.map((pf) => hindrance(kernel, pf))
  if (reasons.includes(undefined)) return []
  const wish = offload === 'require' ? 'offload "require"' : 'nat "nic"'
  const words = reasons.length === 0 ? 'there are no virtual functions' : reasons.join('; ')
  return [`an ADD of port mappings with ${wish} would fail: ${words}`]
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
