import type { NftResult } from '../nftables/nft-program.ts'

/** Runs `nft` with `input` on its standard input; kills it after `timeout` milliseconds, where that is given. */
export function runNft(args: readonly string[], input: string, timeout?: number): NftResult {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  // A clean environment: nothing of the runtime's reaches a program that runs as root.
  const env = { PATH: '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }
  const ended = spawnSync('nft', [...args], {
    ...{ input, env, encoding: 'utf8', maxBuffer: 64 << 20, killSignal: 'SIGKILL' },
    ...(timeout === undefined ? {} : { timeout }),
  })
  return { status: ended.status, stdout: ended.stdout ?? '', stderr: ended.stderr ?? '', error: ended.error }
}
