/**
 * True for a name that the kernel accepts for an interface: 1-15 bytes, not `.` or `..`, no `/`, `:` or white space
 * (IFNAMSIZ, dev_valid_name of net/core/dev.c).
 */
export function isInterfaceName(name: string): boolean {
  if (!isLinkName(name) || Buffer.byteLength(name) > 15) return false
  return name !== '.' && name !== '..' && !/[/:\s\u0085]/.test(name)
}

/** True for an interface name without `%`: the kernel takes one with `%` as a pattern for a number (dev_alloc_name of net/core/dev.c). */
export function isPlainName(name: string): boolean {
  return isInterfaceName(name) && !name.includes('%')
}

/**
 * True for text by which the kernel can find an interface: its name, or an alternative name of 1-127 bytes (ALTIFNAMSIZ). Text
 * that UTF-8 can't express is no name, because another text would reach the kernel.
 */
export function isLinkName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !name.includes('\0') && Buffer.byteLength(name) <= 127
}
