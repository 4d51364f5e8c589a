/** Interfaces of the host that a pod's frames pass, as STATUS sees them. */
import type { Kernel } from '../../kernel/api/kernel.ts'

/** A line when the host has no interface of that name, or when it is down. `what` calls it by its role. */
export function linkHindrance(kernel: Kernel, name: string | undefined, what: string): string[] {
  const link = name === undefined ? undefined : kernel.link('host', name)
  if (link === undefined) return [`the host has no ${what}`]
  return link.up ? [] : [`uplink "${link.name}" is down: what is mapped or limited on it reaches nobody`]
}
