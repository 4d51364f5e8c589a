/** A PCI function's address in the kernel's spelling, `0000:3b:02.1` (domain:bus:device.function, lower case). */
export type PciAddress = string & { readonly __brand?: 'PciAddress' }

// Domains above ffff exist: VMD and simulated buses count from 10000 on (drivers/pci/controller/vmd.c).
const form = /^([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/

/**
 * Parses a PCI address; upper case and a missing domain (`3b:02.1` as lspci prints it) are accepted. Returns undefined
 * for anything else, so that no path tricks ever reach sysfs.
 */
export function parsePciAddress(text: string): PciAddress | undefined {
  const lower = text.toLowerCase()
  const full = /^[0-9a-f]{2}:/.test(lower) ? `0000:${lower}` : lower
  return form.test(full) ? full : undefined
}

/** The function's routing id within its domain: bus << 8 | device << 3 | function (PCI Express base spec, 2.2.4). */
export function routingId(address: PciAddress): number {
  const parts = form.exec(address)
  if (parts === null) throw new RangeError(`Cannot compute a routing id from "${address}": not a PCI address`)
  const [bus, device, fn] = [parts[2], parts[3], parts[4]].map((part) => Number.parseInt(part ?? '', 16))
  return ((bus ?? 0) << 8) | ((device ?? 0) << 3) | (fn ?? 0)
}
