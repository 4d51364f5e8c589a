/** Interfaces of the host that a pod's frames pass, as STATUS sees them. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { findUplink } from './uplink.ts'

/** A line when the host has no interface of that name, or when it is down. `what` calls it by its role. */
export function linkHindrance(kernel: Kernel, name: string | undefined, what: string): string[] {
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined) return [`the host has no ${what}`]
  return downHindrance(link)
}

/** A line when a PF has no uplink for its VFs, or one that is down. `wanted` is the key `uplink`. */
export function pfHindrance(kernel: Kernel, pf: PciAddress, wanted: string | undefined): string[] {
  const found = findUplink(kernel, pf, wanted)
  return 'why' in found ? [`an ADD would fail: ${found.why}`] : downHindrance(found.link)
}

function downHindrance({ name, up }: LinkFacts): string[] {
  return up ? [] : [`uplink "${name}" is down: what is mapped or limited on it reaches nobody`]
}
