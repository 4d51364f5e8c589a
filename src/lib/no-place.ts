/** The kernel's answers where a file can't be made. Too few descriptors or too little memory is another matter. */
const answers: readonly string[] = [
  ...['EROFS', 'EEXIST', 'ENXIO', 'ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP'],
  ...['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM'],
]

/** True for an error by which there can be no file of a lock at its path. `more` are names of further errnos that say the same. */
export function hasNoPlace(error: unknown, more: readonly string[] = []): error is Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return answers.includes(code) || more.includes(code)
}
