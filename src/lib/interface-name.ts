/**
 * True for what the kernel takes as an interface's name: 1-15 bytes, not `.` or `..`, no `/`, `:` or white space
 * (IFNAMSIZ, dev_valid_name of net/core/dev.c).
 */
export function isInterfaceName(name: string): boolean {
  if (name === '' || Buffer.byteLength(name) > 15) return false
  return name !== '.' && name !== '..' && !/[/:\s\u0085]/.test(name)
}
