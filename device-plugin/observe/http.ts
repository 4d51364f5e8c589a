/**
 * The HTTP server of /metrics, /healthz and /readyz. It never ends the process: an address that is taken is tried again, and a
 * client that is slow, or one of too many, is sent away.
 */

import { lstatSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { errorText } from '../../src/lib/error-text.ts'

/** The answers of the server. */
export interface Pages {
  /** The text of /metrics, in parts. */
  metrics(): Promise<{ readonly contentType: string; readonly parts: readonly string[] }>
  /** Reasons for not being ready; empty when ready. */
  unready(): readonly string[]
}

/** Settings of the server. */
export interface HttpOptions {
  /** `HOST:PORT`, `[HOST]:PORT`, `:PORT` for all addresses, or the absolute path of a unix socket. */
  readonly listen: string
  readonly pages: Pages
  readonly log: { warn(message: string): void; info(message: string): void }
  /** Pause before another try to have the address, in milliseconds. */
  readonly retryAfter?: number
}

/** A running server. */
export interface HttpServer {
  /** `HOST:PORT` or the path while the server listens. */
  readonly address: string | undefined
  /** Ends all connections. */
  stop(): Promise<void>
}

/**
 * Requests at one time. Prometheus and the probes of kubelet need three. Connections can't be counted: Bun tells of a connection with
 * its first request, and ends one that says nothing for ten seconds.
 */
const mostRequests = 16
/** Milliseconds for a request to come in, for a client to take its answer, and for a connection without a request. */
const requestTimeout = 5_000
const answerTimeout = 30_000
const idleTimeout = 60_000

/** A place to listen at. */
export type Listen = { readonly host?: string; readonly port: number } | { readonly path: string }

/** Reads the setting; undefined for anything else than the forms that {@link HttpOptions} names. */
export function parseListen(text: string): Listen | undefined {
  if (text.startsWith('/') && text.length < 108 && !text.includes('\0')) return { path: text }
  const parts = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) return undefined
  const host = parts[1] ?? parts[2] ?? ''
  return host === '' ? { port } : { host, port }
}

/** An address that nothing can listen at. */
export class WrongAddress extends Error {
  override readonly name = 'WrongAddress'
}

/** Starts the server; returns at once. @throws WrongAddress */
export function serveHttp({ listen, pages, log, retryAfter = 5_000 }: HttpOptions): HttpServer {
  const place = parseListen(listen)
  if (place === undefined)
    throw new WrongAddress(
      `Cannot listen: listen is "${listen}"; must be HOST:PORT, :PORT or an absolute path of at most 107 characters`,
    )
  const server = createServer({ requestTimeout, headersTimeout: requestTimeout, maxHeaderSize: 8_192 })
  server.keepAliveTimeout = idleTimeout
  let busy = 0
  server.on('request', (request, response) => {
    if (busy >= mostRequests) {
      response.writeHead(503, { connection: 'close' }).end('too many requests at one time\n')
      return
    }
    busy++
    const timer = setTimeout(() => response.destroy(), answerTimeout)
    void answer(pages, log, request, response).finally(() => {
      clearTimeout(timer)
      busy--
    })
  })
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  const begin = () => {
    if ('path' in place) removeSocket(place.path)
    server.listen(place)
  }
  server.on('error', (error) => {
    if (isStopped) return
    log.warn(`Cannot listen at ${listen}: ${error.message}; another try follows in ${retryAfter} ms`)
    clearTimeout(timer)
    timer = setTimeout(begin, retryAfter)
    timer.unref()
  })
  server.on('listening', () => log.info(`Serves /metrics, /healthz and /readyz at ${addressOf(server)}`))
  server.on('clientError', (_error, socket) => socket.destroy())
  begin()
  return {
    get address() {
      return server.listening ? addressOf(server) : undefined
    },
    stop: () => {
      isStopped = true
      clearTimeout(timer)
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function answer(
  pages: Pages,
  log: HttpOptions['log'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const plain = 'text/plain; charset=utf-8'
  const send = (status: number, text: string, contentType = plain) => {
    response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) })
    response.end(request.method === 'HEAD' ? undefined : text)
  }
  try {
    const path = request.url?.split('?')[0]
    // A body has no meaning here. Node reads it to its end or closes the connection.
    if (request.method !== 'GET' && request.method !== 'HEAD') send(405, 'only GET is served here\n')
    else if (path === '/healthz') send(200, 'ok\n')
    else if (path === '/readyz') {
      const reasons = pages.unready()
      send(reasons.length === 0 ? 200 : 503, reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`)
    } else if (path === '/metrics') {
      const { contentType, parts } = await pages.metrics()
      response.writeHead(200, { 'content-type': contentType })
      if (request.method !== 'HEAD') await pour(parts, response)
      response.end()
    } else send(404, 'not found: /metrics, /healthz and /readyz are served here\n')
  } catch (error) {
    log.warn(`Cannot answer a request: ${errorText(error)}`)
    if (response.headersSent) response.destroy()
    else send(500, 'failed\n')
  }
}

/** Writes parts as the client takes them, so that a large text is not encoded as a whole. */
async function pour(parts: readonly string[], response: ServerResponse): Promise<void> {
  for (const part of parts) {
    if (response.destroyed) return
    if (!response.write(part))
      await new Promise<void>((resolve) => {
        response.once('drain', resolve)
        response.once('close', resolve)
      })
  }
}

function addressOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') return address ?? ''
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`
}

/** A socket of a process that is gone keeps the next one from listening. Any other file stays. */
function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path)
  } catch {
    // Nothing is there, or it may not be removed: listen(2) says so.
  }
}
