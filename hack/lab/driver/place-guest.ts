// Both ends of the question whether a worker may serve a caller. `place serve SOCKET` says `ready`, looks at each caller, and sends it the
// reason of the refusal, null for none, and the microseconds of one look. `place call SOCKET` is a caller: its environment and its
// standard input are those of the call. It prints the answer.
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { samePlace } from '../../../src/agent/same-place/same-place.ts'
import { errorText } from '../../../src/lib/error-text.ts'
import { poll, pollBits } from '../../../src/sys/poll.ts'
import { acceptAt, connectTo, listenAt, receive, send } from '../../../src/sys/unix-socket.ts'

const most = 1 << 16
const [, , mode, path = ''] = process.argv
if (mode === 'serve') serve()
else call()

function serve(): void {
  const listener = listenAt(path, 16)
  const refusalOf = samePlace()
  writeSync(1, 'ready\n')
  for (;;) {
    poll([{ fd: listener, events: pollBits.in }], -1)
    const connection = acceptAt(listener)
    if (connection === undefined) continue
    poll([{ fd: connection, events: pollBits.in }], -1)
    const packet = receive(connection, most)
    if (typeof packet === 'string') continue
    const [root = -1, netns] = packet.descriptors
    const { env, stdin } = JSON.parse(new TextDecoder().decode(packet.bytes)) as {
      readonly env: Record<string, string>
      readonly stdin: string
    }
    let reason: string | undefined
    const times: number[] = []
    // The first looks pay for what is compiled and bound.
    for (let turn = 0; turn < 200; turn++) {
      const began = performance.now()
      try {
        reason = refusalOf(connection, { env, stdin, root, netns })
      } catch (error) {
        reason = `defect: ${errorText(error)}`
      }
      times.push(1000 * (performance.now() - began))
    }
    const microseconds = times.sort((left, right) => left - right)[times.length >> 1]
    send(connection, new TextEncoder().encode(JSON.stringify({ reason: reason ?? null, microseconds })))
    for (const fd of [...packet.descriptors, connection]) closeSync(fd)
  }
}

function call(): void {
  const O_PATH = 0o10000000
  const descriptors = [openSync('/', O_PATH | constants.O_DIRECTORY)]
  try {
    descriptors.push(openSync(process.env.CNI_NETNS ?? '', constants.O_RDONLY | constants.O_NONBLOCK))
  } catch {
    // It leads to nothing.
  }
  const stdin = readFileSync(0, 'utf8')
  const { CNI_NETNS, CNI_PATH } = process.env
  const env = {
    ...(CNI_NETNS === undefined ? {} : { CNI_NETNS }),
    ...(CNI_PATH === undefined ? {} : { CNI_PATH }),
  }
  const connection = connectTo(path)
  send(connection, new TextEncoder().encode(JSON.stringify({ env, stdin })), descriptors)
  poll([{ fd: connection, events: pollBits.in }], -1)
  const packet = receive(connection, most)
  process.stdout.write(typeof packet === 'string' ? packet : packet.bytes)
}
