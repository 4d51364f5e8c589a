/**
 * True for what the kernel takes as an interface's name: 1-15 bytes, not `.` or `..`, no `/`, `:` or white space
 * (IFNAMSIZ, dev_valid_name of net/core/dev.c).
 */
export function isInterfaceName(name: string): boolean {
  if (!isLinkName(name) || Buffer.byteLength(name) > 15) return false
  return name !== '.' && name !== '..' && !/[/:\s\u0085]/.test(name)
}

/** True for an interface's name that the kernel gives as it is: it makes a number of a `%` (dev_alloc_name of net/core/dev.c). */
export function isPlainName(name: string): boolean {
  return isInterfaceName(name) && !name.includes('%')
}

/**
 * True for what an interface of the kernel can be asked for by: its name, or an alternative name of 1-127 bytes
 * (ALTIFNAMSIZ). Text that UTF-8 can't express is no name: it would reach the kernel as another one.
 */
export function isLinkName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !name.includes('\0') && Buffer.byteLength(name) <= 127
}
