/** Other programs, which the installer waits for. */
import type { Run } from './attachments/bring-home.ts'
import { hasSelinux, type Restorecon } from './labels.ts'
import { hasSystemd, type Systemctl } from './services.ts'

/** Longest wait for a program, in milliseconds: the stop of an agent waits for its longest call. */
const patience = 360_000

/** Runs programs. */
export async function runProgram(): Promise<Run> {
  const { spawnSync } = await import('node:child_process')
  return (file, { argv0, input, env }) => {
    const options = { argv0, input, env, encoding: 'utf8', timeout: patience, maxBuffer: 16 << 20 } as const
    const { status, stdout, stderr, error } = spawnSync(file, [], options)
    return { status, output: error === undefined ? `${stdout}${stderr}` : error.message }
  }
}

/** The means to speak to systemd; undefined where it does not run. */
export async function systemctlOf(): Promise<Systemctl | undefined> {
  return hasSystemd() ? refusalsOf('systemctl') : undefined
}

/** The means to label files; undefined where SELinux is not active. */
export async function restoreconOf(): Promise<Restorecon | undefined> {
  return hasSelinux() ? refusalsOf('restorecon') : undefined
}

/** Runs a program with words; the outcome is the reason why it failed, undefined on success. */
async function refusalsOf(program: string): Promise<(words: readonly string[]) => string | undefined> {
  const { spawnSync } = await import('node:child_process')
  return (words) => {
    const options = { encoding: 'utf8', timeout: patience } as const
    const { status, stdout, stderr, error } = spawnSync(program, words, options)
    if (status === 0) return undefined
    return error?.message ?? (`${stderr}${stdout}`.trim() || `exit code ${status}`)
  }
}
