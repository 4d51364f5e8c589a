// Has the compiled driver (start.ts) do things in the guest. In: steps, typed by what they come back with; out:
// their values or failures. One process for a whole list: its start is what takes time.
import { fileURLToPath } from 'node:url'
import type { Op, Outcome, Side } from '../../../src/ops/op.ts'
import type { Lab } from '../lab.ts'
import { pack, unpack } from './json.ts'
import type {
  Answer,
  Builders,
  Came,
  Draft,
  Failure,
  Probes,
  Program,
  Questions,
  Result,
  Step,
} from './steps.ts'

export type { Answer, Came, Draft, Failure, Result } from './steps.ts'

/** A step whose value is a T. */
export interface Typed<T> {
  readonly step: Step
  /** Never present: only carries the type. */
  readonly value?: T
}

type Values<S> = { -readonly [K in keyof S]: S[K] extends Typed<infer T> ? T : never }
type Results<S> = { -readonly [K in keyof S]: S[K] extends Typed<infer T> ? Result<T> : never }

/** The namespaces that the driver works in: `netns` is the path of the pod's namespace, `on` a namespace to take for the host's. */
export interface DriveOptions {
  readonly netns?: string
  readonly on?: string
  /** Words before the driver's own path, e.g. strace and its options. */
  readonly under?: readonly string[]
  readonly timeoutMs?: number
}

/** The driver's path, on the host and in the guest. */
export const DRIVER = fileURLToPath(new URL('../../../dist/test/driver', import.meta.url))

/** Runs steps in order in one process; returns the value of each. Fails with the words of the first failure. */
export async function drive<const S extends readonly Typed<unknown>[]>(
  lab: Lab,
  steps: S,
  options: DriveOptions = {},
): Promise<Values<S>> {
  const results: readonly Result[] = await tryDrive(lab, steps, options)
  return results.map((result, index) => {
    if (result.error === undefined) return result.value
    throw new Error(
      `The driver failed at ${pack(steps[index]?.step).slice(0, 300)}: ${wordsOf(result.error)}`,
    )
  }) as Values<S>
}

/** {@link drive} that continues after a failure; a result for each step. */
export async function tryDrive<const S extends readonly Typed<unknown>[]>(
  lab: Lab,
  steps: S,
  options: DriveOptions = {},
): Promise<Results<S>> {
  const { code, stdout, stderr } = await lab.exec(argvOf(options), {
    stdin: programOf(steps, options),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  })
  if (code !== 0 || stderr !== '') throw new Error(`The driver ended with code ${code}: ${stderr}`)
  return unpack(stdout) as Results<S>
}

/** The driver's command, for a test that starts it by itself. */
export function argvOf({ on, under = [] }: DriveOptions = {}): string[] {
  return [...(on === undefined ? [] : ['ip', 'netns', 'exec', on]), ...under, DRIVER]
}

/** Standard input for {@link argvOf}. */
export function programOf(steps: readonly Typed<unknown>[], { netns }: DriveOptions = {}): string {
  const program: Program = {
    ...(netns === undefined ? {} : { netns }),
    steps: steps.map(({ step }) => step),
  }
  return pack(program)
}

/** One operation through the kernel, without rollback. */
export function run(op: Op): Typed<Outcome> {
  return { step: { step: 'run', op } }
}

/** Operations as one transaction. */
export function apply(...ops: readonly Op[]): Typed<Outcome[]> {
  return { step: { step: 'apply', ops } }
}

/** A question to the kernel, or one of its removals. */
export function ask<K extends keyof Questions>(
  question: K,
  ...args: Parameters<Questions[K]>
): Typed<ReturnType<Questions[K]>> {
  return { step: { step: 'ask', question, args } }
}

/** A netlink message by a builder of src/netlink. */
export function draft<K extends keyof Builders>(build: K, ...args: Parameters<Builders[K]>): Draft {
  return { build, args }
}

/** Sends one message and waits for its ACK. */
export function request(message: Draft, side: Side = 'host'): Typed<Answer> {
  return { step: { step: 'request', side, message } }
}

export function dump(message: Draft, side: Side = 'host'): Typed<Came[]> {
  return { step: { step: 'dump', side, message } }
}

/** Sends messages without waiting for each; a result for each. */
export function batch(messages: readonly Draft[], side: Side = 'host'): Typed<Result<Answer>[]> {
  return { step: { step: 'batch', side, messages } }
}

/** A function of probes.ts. */
export function probe<K extends keyof Probes>(
  name: K,
  ...args: Parameters<Probes[K]>
): Typed<ReturnType<Probes[K]>> {
  return { step: { step: 'probe', probe: name, args } }
}

/** Output of `ip -j`, `tc -j`, `bridge -j` or `nft -j`. */
export async function json<T = Record<string, unknown>>(lab: Lab, command: string): Promise<T[]> {
  return JSON.parse((await lab.must(command)) || '[]') as T[]
}

function wordsOf({ message, stuck = [], cause }: Failure): string {
  return [message, ...stuck, ...(cause === undefined ? [] : [`because of ${wordsOf(cause)}`])].join('; ')
}
