/** Compiles the shim's sources for tests: under sanitizers, and with a random agent. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execaSync } from 'execa'

/** The folder of the programs of the tests, and that of the shim. */
export const here = fileURLToPath(new URL('.', import.meta.url))
export const sources = fileURLToPath(new URL('../../../src/agent/shim', import.meta.url))
const strict = ['-std=gnu11', '-Wall', '-Wextra', '-Werror']

/** The program that makes random agents. */
export const fuzzer = join(here, 'fuzz.c')

/** Compiles a program of C for a test. */
export function compileC(outfile: string, file: string, ...flags: string[]): void {
  execaSync('gcc', [...strict, ...flags, `-I${here}`, `-I${sources}`, '-o', outfile, file])
}

/** Flags with which the shim's sources run under ASan and UBSan. */
export const sanitizing = [
  ...['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-DVF_SHIM_HOSTED'],
]

/** Texts that the build puts into the shim. */
export const texts = (id: string) => [`-DVF_FLOWER_BUILD="${id}"`, '-DVF_FLOWER_VERSIONS="{}\\n"']

/** Compiles the shim as the build does, with another compiler. */
export function compileShim(outfile: string, compiler: string): void {
  const top = join(here, '../../..')
  execaSync('sh', [join(top, 'hack/bun.sh'), join(top, 'hack/build.ts'), '--shim', outfile], {
    env: { CC: compiler },
  })
}

/** Compiles the random agents for libFuzzer, which is a part of clang. */
export function compileFuzzer(outfile: string, id: string): void {
  const fuzzing = sanitizing.map((flag) => flag.replace('=address', '=fuzzer,address'))
  const flags = ['-std=gnu11', '-DVF_LIBFUZZER', ...fuzzing, ...texts(id), `-I${here}`, `-I${sources}`]
  execaSync('clang', [...flags, '-o', outfile, fuzzer])
}
