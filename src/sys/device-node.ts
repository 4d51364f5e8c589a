import { closeSync, constants, openSync } from 'node:fs'
import { errorCode } from './errno.ts'

/**
 * True when the device node at `path`, which one process can have open at a time, is another one's now: open(2) answers
 * EBUSY. It is closed at once. False for one that is not there or can't be opened for another reason.
 */
export function isBusy(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDWR))
    return false
  } catch (error) {
    return errorCode(error) === 'EBUSY'
  }
}
