// Program for the guest, part of start.ts, run inside a namespace; rate.ts starts it. Prints `ready`, then takes orders on
// standard input, one a line, and answers each with a line when it is done. Orders are carried out at the same time.
import { connect, createServer, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import type { RateOrder, RateReply } from '../bed/rate.ts'

/** The arrival of bytes over time, in milliseconds since the first bytes; `begin` is their time by the machine's clock. */
class Arrivals {
  readonly list: [at: number, bytes: number][] = []
  begin = 0
  add(bytes: number): void {
    // One clock for all processes.
    const now = performance.timeOrigin + performance.now()
    if (this.begin === 0) this.begin = now
    const at = Math.round((now - this.begin) * 10) / 10
    const last = this.list.at(-1)
    // Data that came at once, as far as anybody can tell here, is one entry: a list of thousands takes its time too.
    if (last !== undefined && this.list.length > 1 && at - last[0] < 1) last[1] += bytes
    else this.list.push([at, bytes])
  }
}

interface Listening {
  /** The bytes that came, when the sender is done. */
  readonly done: Promise<Arrivals>
  /** Ends the receiver now. */
  stop(): void
}

const DATAGRAM = 1_000
/** As rate.ts has it. */
const LAST_WORDS = 10
/** The time that a receiver waits for a last word after its sender has ended: data that is queued on the way comes within a second. */
const PATIENCE_MS = 10_000
const listening = new Map<number, Listening>()

process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as RateOrder & { readonly id: number }
  const { id } = order
  const say = (reply: Omit<RateReply, 'id'>) => process.stdout.write(`${JSON.stringify({ id, ...reply })}\n`)
  carryOut(order).then(say, (error) => say({ error: String(error) }))
}

async function carryOut(order: RateOrder & { readonly id: number }): Promise<Omit<RateReply, 'id'>> {
  switch (order.do) {
    case 'listen': {
      // A high priority, because bytes that are read late would count as fast.
      setPriority(0, -10)
      const { id, protocol, port, last } = order
      listening.set(id, await (protocol === 'tcp' ? receiveTcp(port) : receiveUdp(port, last)))
      return {}
    }
    case 'arrivals': {
      const receiver = listening.get(order.of)
      listening.delete(order.of)
      // All last words may be lost, for example on a path that does not work at all: the measurement reports that.
      const patience = setTimeout(() => receiver?.stop(), order.stop ? 0 : PATIENCE_MS)
      const { list = [], begin = 0 } = (await receiver?.done) ?? {}
      clearTimeout(patience)
      return { arrivals: list, begin }
    }
    case 'send': {
      setPriority(0, 0)
      const { address, port, seconds, udpMbit, last } = order
      const sent =
        udpMbit === undefined
          ? await sendTcp(address, port, seconds)
          : await sendUdp(address, port, seconds, udpMbit, last)
      return { sent }
    }
  }
}

function receiveTcp(port: number): Promise<Listening> {
  const done = Promise.withResolvers<Arrivals>()
  return new Promise((resolve, reject) => {
    const arrivals = new Arrivals()
    let sockets: readonly Socket[] = []
    const stop = (): void => {
      for (const socket of sockets) socket.destroy()
      server.close()
      done.resolve(arrivals)
    }
    const server = createServer((socket) => {
      sockets = [...sockets, socket]
      socket.on('data', (data) => arrivals.add(data.length))
      socket.on('error', done.reject)
      socket.on('close', stop)
    })
    server.on('error', reject)
    server.listen(port, '::', () => resolve({ done: done.promise, stop }))
  })
}

async function receiveUdp(port: number, last: string): Promise<Listening> {
  const arrivals = new Arrivals()
  const ended = Promise.withResolvers<Arrivals>()
  const socket = await Bun.udpSocket({
    hostname: '::',
    port,
    socket: {
      data: (_, data) => {
        if (data.length === DATAGRAM) arrivals.add(data.length)
        else if (data.toString() === last) stop()
      },
      error: () => undefined,
    },
  })
  const stop = (): void => {
    socket.close()
    ended.resolve(arrivals)
  }
  return { done: ended.promise, stop }
}

function sendTcp(host: string, port: number, seconds: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const block = Buffer.alloc(32_768)
    const end = performance.now() + seconds * 1_000
    const socket = connect({ host, port })
    let sent = 0
    const fill = (): void => {
      while (performance.now() < end) {
        sent += block.length
        if (!socket.write(block)) return
      }
      socket.destroy()
      resolve(sent)
    }
    socket.on('connect', fill)
    socket.on('drain', fill)
    socket.on('error', reject)
  })
}

// Uses Bun's own socket: the socket of node:dgram never sends again once the kernel's buffer was full.
async function sendUdp(
  hostname: string,
  port: number,
  seconds: number,
  mbit: number,
  last: string,
): Promise<number> {
  let drained: () => void = () => undefined
  const socket = await Bun.udpSocket({
    hostname: hostname.includes(':') ? '::' : '0.0.0.0',
    connect: { hostname, port },
    socket: { drain: () => drained(), error: () => undefined },
  })
  // ENOBUFS: a queue on the path drops. ECONNREFUSED: the receiver has got the last word.
  const taken = (data: string | Uint8Array): boolean => {
    try {
      return socket.send(data)
    } catch {
      return true
    }
  }
  const send = async (data: string | Uint8Array): Promise<void> => {
    while (!taken(data)) {
      await new Promise<void>((resolve) => {
        drained = resolve
        setTimeout(resolve, 10)
      })
    }
  }
  const block = Buffer.alloc(DATAGRAM)
  const begin = performance.now()
  const passed = () => (performance.now() - begin) / 1_000
  let sent = 0
  while (passed() < seconds) {
    // Sends at most 64 at once before checking the time again, for a machine that is slower than the pace.
    const due = Math.min((passed() * mbit * 125_000) / DATAGRAM, sent + 64)
    for (; sent < due; sent++) await send(block)
    if (sent >= (passed() * mbit * 125_000) / DATAGRAM) await Bun.sleep(2)
  }
  // Sends the last word several times, because it may be dropped.
  for (let at = 0; at < LAST_WORDS; at++) {
    await send(last)
    await Bun.sleep(40)
  }
  socket.close()
  return sent * DATAGRAM
}
