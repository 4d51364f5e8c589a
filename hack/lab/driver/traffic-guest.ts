// Program for the guest, part of start.ts, run inside a namespace; traffic.ts starts it.
//   serve   JSON list of listeners as argument; prints `ready`, answers until it is killed
//   ask     JSON list of questions as argument; asks all at once, prints a JSON list of outcomes
//   agent   does both on orders from standard input, see agent.ts
// A server answers with one line of JSON (its name and the peer that it sees), followed by the bytes that it got. A server for
// `digest` sends the SHA-256 sum of the bytes instead.
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { request } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { AgentOrder, AgentReply } from '../bed/agent.ts'
import type { Ask, Endpoint, Listen, Outcome } from '../bed/traffic.ts'

type Close = () => void

const [mode, json = '[]'] = process.argv.slice(2)
if (mode === 'serve') {
  await Promise.all((JSON.parse(json) as Listen[]).map(serve))
  console.log('ready')
} else if (mode === 'agent') {
  await serveOrders()
} else {
  const outcomes = await Promise.all((JSON.parse(json) as Ask[]).map(ask))
  console.log(JSON.stringify(outcomes))
  process.exit(0)
}

/** One order a line, one reply a line, in any order: several orders run at the same time. */
async function serveOrders(): Promise<void> {
  const servers = new Map<number, Close[]>()
  const carryOut = async (order: AgentOrder): Promise<Outcome[]> => {
    if (order.do === 'ask') return Promise.all(order.questions.map(ask))
    if (order.do === 'serve') {
      servers.set(order.id, (await Promise.all(order.listeners.map(serve))).flat())
    } else {
      for (const close of servers.get(order.server) ?? []) close()
      servers.delete(order.server)
    }
    return []
  }
  const say = (reply: AgentReply) => process.stdout.write(`${JSON.stringify(reply)}\n`)
  process.stdout.write('ready\n')
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as AgentOrder
    carryOut(order).then(
      (outcomes) => say({ id: order.id, outcomes }),
      (error) => say({ id: order.id, outcomes: [], error: String(error) }),
    )
  }
}

// Two sockets per listener, so that a peer's IPv4 address does not appear as an IPv6 address.
function serve(listen: Listen): Promise<Close[]> {
  const hosts = listen.address === undefined ? ['0.0.0.0', '::'] : [listen.address]
  const serveOne = { tcp: serveTcp, digest: serveTcp, udp: serveUdp, http: serveHttp }
  return Promise.all(hosts.map((host) => serveOne[listen.protocol](listen, host)))
}

function serveTcp(listen: Listen, host: string): Promise<Close> {
  const tcp = (socket: Socket): void => {
    const parts: Uint8Array[] = []
    const sum = listen.protocol === 'digest' ? createHash('sha256') : undefined
    socket.on('data', (data) => {
      if (sum === undefined) parts.push(data)
      else sum.update(data)
    })
    socket.on('error', () => undefined)
    socket.on('end', () => {
      if (sum !== undefined) parts.push(sum.digest())
      socket.end(Buffer.concat([greeting(listen, socket.remoteAddress, socket.remotePort), ...parts]))
    })
  }
  const server = createServer({ allowHalfOpen: true }, tcp)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: listen.port, host, ipv6Only: host.includes(':') }, () =>
      resolve(() => server.close()),
    )
  })
}

// Not node:http, which under Bun can't listen on both families separately.
async function serveHttp(listen: Listen, host: string): Promise<Close> {
  const server = Bun.serve({
    port: listen.port,
    hostname: host,
    ipv6Only: host.includes(':'),
    async fetch(request, server) {
      const peer = server.requestIP(request)
      return new Response(
        Buffer.concat([
          greeting(listen, peer?.address, peer?.port),
          Buffer.from(await request.arrayBuffer()),
        ]),
      )
    },
  })
  return () => server.stop(true)
}

function serveUdp(listen: Listen, host: string): Promise<Close> {
  const v6 = host.includes(':')
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6 })
  socket.on('message', (data, from) => {
    const padding = Buffer.alloc(listen.padding ?? 0, 'x')
    const reply = Buffer.concat([greeting(listen, from.address, from.port), data, padding])
    socket.send(reply, from.port, from.address)
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(listen.port, host, () => resolve(() => socket.close()))
  })
}

function greeting(listen: Listen, address: string | undefined, port: number | undefined): Uint8Array {
  return Buffer.from(`${JSON.stringify({ server: listen.name, peer: { address, port } })}\n`)
}

async function ask(question: Ask): Promise<Outcome> {
  // A pattern of 251 bytes, a prime: lost, doubled or reordered bytes change it.
  const pattern = Buffer.from(Array.from({ length: 251 }, (_, at) => (at * 31 + question.port) & 0xff))
  const sent = Buffer.alloc(question.bytes ?? 1_000, pattern)
  const padding = Buffer.alloc(question.padding ?? 0, 'x')
  const expected =
    question.protocol === 'digest'
      ? createHash('sha256').update(sent).digest()
      : Buffer.concat([sent, padding])
  const exchange = { tcp: askTcp, digest: askTcp, udp: askUdp, http: askHttp }[question.protocol]
  let timer: ReturnType<typeof setTimeout> | undefined
  // A question without an answer must stop: later questions may come from the same port.
  const over = new AbortController()
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('ETIMEDOUT')), question.timeoutMs ?? 10_000)
  })
  try {
    const { reply, local } = await Promise.race([exchange(question, sent, over.signal), late])
    const end = reply.indexOf('\n')
    const echoed = reply.subarray(end + 1)
    if (end < 0 || !echoed.equals(expected)) {
      return {
        ok: false,
        error: `sent ${sent.length} bytes, got ${echoed.length} that differ: ${reply.toString('latin1', 0, 200)}`,
      }
    }
    const { server, peer } = JSON.parse(reply.toString('utf8', 0, end)) as { server: string; peer: Endpoint }
    return { ok: true, server, peer, local, bytes: echoed.length }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { ok: false, error: code ?? message }
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}

interface Exchange {
  readonly reply: Buffer
  readonly local: Endpoint
}

function askTcp(question: Ask, sent: Buffer, over: AbortSignal): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = []
    let local: Endpoint = { address: '', port: 0 }
    const socket = connect({
      host: question.address,
      port: question.port,
      ...(question.sourcePort === undefined ? {} : { localPort: question.sourcePort }),
      ...(question.sourceAddress === undefined ? {} : { localAddress: question.sourceAddress }),
    })
    over.addEventListener('abort', () => socket.destroy())
    socket.on('connect', () => {
      local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
      socket.end(sent)
    })
    socket.on('data', (data) => parts.push(data))
    socket.on('error', reject)
    socket.on('close', () => resolve({ reply: Buffer.concat(parts), local }))
  })
}

// Repeats the datagram every 300 ms, because address resolution may lose the first one. The socket is connected, so only an answer from
// the asked address arrives.
function askUdp(question: Ask, sent: Buffer, over: AbortSignal): Promise<Exchange> {
  const isV6 = question.address.includes(':')
  const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', ipv6Only: isV6 })
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setInterval> | undefined
    let isOpen = true
    const finish = (): void => {
      clearInterval(timer)
      if (isOpen) socket.close()
      isOpen = false
    }
    over.addEventListener('abort', finish)
    socket.on('error', (error) => {
      finish()
      reject(error)
    })
    socket.on('message', (reply) => {
      const { address, port } = socket.address() as AddressInfo
      finish()
      resolve({ reply, local: { address, port } })
    })
    socket.bind(question.sourcePort ?? 0, question.sourceAddress, () => {
      if (!isOpen) return
      socket.connect(question.port, question.address, () => {
        if (!isOpen) return
        socket.send(sent)
        timer = setInterval(() => socket.send(sent), 300)
      })
    })
  })
}

function askHttp(question: Ask, sent: Buffer, over: AbortSignal): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const call = request({
      host: question.address,
      port: question.port,
      method: 'POST',
      path: '/',
      agent: false,
      headers: { connection: 'close', 'content-length': sent.length },
    })
    over.addEventListener('abort', () => call.destroy())
    call.on('error', reject)
    call.on('response', (response) => {
      const parts: Uint8Array[] = []
      const { localAddress, localPort } = response.socket
      response.on('data', (data) => parts.push(data))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode !== 200) reject(new Error(`HTTP ${response.statusCode}`))
        else
          resolve({
            reply: Buffer.concat(parts),
            local: { address: localAddress ?? '', port: localPort ?? 0 },
          })
      })
    })
    call.end(sent)
  })
}
