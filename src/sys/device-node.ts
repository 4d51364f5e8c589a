import { closeSync, constants, openSync } from 'node:fs'
import { errorCode } from './errno.ts'

/**
 * True when another process has the device node at `path` open, a node that only one process can open at a time: open(2) answers
 * EBUSY. A node that does open is closed at once. False when the node is absent or can't be opened for another reason.
 */
export function isBusy(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDWR))
    return false
  } catch (error) {
    return errorCode(error) === 'EBUSY'
  }
}
