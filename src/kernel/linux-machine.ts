import { beginStep } from '../lib/log/steps.ts'
import { readText } from '../sys/files.ts'
import { withLock } from '../sys/lock/flock.ts'
import { openNetns } from '../sys/namespaces.ts'
import { sleep } from '../sys/sleep.ts'
import type { Machine } from './api/machine.ts'
import { startProgram } from './linux/programs.ts'
import { openLinuxKernel } from './linux.ts'

/** The kernel chooses the boot ID once per boot, so one read is enough. */
let bootId: string | undefined

/** The machine that this process runs on. */
export const linuxMachine: Machine = {
  sharedDir: '/run/vf-flower',
  openKernel: openLinuxKernel,
  openNetns,
  withLock: waitForLock,
  sleep,
  startProgram,
  sha256: (text) => new Bun.CryptoHasher('sha256').update(text).digest('hex'),
  bootId: () => {
    bootId ??= readText('/proc/sys/kernel/random/boot_id') ?? ''
    return bootId
  },
}

/** Takes a lock, and logs the wait as a step of the verb. The step ends before `action` runs. */
function waitForLock<T>(path: string, milliseconds: number, action: (held?: number) => T): T {
  const end = beginStep('lock')
  try {
    return withLock(path, milliseconds, (held) => {
      end()
      return action(held)
    })
  } finally {
    // Without the lock, the step ends here as failed. With the lock, this second end does nothing.
    end(true)
  }
}
