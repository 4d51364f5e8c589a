/** The second look at a device, right before a container gets it. The snapshot that chose it may be old by now. */

import { type Holding, holdingOf } from '../../../src/nic/holders.ts'
import { driverOf, pciDevices, readPciFunction } from '../../../src/nic/pci.ts'
import { isThere } from '../../../src/sys/files.ts'
import type { Attachment } from '../../allocations/attachment.ts'
import type { PoolConfig } from '../../config/plugin-config.ts'
import type { Device } from '../../inventory/snapshot.ts'
import { NotReady } from '../not-ready.ts'
import { resetFunction } from './reset.ts'

/** The places and facts that the second look asks. */
export interface ReadySources {
  /** sysfs, `/sys`. */
  readonly sys: string
  /** Device files as this process sees them, `/dev`. */
  readonly dev: string
  /** procfs, `/proc`: who has a device open. */
  readonly proc: string
  /** The attachment that vf-attach has a record of, read now. */
  attachmentOf(device: string): Attachment | undefined
  /** A pod has had the device since the node started, as far as this process knows. */
  wasHeld(device: string): boolean
  /** Restores a device whose pod is dead, as DEL of vf-attach would; absent: nobody does. */
  restore?(attachment: Attachment): Promise<void>
}

/**
 * Makes sure that a container can have the device now: it is there, has the driver that it was chosen with, is not used by the host,
 * belongs to no pod, and no program has it open. Then resets it, where the pool wants that and a pod has had it.
 * @throws NotReady with the first reason
 */
export async function makeReady(
  device: Device,
  pool: Pick<PoolConfig, 'allowHostUsed' | 'reset'>,
  sources: ReadySources,
): Promise<void> {
  const { id } = device
  const functions = `${sources.sys}${pciDevices.slice('/sys'.length)}`
  requirePresent(device, sources.sys, functions)
  requireUnused(device, pool)
  await requireRestored(id, sources)
  requireClosed(device, functions, sources)
  if (pool.reset === 'none' || device.type === 'auxNetDevice' || !sources.wasHeld(id)) return
  await resetFunction(id, `${functions}/${device.pci}`)
  // A reset takes long enough for the device to be taken away.
  requirePresent(device, sources.sys, functions)
}

function requirePresent({ id, type, pci, driver }: Device, sys: string, functions: string): void {
  const folder = type === 'auxNetDevice' ? `${sys}/bus/auxiliary/devices/${id}` : `${functions}/${pci}`
  if (!isThere(folder)) throw new NotReady(id, 'it is not on the node any more')
  const now = driverOf(pci, functions)
  if (now === driver) return
  const words = (name: string | undefined) => (name === undefined ? 'no driver' : `driver ${name}`)
  throw new NotReady(id, `it has ${words(now)} now, and was chosen with ${words(driver)}`)
}

function requireUnused({ id, hostUses }: Device, { allowHostUsed }: Pick<PoolConfig, 'allowHostUsed'>): void {
  const [use] = hostUses
  if (use !== undefined && !allowHostUsed) throw new NotReady(id, `the node uses it: it ${use}`)
}

async function requireRestored(id: string, sources: ReadySources): Promise<void> {
  const found = sources.attachmentOf(id)
  if (found === undefined) return
  if (!found.alive && !found.pendingClose) await sources.restore?.(found)
  const left = sources.attachmentOf(id)
  if (left === undefined) return
  const { alive, pendingClose, containerID, pod } = left
  const owner = pod === undefined ? `container "${containerID}"` : `pod "${pod.namespace}/${pod.name}"`
  if (pendingClose) throw new NotReady(id, `a program of ${owner}, which is gone, still has it open`)
  throw new NotReady(id, alive ? `${owner} has it` : `it is not restored yet since ${owner} had it`)
}

function requireClosed({ id, type, pci }: Device, functions: string, { dev, proc }: ReadySources): void {
  const found = type === 'auxNetDevice' ? undefined : readPciFunction(pci, functions)
  const holding = found === undefined ? undefined : holdingOf(found, { devices: functions, nodes: dev, proc })
  if (holding !== undefined) throw new NotReady(id, holderWords(holding))
}

function holderWords({ process, sign }: Holding): string {
  return process === undefined
    ? `a program has it open (${sign})`
    : `process ${process.pid} (${process.comm}) has it open`
}
