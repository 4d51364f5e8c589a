/** The legacy way to register: a call of kubelet's own socket. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { pluginOptions } from './calls.ts'
import type { RegisterRequest } from './types.ts'
import { callOf } from './wire.ts'

/** kubelet has refused the registration, or could not be asked. */
export class RegistrationError extends Error {
  override readonly name = 'RegistrationError'
}

/** One call that goes on. */
export interface Registering {
  /** Rejects with a RegistrationError. */
  readonly done: Promise<void>
  /** Gives up: `done` rejects soon. */
  cancel(): void
}

/**
 * Registers `resource`, which is served at the socket `endpoint` (a name in kubelet's folder) already: kubelet connects to it before
 * it answers. `timeout` in milliseconds.
 */
export function register(kubelet: string, resource: string, endpoint: string, timeout: number): Registering {
  const client = new Client(`unix:${kubelet}`, credentials.createInsecure(), {
    // A new kubelet listens at the same path; the pool of connections would wait for the old one.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  })
  const request: RegisterRequest = {
    version: 'v1beta1',
    endpoint,
    resource_name: resource,
    options: pluginOptions,
  }
  const { path, requestSerialize, responseDeserialize } = callOf('v1beta1.Registration', 'Register')
  let cancel: () => void = () => undefined
  const done = new Promise<void>((resolve, reject) => {
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline: Date.now() + timeout },
      (error: ServiceError | null) => {
        client.close()
        if (error === null) resolve()
        else reject(new RegistrationError(error.details || error.message))
      },
    )
    cancel = () => call.cancel()
  })
  return { done, cancel: () => cancel() }
}
