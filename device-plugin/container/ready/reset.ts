/** A function level reset through sysfs, for a device that a pod had. */

import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { errorText } from '../../../src/lib/error-text.ts'
import { isThere } from '../../../src/sys/files.ts'
import { NotReady } from '../not-ready.ts'

/** Longest time of a reset with the wait after it, in milliseconds. The kernel alone may wait for a function for 60 s. */
export const mostReset = 5000
const pause = 10

/** Offset and length of the register that a function answers when it is back: PCI_COMMAND with PCI_STATUS (linux/pci_regs.h). */
const command = { at: 4, bytes: 4 } as const

/**
 * Resets a PCI function, and waits until its configuration space answers. The kernel's reset takes 100 ms or more and runs beside the
 * event loop.
 * @param folder of the function in sysfs
 * @param most milliseconds for all of it
 * @throws NotReady when the function has no reset, when the kernel refuses it, or when the time is over
 */
export async function resetFunction(device: string, folder: string, most = mostReset): Promise<void> {
  const path = `${folder}/reset`
  if (!isThere(path)) throw new NotReady(device, 'it has no reset, and reset of its pool is flr')
  const end = performance.now() + most
  await bounded(device, reset(device, path), most)
  while (!(await answers(`${folder}/config`))) {
    if (performance.now() > end) throw tooLong(device, most)
    await delay(pause)
  }
}

async function reset(device: string, path: string): Promise<void> {
  try {
    await writeFile(path, '1')
  } catch (error) {
    throw new NotReady(device, `its reset failed: ${errorText(error)}`)
  }
}

/** A function that is still in its reset answers with ones alone. */
async function answers(path: string): Promise<boolean> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0))
  const register = bytes.subarray(command.at, command.at + command.bytes)
  return register.length === command.bytes && register.some((byte) => byte !== 0xff)
}

async function bounded(device: string, work: Promise<void>, most: number): Promise<void> {
  const watch = new AbortController()
  const late = delay(most, undefined, { signal: watch.signal }).then(
    () => {
      throw tooLong(device, most)
    },
    () => {},
  )
  try {
    await Promise.race([work, late])
  } finally {
    watch.abort()
  }
}

function tooLong(device: string, most: number): NotReady {
  return new NotReady(device, `its reset has taken over ${most} ms`)
}
