import { beginStep } from '../lib/log/steps.ts'
import { readText } from '../sys/files.ts'
import { withLock } from '../sys/flock.ts'
import { openNetns } from '../sys/namespaces.ts'
import { sleep } from '../sys/sleep.ts'
import type { Machine } from './api/machine.ts'
import { openLinuxKernel } from './linux.ts'

/** The kernel makes it up once, when it starts. */
let bootId: string | undefined

/** The machine this process runs on. */
export const linuxMachine: Machine = {
  sharedDir: '/run/vf-flower',
  openKernel: openLinuxKernel,
  openNetns,
  withLock: waitForLock,
  sleep,
  sha256: (text) => new Bun.CryptoHasher('sha256').update(text).digest('hex'),
  bootId: () => {
    bootId ??= readText('/proc/sys/kernel/random/boot_id') ?? ''
    return bootId
  },
}

/** The wait is a step of the verb; what is done under the lock is not part of it. */
function waitForLock<T>(path: string, milliseconds: number, action: (held?: number) => T): T {
  const end = beginStep('lock')
  try {
    return withLock(path, milliseconds, (held) => {
      end()
      return action(held)
    })
  } finally {
    // Too late for a lock that was had.
    end(true)
  }
}
