// The kubelet simulator as a program: `driver kubelet OPTIONS` with the options as JSON. Calls of the interface Kubelet come as lines
// on standard input, `{"id":1,"call":"devices","args":["x.org/a"]}`; answers go as lines to standard output, `{"id":1,"value":...}` or
// `{"id":1,"error":"..."}`. Ends with the end of its input.
import { createInterface } from 'node:readline'
import type { Kubelet, KubeletCall, KubeletOptions } from './api.ts'
import { KubeletSimulator } from './simulator.ts'

/** A call, one a line. */
export interface CallLine {
  readonly id: number
  readonly call: KubeletCall
  readonly args: readonly unknown[]
}

/** Its answer, one a line. */
export interface AnswerLine {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

const kubelet: Kubelet = new KubeletSimulator(JSON.parse(process.argv[2] ?? '{}') as KubeletOptions)
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void answer(JSON.parse(line) as CallLine))
lines.on('close', () => void kubelet.stop().then(() => process.exit(0)))

async function answer({ id, call, args }: CallLine): Promise<void> {
  try {
    // The types of remote.ts have checked the arguments where the test was compiled.
    const method = kubelet[call] as (...args: readonly unknown[]) => Promise<unknown>
    print({ id, value: (await method.call(kubelet, ...args)) ?? null })
  } catch (error) {
    print({ id, error: error instanceof Error ? error.message : String(error) })
  }
}

function print(line: AnswerLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
