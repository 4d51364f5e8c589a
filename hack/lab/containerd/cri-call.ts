// One call of a container runtime, by gRPC. In: the runtime's socket, the call. Out: the answer, or the runtime's refusal.
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { type CriCall, definitionOf } from './messages.ts'

/** The answer, or the words of a runtime that refuses or can't be reached. */
export type CriOutcome = { readonly answer: object } | { readonly refused: string }

/** Calls the runtime at `socket`; `timeout` is in milliseconds. */
export function callCri(
  socket: string,
  call: CriCall,
  request: object,
  timeout: number,
): Promise<CriOutcome> {
  // A connection for each call: a runtime that was started anew is found at once.
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  })
  const { path, requestSerialize, responseDeserialize } = definitionOf(call)
  const options = { deadline: Date.now() + timeout }
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      options,
      (error: ServiceError | null, answer) => {
        client.close()
        resolve(error === null ? { answer: answer ?? {} } : { refused: error.details || error.message })
      },
    )
  })
}
