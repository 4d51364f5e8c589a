/** STATUS: whether the node can serve an ADD, and a notice about each thing that only some pods would miss. */
import { CniError, code } from '../../cni/error.ts'
import { requireAnswers } from '../../cni/ready.ts'
import type { Kernel, Needs } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { pfsWithVfs, readPciFunction } from '../../nic/pci.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { RecordStore } from '../../records/store.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { Feature, Readiness, StatusContext } from '../feature.ts'
import { pfHindrance } from '../port/hindrance.ts'

/**
 * Asks the kernel whether netlink answers and records can be written, and whether every ADD of this config gets everything that
 * it needs. A pod that asks for nothing is served without anything. So a thing that only a pod that asks would miss is a notice, not
 * an error: after an error runtimes take the whole node for not ready.
 * @throws CniError 50 with the reason when every ADD of this config would fail (CNI specification 1.1.0, "STATUS"). Never
 *   51, which says the same and that running pods suffer too: a link that is down keeps no ADD from succeeding.
 */
export function requireReady(
  machine: Machine,
  store: RecordStore<OffloadJournal>,
  config: OffloadConfig,
  features: readonly Pick<Feature, 'readiness'>[],
): void {
  requireAnswers(machine, store, (kernel) => {
    const context = contextOf(kernel, config)
    const found = features.map((feature) => feature.readiness(context))
    requireForEvery(context, found)
    if (found.some(({ asking }) => asking !== undefined))
      for (const line of hindrances(context, found)) notice(`vf-offload: ${line}`)
  })
}

function contextOf(kernel: Kernel, config: OffloadConfig): StatusContext {
  const { device } = config
  if (device === undefined) return { kernel, config, pfs: pfsWithVfs(), device }
  const pci = readPciFunction(device)
  if (pci === undefined) return { kernel, config, pfs: [], device: 'absent' }
  // Of a NIC of its own, for which the config must name an uplink too, there is no PF.
  const pfs = pci.vf === undefined ? [] : [pci.vf.pf]
  return { kernel, config, pfs, device: pfs }
}

function requireForEvery({ kernel, config, device }: StatusContext, found: readonly Readiness[]): void {
  const needs = found.flatMap(({ everyAdd }) => everyAdd ?? [])
  if (needs.length > 0 && device === 'absent')
    throw new CniError(code.pluginNotAvailable, noDevice(config.device))
  if (needs.every((one) => Object.keys(one).length === 0)) return
  const missing = kernel.missingNeeds(Object.assign({ ...nothing }, ...needs))
  if (missing.length > 0) throw new CniError(code.pluginNotAvailable, missing.join('; '))
}

/** A line for each thing for want of which an ADD that asks for a feature would fail, or reach nobody. */
function hindrances({ kernel, config, device }: StatusContext, found: readonly Readiness[]): string[] {
  const needs: Needs = Object.assign({ ...nothing }, ...found.map(({ asking }) => asking))
  const isAbsent = device === 'absent'
  return [
    ...(isAbsent ? [noDevice(config.device)] : []),
    ...kernel.missingNeeds(needs).map((line) => `an ADD would fail: ${line}`),
    ...(isAbsent ? [] : (device ?? [])).flatMap((pf) => pfHindrance(kernel, pf, config.uplink)),
    ...found.flatMap((one) => one.hindrances),
  ]
}

function noDevice(device: PciAddress | undefined): string {
  return `no pod can have deviceID "${device}": the host has no PCI device of that address`
}

/** None of the needs that there are. */
const nothing: Needs = {
  ...{ ports: false, steering: false, inPod: false, translation: false, tags: false },
  ...{ rates: false, shapers: false, police: false },
}
