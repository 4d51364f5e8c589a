// The client of a container runtime as a program: `driver cri SOCKET`. Calls come as lines on standard input, `{"id":1,"call":"Version",
// "request":{}}`; answers go as lines to standard output after the line `ready`: `{"id":1,"answer":{}}`, or `{"id":1,"refused":"..."}` with
// the runtime's words. Several calls run at the same time. Ends with the end of its input.
import { createInterface } from 'node:readline'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { type CriCall, definitionOf } from './messages.ts'

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
lines.on('line', (line) => obey(JSON.parse(line) as CriOrder))
lines.on('close', () => process.exit(0))
process.stdout.write('ready\n')

function obey({ id, call, request, timeout }: CriOrder): void {
  // A connection for each call: a runtime that was started anew is found at once.
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  })
  const { path, requestSerialize, responseDeserialize } = definitionOf(call)
  const options = { deadline: Date.now() + timeout }
  client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    options,
    (error: ServiceError | null, answer) => {
      client.close()
      print(error === null ? { id, answer } : { id, refused: error.details || error.message })
    },
  )
}

function print(reply: CriReply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
