import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa, execaSync } from 'execa'
import { type JsonObject, parse } from '../../src/lib/json.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))

/** Path of a built executable by its name. VF_FLOWER_BIN names another folder, to test an installation. */
export function executable(name: string): string {
  const file = join(process.env.VF_FLOWER_BIN ?? join(top, 'dist'), name)
  if (!existsSync(file)) throw new Error(`Cannot find ${file}: run "npm run build" first`)
  return file
}

/** A test's own program, compiled as hack/build.ts compiles the real one, in a folder that `remove` deletes. */
export function compileForTest(entry: URL, name: string): { file: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'compiled-'))
  const file = join(folder, name)
  const flags = ['--compile', '--minify', '--bytecode', '--format=esm', '--target=bun']
  const closed = ['--no-compile-autoload-bunfig', '--no-compile-autoload-dotenv']
  const bun = join(top, 'hack/bun.sh')
  execaSync('sh', [bun, 'build', ...flags, ...closed, fileURLToPath(entry), `--outfile=${file}`], {
    cwd: folder,
  })
  return { file, remove: () => rmSync(folder, { recursive: true }) }
}

export interface Outcome {
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
  /** stdout as JSON; undefined if it is empty. Reading it proves that stdout holds one document. */
  readonly object: JsonObject | undefined
}

export interface CallOptions {
  /** The whole environment of the process: nothing is added to it. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin?: string
  readonly cwd?: string
}

/** Runs an executable as a runtime does. */
export async function call(file: string, options: CallOptions): Promise<Outcome> {
  return run([file], options)
}

/** Like {@link call}, through a shell line with the executable as "$0": for closed descriptors and the like. */
export async function callByShell(line: string, file: string, options: CallOptions): Promise<Outcome> {
  return run(['/bin/sh', '-c', line, file], options)
}

async function run(
  [file, ...args]: [string, ...string[]],
  { env, stdin = '', cwd }: CallOptions,
): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await execa(file, args, {
    env: env as Record<string, string>,
    extendEnv: false,
    input: stdin,
    reject: false,
    stripFinalNewline: false,
    ...(cwd === undefined ? {} : { cwd }),
  })
  return { exitCode, stdout, stderr, object: stdout === '' ? undefined : (parse(stdout) as JsonObject) }
}
