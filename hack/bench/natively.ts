/** Prints native tables: prepares them, and starts hack/bench/inside.ts in namespaces of its own for each. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import type { BenchOrder } from './context.ts'
import { installedPeer, newestPeer } from './peers.ts'
import { compileEmpty, compileRunner } from './runner.ts'

/** The native tables in their order. */
export const NATIVE = [
  ...['version', 'host-device', 'ports', 'limits', 'small', 'herd', 'memory', 'flat', 'size'],
] as const

/** Prints the tables of these names, one after the other. @throws Error when a call of them fails */
export async function natively(names: readonly string[]): Promise<void> {
  // On the disk, as the state of plugins is in use.
  const folder = mkdtempSync('/var/tmp/vf-bench-')
  try {
    compileRunner(join(folder, 'runner'))
    compileEmpty(join(folder, 'empty'))
    const peers = { installed: await installedPeer(), newest: await newestPeer() }
    const rounds = {
      version: Number(process.env.BENCH_ROUNDS ?? 60),
      calls: Number(process.env.BENCH_ATTACH_ROUNDS ?? 30),
      traced: 5,
      small: Number(process.env.BENCH_SMALL_ROUNDS ?? 7),
      herd: Number(process.env.BENCH_HERD_ROUNDS ?? 2),
      size: Number(process.env.BENCH_SIZE_ROUNDS ?? 10),
    }
    for (const table of names) {
      const order: BenchOrder = { table, folder, peers, rounds }
      const unshare = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
      const inside = join(import.meta.dirname, 'inside.ts')
      const argv = [...unshare, process.execPath, inside, JSON.stringify(order)]
      const { failed } = await execa('unshare', argv, { stdio: 'inherit', reject: false })
      if (failed) {
        console.error(`The table ${table} failed: see above`)
        process.exitCode = 1
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) await natively(process.argv.slice(2))
