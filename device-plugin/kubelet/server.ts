/** The gRPC server of one pool. */
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { type CallContext, pluginCalls, registrationCalls } from './calls.ts'
import type { Listener } from './socket-file.ts'
import { serviceOf } from './wire.ts'

/** A server that may listen at several sockets at once, and at other ones later. */
export class PoolServer implements Listener {
  readonly #server = new Server({ 'grpc.enable_channelz': 0 })

  constructor(context: CallContext) {
    this.#server.addService(serviceOf('v1beta1.DevicePlugin'), pluginCalls(context))
    this.#server.addService(serviceOf('pluginregistration.Registration'), registrationCalls(context))
  }

  bind(path: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    )
  }

  unbind(path: string): void {
    this.#server.unbind(`unix:${path}`)
  }

  /** Takes no new calls; those that go on may take `patience` milliseconds, then they are cut off. */
  close(patience: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        clearTimeout(timer)
        this.#server.forceShutdown()
        resolve()
      }
      const timer = setTimeout(over, patience)
      this.#server.tryShutdown(over)
    })
  }
}
