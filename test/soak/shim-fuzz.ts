/**
 * Random agents against the shim, for longer than `npm test`: found by libFuzzer where clang is installed, which goes by the branches that
 * it has reached, else the random ones of `npm test` with another seed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { compileC, compileFuzzer, fuzzer, sanitizing, texts } from '../support/shim/compile.ts'

/**
 * Makes `runs` agents. Prints the fuzzer's output; a case that it found can be replayed with the bytes in it.
 * @returns the cases without findings, and the failures: the first ends the run
 */
export function soakShim(runs: number, seed: number): { passed: number; failed: number } {
  const folder = mkdtempSync(join(tmpdir(), 'vf-shim-fuzz-'))
  try {
    const file = join(folder, 'fuzz')
    const hasClang = execaSync('clang', ['--version'], { reject: false }).exitCode === 0
    if (hasClang) compileFuzzer(file, 'of-a-test')
    else compileC(file, fuzzer, ...sanitizing, ...texts('of-a-test'))
    console.log(
      hasClang ? 'by libFuzzer' : 'by a generator of its own: clang, which has libFuzzer, is not installed',
    )
    const words = hasClang
      ? [`-runs=${runs}`, `-seed=${(seed % 2 ** 31) + 1}`, '-max_len=256']
      : [`${seed}`, `${runs}`]
    const { exitCode } = execaSync(file, words, { cwd: folder, stdio: 'inherit', reject: false })
    return exitCode === 0 ? { passed: runs, failed: 0 } : { passed: 0, failed: 1 }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
