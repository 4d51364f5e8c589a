// Calls of an object in another process, line by line: `{"id":1,"call":"devices","args":["x.org/a"]}` on standard input, answered on standard
// output by `{"id":1,"value":...}` or `{"id":1,"error":"..."}`. Imports this folder.
import { createInterface } from 'node:readline'
import type { Lab } from '../lab.ts'
import { SimulatorError } from './api.ts'

/** A call, one a line. */
interface CallLine {
  readonly id: number
  readonly call: string
  readonly args: readonly unknown[]
}

/** Its answer, one a line. */
interface AnswerLine {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** Has this process answer calls of `target`; calls `ended` at the end of its input. */
export function answerLines(target: object, ended: () => Promise<void>): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void answer(target, JSON.parse(line) as CallLine))
  lines.on('close', () => void ended().then(() => process.exit(0)))
}

async function answer(target: object, { id, call, args }: CallLine): Promise<void> {
  const print = (line: AnswerLine) => process.stdout.write(`${JSON.stringify(line)}\n`)
  try {
    // The types of the caller have checked the arguments where the test was compiled.
    const calls = target as Record<string, (...args: readonly unknown[]) => Promise<unknown>>
    print({ id, value: (await calls[call]?.(...args)) ?? null })
  } catch (error) {
    print({ id, error: (error as Error).message })
  }
}

/** An object in another process, and the end of that process. */
export interface Remote<T> {
  /** The named calls alone. */
  readonly calls: T
  /** Ends the program by the end of its input. */
  end(): Promise<void>
}

/** Starts a program of {@link answerLines} in a node. `who` names it in errors. */
export async function remote<T extends object>(
  lab: Lab,
  who: string,
  argv: readonly string[],
  names: readonly (keyof T & string)[],
): Promise<Remote<T>> {
  const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  const decoder = new TextDecoder()
  let rest = ''
  let count = 0
  const take = (line: string) => {
    const { id, value, error } = JSON.parse(line) as AnswerLine
    const waiting = pending.get(id)
    pending.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new SimulatorError(error))
  }
  const program = await lab.spawn(argv, {
    timeoutMs: 0,
    onStdout: (data) => {
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) take(line)
    },
  })
  const ended = program.wait().catch(() => undefined)
  void ended.then(() => {
    for (const { reject } of pending.values())
      reject(new SimulatorError(`${who} has ended: ${program.stderr()}`))
  })
  const send = (call: string, args: readonly unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      const line: CallLine = { id: ++count, call, args }
      pending.set(line.id, { resolve, reject })
      program.write(`${JSON.stringify(line)}\n`)
    })
  const calls = names.map((name) => [name, (...args: readonly unknown[]) => send(name, args)] as const)
  return {
    calls: Object.fromEntries(calls) as unknown as T,
    end: async () => {
      program.end()
      await ended
    },
  }
}
