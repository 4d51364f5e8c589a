// Shares one connection to the agent among several processes. In: frames of clients and of the guest. Out: the
// same frames with the ids rewritten. Imports node:net and the frame format.
import { createServer, type Server, type Socket } from 'node:net'
import { encodeFrame, type Frame, frameDecoder, type Reply, type Request } from './protocol.ts'

/** The clients of a machine that another process owns. */
export interface Broker {
  /** Takes every frame from the guest and sends it to the client that it is for; a frame without an id goes to all. */
  receive(frame: Frame<Reply>): void
  close(): void
}

/**
 * Listens on the Unix socket `path`. Puts a prefix before each client's ids on the way in and removes it on the way out. When a
 * client is gone, the agent kills the processes that it has left running.
 */
export async function broker(path: string, toGuest: (bytes: Uint8Array) => void): Promise<Broker> {
  const clients = new Map<string, Socket>()
  let hello: Uint8Array | undefined
  let count = 0
  const server = createServer((socket) => {
    const prefix = `${count++}.`
    clients.set(prefix, socket)
    if (hello !== undefined) socket.write(hello)
    const decode = frameDecoder<Request>()
    socket.on('data', (piece) => {
      for (const { header, data } of decode(piece)) {
        if ('id' in header) toGuest(encodeFrame({ ...header, id: prefix + header.id }, data))
      }
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clients.delete(prefix)
      toGuest(encodeFrame({ t: 'forget', prefix }))
    })
  })
  await listen(server, path)
  server.unref()
  return {
    receive: ({ header, data }) => {
      if (!('id' in header)) {
        const bytes = encodeFrame(header, data)
        if (header.t === 'hello') hello = bytes
        for (const client of clients.values()) client.write(bytes)
        return
      }
      const dot = header.id.indexOf('.') + 1
      const client = clients.get(header.id.slice(0, dot))
      client?.write(encodeFrame({ ...header, id: header.id.slice(dot) }, data))
    },
    close: () => {
      server.close()
      for (const client of clients.values()) client.destroy()
    },
  }
}

/** Resolves when `server` listens on the Unix socket `path`; rejects when it can't. */
export function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}
