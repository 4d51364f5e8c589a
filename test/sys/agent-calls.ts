/**
 * Sockets, waiting and signals of the agent, in Bun, which runs the program: vitest's Node can't open libc. Prints, as JSON, what each
 * step of `steps` came back with.
 *
 *     sh hack/bun.sh test/sys/agent-calls.ts FOLDER
 */
import { closeSync, fstatSync, openSync, readFileSync, readlinkSync, writeSync } from 'node:fs'
import { SystemError } from '../../src/sys/errno.ts'
import { close } from '../../src/sys/ffi.ts'
import * as waiting from '../../src/sys/poll.ts'
import * as sockets from '../../src/sys/unix-socket.ts'

const [, , folder = '', again] = process.argv
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (packet: sockets.Packet | sockets.NoPacket) =>
  typeof packet === 'string' ? packet : new TextDecoder().decode(packet.bytes)
const codeOf = (action: () => unknown) => {
  try {
    return action()
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error)
  }
}
const isCloseOnExec = (fd: number) =>
  /^flags:\s+0?2\d{6}$/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))
const { pollBits } = waiting

const steps: Readonly<Record<string, () => unknown>> = {
  connection() {
    const path = `${folder}/socket`
    const refused = codeOf(() => sockets.connectTo(path))
    const listener = sockets.listenAt(path, 8)
    const before = waiting.poll([{ fd: listener, events: pollBits.in }], 0)
    const none = sockets.acceptAt(listener)
    const client = sockets.connectTo(path)
    const after = waiting.poll([{ fd: listener, events: pollBits.in }], -1)
    const server = sockets.acceptAt(listener) ?? -1
    const silence = sockets.receive(server, 16)
    const sent = [sockets.send(client, bytes('one')), sockets.send(client, bytes('two'))]
    const got = [text(sockets.receive(server, 16)), text(sockets.receive(server, 16))]
    const peer = sockets.peerOf(server)
    const isHere = sockets.netnsCookieOf(server) === sockets.netnsCookieOf(client)
    const hungUp = [waiting.isHungUp(server)]
    close(client)
    hungUp.push(waiting.isHungUp(server))
    const end = sockets.receive(server, 16)
    const late = sockets.send(server, bytes('late'))
    const closed = [listener, server].map(isCloseOnExec)
    close(server)
    close(listener)
    const left = codeOf(() => sockets.connectTo(path))
    return {
      ...{ refused, before, none: none ?? null, after, silence, sent, got, isHere, hungUp, end, late },
      ...{ peer: { isSelf: peer.pid === process.pid, uid: peer.uid }, closed, left },
    }
  },
  backlog() {
    const listener = sockets.listenAt(`${folder}/full`, 1)
    const results = [1, 2, 3, 4].map(() => codeOf(() => typeof sockets.connectTo(`${folder}/full`)))
    close(listener)
    return results
  },
  longPath: () => codeOf(() => sockets.listenAt(`/${'x'.repeat(107)}`, 1)),
  descriptors() {
    const [one, other] = sockets.socketPair()
    const file = openSync(`${folder}/file`, 'w+')
    const root = openSync('/', 'r')
    sockets.send(one, bytes('both'), [file, root])
    closeSync(root)
    const packet = sockets.receive(other, 16)
    if (typeof packet === 'string') return packet
    const [first = -1, second = -1] = packet.descriptors
    const isSame = fstatSync(first).ino === fstatSync(file).ino
    const result = {
      ...{ text: text(packet), count: packet.descriptors.length, isSame },
      ...{ root: readlinkSync(`/proc/self/fd/${second}`), closed: [first, second].map(isCloseOnExec) },
    }
    for (const fd of [one, other, file, first, second]) close(fd)
    return result
  },
  tooMany() {
    const [one, other] = sockets.socketPair()
    const file = openSync(`${folder}/file`, 'w+')
    const open = () => [one, other, file].concat(openNow()).length
    const before = open()
    sockets.send(
      one,
      bytes('many'),
      Array.from({ length: 9 }, () => file),
    )
    const many = codeOf(() => sockets.receive(other, 16))
    sockets.send(one, bytes('longer than expected'))
    const long = codeOf(() => sockets.receive(other, 4))
    sockets.send(one, bytes('next'))
    const next = text(sockets.receive(other, 16))
    const result = { many, long, next, isEven: open() === before }
    for (const fd of [one, other, file]) close(fd)
    return result
  },
  full() {
    const [one, other] = sockets.socketPair()
    let count = 0
    while (count < 10_000 && sockets.send(one, new Uint8Array(1024))) count++
    const result = { isBounded: count > 0 && count < 10_000, first: typeof sockets.receive(other, 1024) }
    close(one)
    close(other)
    return result
  },
  pollTime() {
    const [one, other] = sockets.socketPair()
    const began = performance.now()
    const bits = waiting.poll([{ fd: one, events: pollBits.in }], 20)
    const isLate = performance.now() - began >= 19
    sockets.send(other, bytes('x'))
    const both = waiting.poll(
      [one, other].map((fd) => ({ fd, events: pollBits.in })),
      -1,
    )
    close(one)
    close(other)
    return { bits, isLate, both, invalid: waiting.poll([{ fd: one, events: 1 }], 0) }
  },
  process() {
    const child = Bun.spawn(['sleep', '1000'], { stdio: ['ignore', 'ignore', 'ignore'] })
    const fd = waiting.openProcess(child.pid)
    const before = waiting.poll([{ fd, events: pollBits.in }], 0)
    waiting.killProcess(fd)
    const after = waiting.poll([{ fd, events: pollBits.in }], -1)
    const closed = isCloseOnExec(fd)
    close(fd)
    return { before, after, closed, absent: codeOf(() => waiting.openProcess(2 ** 22 + 1)) }
  },
  memory() {
    const fd = waiting.memoryFile('vf-flower-test')
    writeSync(fd, 'text')
    const result = {
      name: readlinkSync(`/proc/self/fd/${fd}`),
      size: fstatSync(fd).size,
      closed: isCloseOnExec(fd),
    }
    close(fd)
    return result
  },
  // The mask holds for threads that begin after it, so the process becomes itself once more: all threads of the new one have it.
  signals() {
    const fd = waiting.signalDescriptor(['SIGTERM', 'SIGHUP'])
    const masks = new Set(
      [...new Bun.Glob('*/status').scanSync({ cwd: '/proc/self/task' })].map((file) =>
        /^SigBlk:\s+(\w+)$/m.exec(readFileSync(`/proc/self/task/${file}`, 'utf8'))?.[1]?.slice(-4),
      ),
    )
    const none = waiting.takeSignal(fd) ?? null
    process.kill(process.pid, 'SIGTERM')
    const bits = waiting.poll([{ fd, events: pollBits.in }], -1)
    const taken = [waiting.takeSignal(fd), waiting.takeSignal(fd) ?? null]
    // Children have the mask of the thread that starts them.
    waiting.setSignalMask([])
    const child = Bun.spawnSync(['sh', '-c', 'kill -TERM $$; echo still here'])
    return {
      ...{ masks: [...masks], none, bits, taken, argument: again },
      child: { signal: child.signalCode ?? null, stdout: child.stdout.toString() },
    }
  },
}

function openNow(): number[] {
  return [...new Bun.Glob('*').scanSync({ cwd: '/proc/self/fdinfo' })].map(Number)
}

if (again === undefined) {
  waiting.setSignalMask(['SIGTERM', 'SIGHUP'])
  const variables = Object.entries(process.env).map(([name, value]) => `${name}=${value}`)
  waiting.execute(
    process.execPath,
    [process.execPath, import.meta.path, folder, 'as it was given'],
    variables,
  )
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, step()]))))
