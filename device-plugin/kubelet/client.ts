/** One call of kubelet at one of its sockets. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { callOf, type ServiceName } from './wire.ts'

/** A call that goes on. */
export interface RunningCall {
  /** The answer as the decoder leaves it. Rejects with a KubeletCallError. */
  readonly done: Promise<unknown>
  /** Gives up: `done` rejects soon. */
  cancel(): void
}

/** kubelet refuses a call, or can't be reached. The message is kubelet's word or the system's. */
export class KubeletCallError extends Error {
  override readonly name = 'KubeletCallError'
}

/** The call, and its bounds. */
export interface CallOptions {
  readonly service: ServiceName
  readonly method: string
  readonly request: object
  /** Time for the answer, in milliseconds. */
  readonly timeout: number
  /** Longest answer in bytes; 4 MiB without it. */
  readonly mostBytes?: number
}

/** Calls kubelet at a socket over a connection of its own: a kubelet that was started anew is found at once. */
export function callKubelet(
  socket: string,
  { service, method, request, timeout, mostBytes }: CallOptions,
): RunningCall {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    // A new kubelet listens at the same path: the failures of connections to the former one do not count.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    ...(mostBytes === undefined ? {} : { 'grpc.max_receive_message_length': mostBytes }),
  })
  const { path, requestSerialize, responseDeserialize } = callOf(service, method)
  let cancel: () => void = () => undefined
  const done = new Promise<unknown>((resolve, reject) => {
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline: Date.now() + timeout },
      (error: ServiceError | null, answer) => {
        client.close()
        if (error === null) resolve(answer)
        else reject(new KubeletCallError(wordsOf(error)))
      },
    )
    cancel = () => call.cancel()
  })
  return { done, cancel: () => cancel() }
}

/** The words of kubelet or of the system. The library puts words of its own around those of a connection that failed. */
function wordsOf({ details, message }: ServiceError): string {
  return /Last error: (?:\w*Error: )?(.+?)\. Resolution note/s.exec(details)?.[1] ?? (details || message)
}
