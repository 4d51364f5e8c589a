// The nft program in a network namespace of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import type { RunNft } from '../../src/kernel/nftables/nft-program.ts'

/** An empty ruleset, and the program to change it. */
export interface Ruleset {
  readonly nft: RunNft
  close(): void
}

/** True where nft works in a new network namespace: root, the program and nf_tables. */
export const hasNft =
  spawnSync('unshare', ['-n', 'nft', '-f', '-'], { input: 'add table inet probe\n' }).status === 0

/**
 * The real nft in a namespace of its own, which ends with `close`. With `names` false nft does not find /etc/protocols and prints
 * numbers for protocols.
 */
export async function realRuleset(names = true): Promise<Ruleset> {
  const hide = names ? '' : 'mount --bind /dev/null /etc/protocols && '
  const child = spawn('unshare', ['-n', '-m', 'sh', '-c', `${hide}echo ready; exec cat`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await ready(child)
  return {
    nft: (args, input) => {
      const target = ['-t', String(child.pid), '-n', '-m', 'nft', ...args]
      const ended = spawnSync('nsenter', target, {
        input,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, LC_ALL: 'C' },
      })
      return { status: ended.status, stdout: ended.stdout, stderr: ended.stderr, error: ended.error }
    },
    close: () => child.stdin.end(),
  }
}

async function ready(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status) => reject(new Error(`unshare ended with ${status}`)))
    child.stdout?.once('data', () => resolve())
  })
}
