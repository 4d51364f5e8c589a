/**
 * Living beside sriov-cni. In: its state folder and the PCI address of a VF; out: its holder according to sriov-cni, our
 * own claim in its form, and its lock. Its files: `pci/<PCI>` (in-use record, content = CNI_NETNS) and
 * `pci/vf_lock/<PCI>.lock`; what it saves for DEL is read by sriov-cache.ts. Imports records and small values; the
 * machine is a parameter.
 */
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { isOwnersNetns, type NamespaceMarks } from '../../ops/owner-netns.ts'
import type { Owner } from '../../records/record.ts'
import { noteAt } from '../../records/store.ts'

/** sriov-cni's state folder; it has no key to change it. */
export const sriovDir = '/var/lib/cni/sriov'

/** An in-use record whose namespace is there. */
export interface InUse {
  readonly netnsPath: string
  /** The namespace that is at the path now. */
  readonly netns: NamespaceMarks
}

/**
 * The holder of the VF `pci` by sriov-cni's in-use record; undefined when nobody has it.
 *
 * sriov-cni's own check is "the path opens", and its record holds nothing but the path. The host's own namespace is nobody's.
 * A path that leads to another namespace by now (`/proc/<pid>/ns/net`) looks like the first one. So a free VF may count as
 * taken until that namespace goes too, but a taken one never counts as free. A record that can't be read or is empty (early
 * releases locked that file itself) is reported and counts as free, as it does for sriov-cni.
 */
export function inUse(
  machine: Pick<Machine, 'openNetns'>,
  pci: PciAddress,
  dir = sriovDir,
  warn: (line: string) => void = notice,
): InUse | undefined {
  const path = inUsePath(pci, dir)
  let netnsPath: string | undefined
  try {
    netnsPath = noteAt(path).get()
  } catch (error) {
    warn(`vf-attach: Cannot read sriov-cni's record "${path}", "${pci}" counts as free: ${String(error)}`)
    return undefined
  }
  if (netnsPath === undefined) return undefined
  if (netnsPath === '') {
    warn(`vf-attach: sriov-cni's record "${path}" is empty, "${pci}" counts as free`)
    return undefined
  }
  try {
    const netns = machine.openNetns(netnsPath)
    const { id, cookie } = netns
    netns.close()
    // The path of a process that is gone leads to the host's namespace once a process of the host has its number.
    return netns.isHost === true ? undefined : { netnsPath, netns: { id, cookie } }
  } catch {
    return undefined // gone: sriov-cni, too, takes such a record for stale
  }
}

/**
 * Writes our attachment down in sriov-cni's form, so that it does not hand the VF out again. Atomic and not durable:
 * after a boot no path in there is worth anything. Folders are made 0700; sriov-cni makes them 0600, which nobody but
 * a root with CAP_DAC_OVERRIDE could enter.
 * @throws Node file errors
 */
export function claim(pci: PciAddress, netnsPath: string, dir = sriovDir): void {
  noteAt(inUsePath(pci, dir), 'volatile').set(netnsPath)
}

/** Takes a claim back; somebody else's stays. Nothing to do where there is none. */
export function release(pci: PciAddress, netnsPath: string, dir = sriovDir): void {
  const note = noteAt(inUsePath(pci, dir), 'volatile')
  if (note.get() === netnsPath) note.clear()
}

/** Removes the in-use record of a VF, also one of sriov-cni: for an attachment of sriov-cni that is restored. */
export function forget(pci: PciAddress, dir = sriovDir): void {
  noteAt(inUsePath(pci, dir), 'volatile').clear()
}

/**
 * True when sriov-cni gave the VF of one of our records to a newer attachment. sriov-cni does so once the namespace of our owner is
 * gone. Then the VF is no longer ours. An in-use record with another path than that of our claim is always sriov-cni's. The number of a
 * namespace proves nothing, because the kernel gives the number to the next namespace. The same path in another namespace is either our
 * claim, with a path that was used again, or a newer claim of sriov-cni. The place of the VF decides: is it in that namespace?
 * `parents`: the names by which its interface reports its parent device.
 */
export function isTakenOver(
  machine: Pick<Machine, 'openNetns' | 'openKernel' | 'bootId'>,
  pci: PciAddress,
  parents: readonly string[],
  owner: Owner,
  dir = sriovDir,
): boolean {
  const used = inUse(machine, pci, dir)
  if (used === undefined) return false
  if (used.netnsPath !== owner.netns) return true
  if (isOwnersNetns(owner, used.netns) && owner.bootId === machine.bootId()) return false
  return holds(machine, used.netnsPath, parents)
}

/** True when an interface of the device with these parents is in the namespace at a path. */
export function holds(
  machine: Pick<Machine, 'openNetns' | 'openKernel'>,
  netnsPath: string,
  parents: readonly string[],
): boolean {
  const netns = machine.openNetns(netnsPath)
  const kernel = machine.openKernel(netns)
  try {
    return kernel.links('pod').some(({ parent }) => parent !== undefined && parents.includes(parent))
  } finally {
    kernel.close()
    netns.close()
  }
}

/**
 * Runs `action` under the lock that sriov-cni (2.10 and later) holds while it works on the VF `pci`.
 * @throws LockTimeout after `milliseconds`; sriov-cni holds it during its IPAM calls, too
 */
export function withSriovLock<T>(
  machine: Pick<Machine, 'withLock'>,
  pci: PciAddress,
  milliseconds: number,
  action: () => T,
  dir = sriovDir,
): T {
  return machine.withLock(`${dir}/pci/vf_lock/${pci}.lock`, milliseconds, action)
}

function inUsePath(pci: PciAddress, dir: string): string {
  return `${dir}/pci/${pci}`
}
