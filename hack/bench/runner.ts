/**
 * Starts programs through hack/bench/runner.c, which measures them. In: programs. Out: their answers and times. Runs under Bun.
 */
import { join } from 'node:path'
import { execaSync } from 'execa'

/** One program to start. */
export interface Program {
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

/** A program that has ended. */
export interface Ended {
  /** Exit code; 128 and more: the signal's number plus 128. */
  readonly code: number
  /** Milliseconds from its start until it had ended and its output was read. */
  readonly clock: number
  /** Milliseconds of the processor that it and the children that it waited for were given. */
  readonly processor: number
  /** Peak resident set in KiB, of the largest of them. */
  readonly kib: number
  readonly stdout: string
  readonly stderr: string
}

/** Compiles runner.c to `file`, without any library but libc. @throws Error of the compiler, or when there is none */
export function compileRunner(file: string): void {
  compileC(join(import.meta.dirname, 'runner.c'), file)
}

/** Compiles a program that does nothing, without any library: the least that a start can take. */
export function compileEmpty(file: string): void {
  compileC('-', file, 'int main(void) { return 0; }\n')
}

function compileC(source: string, file: string, input = ''): void {
  const flags = ['-std=gnu17', '-O2', '-Wall', '-Wextra', '-Werror', '-static', '-s', '-x', 'c', '-o', file]
  const compilers = ['cc', 'gcc', 'gcc-14']
  for (const compiler of compilers) {
    const ended = execaSync(compiler, [...flags, source], { input, reject: false })
    if (!ended.failed) return
    if (ended.code !== 'ENOENT') throw new Error(`Cannot compile ${source}: ${ended.stderr}`)
  }
  throw new Error(`Cannot find a C compiler: must be one of ${compilers.join(', ')}`)
}

/** A process that starts programs, in whatever namespaces and cgroups it was started. */
export class Runner {
  readonly #process
  readonly #reader
  #bytes: Uint8Array = new Uint8Array()

  /** `argv` ends with the compiled runner, and perhaps the mebibytes that it holds. */
  constructor(argv: readonly string[]) {
    this.#process = Bun.spawn([...argv], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
    this.#reader = this.#process.stdout.getReader()
  }

  /** Number of the process. It is the runner's own when the programs before it in `argv` replace themselves. */
  get pid(): number {
    return this.#process.pid
  }

  /** Lets a shell go on that waits for a line before it becomes the runner: it has been put into a cgroup meanwhile. */
  begin(): void {
    this.#process.stdin.write('\n')
    this.#process.stdin.flush()
  }

  /** Runs one program. */
  async run(program: Program): Promise<Ended> {
    const { ended } = await this.together([program])
    const [one] = ended
    if (one === undefined) throw new Error('the runner has lost a program')
    return one
  }

  /** Runs a shell line. @throws Error with its output when it fails */
  async sh(line: string): Promise<string> {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
    const { code, stdout, stderr } = await this.run({ argv: ['/bin/sh', '-c', line], env })
    if (code !== 0) throw new Error(`${line}: ${stdout}${stderr}`)
    return stdout
  }

  /** Starts all programs at once; `clock`: milliseconds until the last one has ended. */
  async together(programs: readonly Program[]): Promise<{ clock: number; ended: Ended[] }> {
    const encoder = new TextEncoder()
    this.#process.stdin.write(encoder.encode(`${programs.length}\n`))
    for (const { argv, env = {}, stdin = '' } of programs) {
      const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
      const bytes = encoder.encode(stdin)
      const strings = [...argv, ...variables].map((text) => `${text}\0`).join('')
      this.#process.stdin.write(
        encoder.encode(`${argv.length} ${variables.length} ${bytes.length}\n${strings}`),
      )
      this.#process.stdin.write(bytes)
    }
    this.#process.stdin.flush()
    const clock = Number(await this.#line()) / 1e6
    const ended: Ended[] = []
    for (const _ of programs) {
      const [status = 0, nanoseconds = 0, processor = 0, kib = 0, out = 0, err = 0] = (await this.#line())
        .split(' ')
        .map(Number)
      const stdout = await this.#text(out)
      const stderr = await this.#text(err)
      const code = (status & 127) === 0 ? status >> 8 : 128 + (status & 127)
      ended.push({ code, clock: nanoseconds / 1e6, processor: processor / 1e3, kib, stdout, stderr })
    }
    return { clock, ended }
  }

  /** Ends the runner. */
  async end(): Promise<void> {
    this.#process.stdin.end()
    await this.#process.exited
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf(10)
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#bytes.subarray(0, end))
        this.#bytes = this.#bytes.subarray(end + 1)
        return line
      }
      await this.#more()
    }
  }

  async #text(length: number): Promise<string> {
    while (this.#bytes.length < length) await this.#more()
    const text = new TextDecoder().decode(this.#bytes.subarray(0, length))
    this.#bytes = this.#bytes.subarray(length)
    return text
  }

  async #more(): Promise<void> {
    const { value } = await this.#reader.read()
    if (value === undefined) throw new Error(`the runner has ended with code ${await this.#process.exited}`)
    const joined = new Uint8Array(this.#bytes.length + value.length)
    joined.set(this.#bytes)
    joined.set(value, this.#bytes.length)
    this.#bytes = joined
  }
}
