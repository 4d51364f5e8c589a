// Calls of an object in another process as orders (bed/orders.ts): `{"id":1,"call":"devices","args":["x.org/a"]}` on standard input, answered
// on standard output by `{"id":1,"value":...}` or `{"id":1,"error":"..."}`. Imports this folder.
import { createInterface } from 'node:readline'

/** A call, one a line with its `id`. */
export interface CallLine {
  readonly call: string
  readonly args: readonly unknown[]
}

/** Its answer, one a line. */
export interface AnswerLine {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** Has this process answer calls of `target`, and say that it is ready; calls `ended` at the end of its input. */
export function answerLines(target: object, ended: () => Promise<void>): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void answer(target, JSON.parse(line) as CallLine & { id: number }))
  lines.on('close', () => void ended().then(() => process.exit(0)))
  process.stdout.write('ready\n')
}

async function answer(target: object, { id, call, args }: CallLine & { id: number }): Promise<void> {
  const print = (line: AnswerLine) => process.stdout.write(`${JSON.stringify(line)}\n`)
  try {
    // The types of the caller have checked the arguments where the test was compiled.
    const calls = target as Record<string, (...args: readonly unknown[]) => Promise<unknown>>
    print({ id, value: (await calls[call]?.(...args)) ?? null })
  } catch (error) {
    print({ id, error: (error as Error).message })
  }
}
