// Program for the guest, part of test/driver, run inside a namespace; rate.ts starts it.
//   receive tcp|udp PORT               prints `ready`; when the sender is done, one line of JSON: what arrived when
//   send tcp ADDRESS PORT SECONDS      prints `ready`, sends as fast as it goes from the moment that FILE exists
//   send udp ADDRESS PORT SECONDS MBIT the same with datagrams of 1,000 bytes at an even pace
// FILE is $RATE_GO. Both print how many bytes they sent.
import { existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'

/** When how many bytes came: milliseconds since the first of them. */
class Arrivals {
  readonly list: [at: number, bytes: number][] = []
  #begin = 0
  add(bytes: number): void {
    const now = performance.now()
    if (this.#begin === 0) this.#begin = now
    const at = Math.round((now - this.#begin) * 10) / 10
    const last = this.list.at(-1)
    // What came at once, as far as anybody can tell here, is one entry: a list of thousands takes its time too.
    if (last !== undefined && this.list.length > 1 && at - last[0] < 1) last[1] += bytes
    else this.list.push([at, bytes])
  }
}

const [mode, protocol, ...rest] = process.argv.slice(2)
const DATAGRAM = 1_000
const LAST = 'end'
/** As rate.ts has it. */
const LAST_WORDS = 10

if (mode === 'receive') {
  const arrived = protocol === 'tcp' ? await receiveTcp(Number(rest[0])) : await receiveUdp(Number(rest[0]))
  console.log(JSON.stringify(arrived))
} else {
  const [address = '', port, seconds, mbit] = rest
  console.log('ready')
  while (!existsSync(process.env.RATE_GO ?? '/')) await Bun.sleep(5)
  const sent =
    protocol === 'tcp'
      ? await sendTcp(address, Number(port), Number(seconds))
      : await sendUdp(address, Number(port), Number(seconds), Number(mbit))
  console.log(JSON.stringify({ sent }))
}
process.exit(0)

function receiveTcp(port: number): Promise<Arrivals['list']> {
  return new Promise((resolve, reject) => {
    const arrivals = new Arrivals()
    const server = createServer((socket) => {
      socket.on('data', (data) => arrivals.add(data.length))
      socket.on('error', reject)
      socket.on('close', () => resolve(arrivals.list))
    })
    server.on('error', reject)
    server.listen(port, '::', () => console.log('ready'))
  })
}

async function receiveUdp(port: number): Promise<Arrivals['list']> {
  const arrivals = new Arrivals()
  const ended = Promise.withResolvers<void>()
  await Bun.udpSocket({
    hostname: '::',
    port,
    socket: {
      data: (_, data) => {
        if (data.length === DATAGRAM) arrivals.add(data.length)
        else if (data.toString() === LAST) ended.resolve()
      },
      error: () => undefined,
    },
  })
  console.log('ready')
  await ended.promise
  return arrivals.list
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

// Bun's own socket: the one of node:dgram never sends again once the kernel's buffer was full.
async function sendUdp(hostname: string, port: number, seconds: number, mbit: number): Promise<number> {
  let drained: () => void = () => undefined
  const socket = await Bun.udpSocket({
    hostname: hostname.includes(':') ? '::' : '0.0.0.0',
    connect: { hostname, port },
    socket: { drain: () => drained(), error: () => undefined },
  })
  // ENOBUFS: a queue on the way drops; ECONNREFUSED: the receiver has heard the last word.
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
    // No more at once than what a machine can that is slower than the pace: the time is looked at in between.
    const due = Math.min((passed() * mbit * 125_000) / DATAGRAM, sent + 64)
    for (; sent < due; sent++) await send(block)
    if (sent >= (passed() * mbit * 125_000) / DATAGRAM) await Bun.sleep(2)
  }
  // The last word may be dropped too.
  for (let at = 0; at < LAST_WORDS; at++) {
    await send(LAST)
    await Bun.sleep(40)
  }
  return sent * DATAGRAM
}
