// The client of a container runtime as a program: `driver cri SOCKET`. Calls come as lines on standard input, `{"id":1,"call":"Version",
// "request":{}}`; answers go as lines to standard output after the line `ready`: `{"id":1,"answer":{}}`, or `{"id":1,"refused":"..."}` with
// the runtime's words. Several calls run at the same time. Ends with the end of its input.
import { createInterface } from 'node:readline'
import { callCri } from './cri-call.ts'
import type { CriCall } from './messages.ts'

/** An order of cri.ts. */
export interface CriOrder {
  readonly id: number
  readonly call: CriCall
  readonly request: object
  /** Milliseconds. */
  readonly timeout: number
}

/** Its reply. */
export interface CriReply {
  readonly id: number
  readonly answer?: unknown
  /** The runtime refused, with these words, or can't be reached. */
  readonly refused?: string
}

const socket = process.argv[2] ?? ''
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void obey(JSON.parse(line) as CriOrder))
lines.on('close', () => process.exit(0))
process.stdout.write('ready\n')

async function obey({ id, call, request, timeout }: CriOrder): Promise<void> {
  print({ id, ...(await callCri(socket, call, request, timeout)) })
}

function print(reply: CriReply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
