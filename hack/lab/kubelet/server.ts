// A gRPC server of the kubelet simulator on a unix socket.
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { namesIn } from './watcher.ts'
import { service } from './wire.ts'

/** Answers of a service, by the name of the call. What is thrown becomes the status UNKNOWN with its text, as in Go. */
type Answers = Readonly<Record<string, (request: object) => Promise<object>>>

/** A server. */
export class SocketServer {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** Serves one service at a path; an old socket is replaced. */
  static async open(path: string, name: string, answers: Answers): Promise<SocketServer> {
    mkdirSync(dirname(path), { recursive: true })
    rmSync(path, { force: true })
    const server = new Server()
    const implementation: UntypedServiceImplementation = Object.fromEntries(
      Object.entries(answers).map(([method, answer]) => [method, unary(answer)]),
    )
    server.addService(service(name), implementation)
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    )
    chmodSync(path, 0o660)
    return new SocketServer(server)
  }

  close(): void {
    this.#server.forceShutdown()
  }
}

function unary(answer: (request: object) => Promise<object>) {
  return (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) => {
    answer(call.request).then(
      (value) => done(null, value),
      (error: Error) => done({ code: status.UNKNOWN, details: error.message }),
    )
  }
}

/** Removes all sockets of a folder but those named. */
export function removeSocketsIn(folder: string, keep: readonly string[] = []): void {
  for (const name of namesIn(folder)) {
    const path = join(folder, name)
    if (!keep.includes(name) && lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path)
  }
}
