/** Finds interfaces by names that sysfs has told. Between both looks somebody, such as udev, may give an interface another name. */

/** Looks at most. Each one more means that the interface was renamed once more between two system calls. */
const mostLooks = 20

/**
 * The first answer of `find` that is not undefined: to `names`, which were read from sysfs, then to what `read` tells anew. Undefined when
 * there are no names any more, or `find` has an answer to none of them. Asks once where the names are still right.
 */
export function findByName<T>(
  names: readonly string[],
  read: () => readonly string[],
  find: (names: readonly string[]) => T | undefined,
): T | undefined {
  let now = names
  for (let looks = 1; ; looks++) {
    const found = find(now)
    if (found !== undefined || now.length === 0 || looks === mostLooks) return found
    now = read()
  }
}
