import { existsSync } from 'node:fs'
import { collect, startChild } from '../../sys/child/child.ts'
import type { NftResult } from '../nftables/nft-program.ts'

/** Folders with the programs of the node. */
const folders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin']

/** The most bytes that nft may print: a node's whole ruleset. */
const maxOutput = 64 << 20

/**
 * Runs `nft` with `input` on its standard input; kills it after `timeout` milliseconds, where that is given. `inside` starts it in the
 * namespace that it is for. The wait for its end is outside, because a thread that the engine begins meanwhile would stay there.
 */
export function runNft(
  args: readonly string[],
  input: string,
  timeout?: number,
  inside: <T>(action: () => T) => T = (action) => action(),
): NftResult {
  // A clean environment: nothing of the runtime's reaches a program that runs as root.
  const env = { PATH: folders.join(':'), LC_ALL: 'C' }
  const file = folders.map((folder) => `${folder}/nft`).find((path) => existsSync(path))
  try {
    if (file === undefined) throw new NoNft()
    const child = inside(() =>
      startChild({
        ...{ file, argv: ['nft', ...args], env, stdin: input },
        ...({ stdout: 'collect', stderr: 'collect' } as const),
      }),
    )
    const { status, stdout, stderr, isLate, isTooLong } = collect(child, maxOutput, timeout)
    return {
      status,
      stdout,
      stderr,
      error: isLate ? new NftLate() : isTooLong ? new NftTooLong() : undefined,
    }
  } catch (error) {
    return { status: null, stdout: '', stderr: '', error: error as Error }
  }
}

/** The node has no nft. A name without a folder would be looked for in the working directory. */
class NoNft extends Error {
  readonly code = 'ENOENT'

  constructor() {
    super(`ENOENT: there is no nft in ${folders.join(', ')}`)
  }
}

/** nft did not end in time. */
class NftLate extends Error {
  readonly code = 'ETIMEDOUT'

  constructor() {
    super('nft did not end in time')
  }
}

/** nft printed more than {@link maxOutput} bytes. */
class NftTooLong extends Error {
  readonly code = 'ENOBUFS'

  constructor() {
    super(`nft printed more than ${maxOutput} bytes`)
  }
}
