// Ports that filters take are kept from the node's own connections.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, describe as group, test } from 'vitest'
import type { Kernel, SteeredPort } from '../../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../../src/kernel/api/machine.ts'
import { formatPortSet, parsePortSet } from '../../../../src/lib/port-set.ts'
import {
  claimLocalPorts,
  localPortsCookies,
  localPortsNote,
  releaseLocalPorts,
} from '../../../../src/offload/portmap/host/local-ports.ts'
import { invert } from '../../../../src/ops/invert.ts'
import type { Op, PortKey } from '../../../../src/ops/op.ts'

const [a, b, c] = ['a', 'b', 'c'].map((letter) => '76660101'.padEnd(32, letter)) as [string, string, string]
let folder: string
let boot: string
/** The setting. */
let reserved: Set<number>
/** The host's table. */
let steered: SteeredPort[]
/** Elements that a flush has taken from it, and that come back when it is made whole. */
let flushed: SteeredPort[]
/** The number of changes that the kernel still makes before we are killed. */
let changesLeft: number

const machine = () => ({ sharedDir: folder, bootId: () => boot }) as Machine
const kernel = {
  localPorts: () => [...reserved],
  steeredPorts: () => steered,
  run: (op: Op) => {
    if (op.do !== 'localports.reserve' && op.do !== 'localports.release') throw new TypeError(op.do)
    if (changesLeft-- <= 0) throw new Error('killed')
    const isReserve = op.do === 'localports.reserve'
    for (const port of op.ports) {
      if (isReserve) reserved.add(port)
      else if (!op.were.includes(port)) reserved.delete(port)
    }
    return {}
  },
} as Partial<Kernel> as Kernel

const whole = () => {
  steered.push(...flushed.splice(0))
}
const keys = (ports: readonly number[], address = '10.1.0.1') =>
  ports.map((port): PortKey => ({ address, proto: 'tcp', port, toAddress: '10.1.0.5', toPort: 80 }))
const plan = (cookie: string, ...ports: number[]) =>
  claimLocalPorts(machine(), kernel, keys(ports), cookie, { whole })
const claim = (cookie: string, ...ports: number[]) => {
  const ops = plan(cookie, ...ports)
  for (const op of ops) kernel.run(op)
  steered.push(...ports.map((port) => ({ cookie, port })))
  return ops
}
const release = (cookie: string, own: readonly number[] = []) => {
  releaseLocalPorts(machine(), kernel, cookie, { own, whole })
  steered = steered.filter((one) => one.cookie !== cookie)
}
const operator = (text: string) => {
  reserved = parsePortSet(text)
}
const now = () => formatPortSet(reserved)
const notes = () => readdirSync(folder)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-ports-'))
  boot = 'boot-1'
  reserved = new Set()
  steered = []
  flushed = []
  changesLeft = Number.POSITIVE_INFINITY
})
afterEach(() => rmSync(folder, { recursive: true }))

test('each port stays as long as somebody needs it, and the operator’s stay behind the last', () => {
  operator('7000-7002,50051')
  claim(a, 50_050, 50_051)
  claim(b, 50_050, 50_052)
  expect(now()).toBe('7000-7002,50050-50052')
  release(a)
  expect(now()).toBe('7000-7002,50050-50052')
  release(b)
  expect(now()).toBe('7000-7002,50051')
  expect(notes()).toEqual([])
})

test('one port on two addresses is one', () => {
  const ops = claimLocalPorts(
    machine(),
    kernel,
    [...keys([50_050]), ...keys([50_050], 'fd00::1'), ...keys([80], '127.0.0.1')],
    a,
    { whole },
  )
  expect(ops).toEqual([{ do: 'localports.reserve', ports: [50_050], were: [] }])
  expect(claimLocalPorts(machine(), kernel, keys([80], '127.0.0.1'), b, { whole })).toEqual([])
})

test('an ADD that is taken back leaves the ports of the operator and of others', () => {
  operator('50051')
  claim(a, 50_050)
  const ops = claim(b, 50_050, 50_051, 50_052)
  for (const op of ops) kernel.run(invert(op) as Op)
  expect(now()).toBe('50050-50051')
  release(b)
  expect(now()).toBe('50050-50051')
})

group('what the operator changes meanwhile', () => {
  test('is kept: ports that are more are theirs, ports that are less no more', () => {
    operator('7000-7002')
    claim(a, 50_050)
    operator('7001-7003,50050')
    claim(b, 50_052)
    release(b)
    release(a)
    expect(now()).toBe('7001-7003')
  })

  test('does not take away what others need: the next ADD puts it back, and so does a DEL', () => {
    claim(a, 50_050)
    claim(b, 50_051)
    operator('7000')
    claim(c, 50_052)
    expect(now()).toBe('7000,50050-50052')
    operator('7000')
    release(c)
    expect(now()).toBe('7000,50050-50051')
    release(a)
    release(b)
    expect(now()).toBe('7000')
  })
})

group('whoever is killed', () => {
  test('behind the note or behind the setting of an ADD is led back by a DEL', () => {
    operator('7000')
    for (const [changes, there] of [
      [0, '7000'],
      [1, '7000,50050'],
    ] as const) {
      changesLeft = changes
      const ops = plan(a, 50_050)
      try {
        for (const op of ops) kernel.run(op)
      } catch {}
      expect(now()).toBe(there)
      changesLeft = Number.POSITIVE_INFINITY
      expect(localPortsCookies(machine(), '766601')).toEqual([a])
      release(a)
      expect(now()).toBe('7000')
      expect(notes()).toEqual([])
    }
  })

  test('in a DEL has not made the operator’s what was ours', () => {
    operator('7000')
    claim(a, 50_050)
    claim(b, 50_051)
    changesLeft = 0
    expect(() => release(a)).toThrow('killed')
    expect(now()).toBe('7000,50050-50051')
    changesLeft = Number.POSITIVE_INFINITY
    // Behind the setting, before the note.
    reserved.delete(50_050)
    release(a)
    release(b)
    expect(now()).toBe('7000')
  })
})

group('without the note', () => {
  test('and with a flushed table nobody’s ports become the operator’s, neither by an ADD nor by a DEL', () => {
    operator('7000')
    for (const first of ['ADD', 'DEL']) {
      claim(a, 50_050)
      claim(b, 50_051)
      rmSync(`${folder}/${localPortsNote}`)
      const isOwn = ({ cookie }: SteeredPort) => cookie === a
      flushed = steered.filter((one) => first === 'ADD' || !isOwn(one))
      steered = []
      if (first === 'ADD') claim(c, 50_052)
      // As DEL has it: the table is made whole for the others, the record tells of its own.
      release(a, [50_050])
      expect(now(), first).toBe(first === 'ADD' ? '7000,50051-50052' : '7000,50051')
      release(c)
      release(b)
      expect(now(), first).toBe('7000')
    }
  })

  test('the host’s table tells who needs which ports', () => {
    operator('7000')
    claim(a, 50_050)
    claim(b, 50_050, 50_051)
    rmSync(`${folder}/${localPortsNote}`)
    release(a)
    expect(now()).toBe('7000,50050-50051')
    release(b)
    expect(now()).toBe('7000')
    expect(notes()).toEqual([])
  })

  test('of one that never had a port nothing is asked of the setting', () => {
    operator('7000')
    const strict = { ...kernel, localPorts: () => expect.fail('asked') } as Kernel
    releaseLocalPorts(machine(), strict, a, { whole: () => expect.fail('made whole') })
    expect(localPortsCookies(machine(), '766601')).toEqual([])
  })

  test.each(['boot-0\n\n50050\n\n', 'rubbish', ''])('one that says nothing of this boot goes: %j', (text) => {
    writeFileSync(`${folder}/${localPortsNote}`, text)
    operator('50050')
    release(a)
    expect(now()).toBe('50050')
    expect(notes()).toEqual([])
    writeFileSync(`${folder}/${localPortsNote}`, text)
    claim(a, 50_051)
    release(a)
    expect(now()).toBe('50050')
  })
})

test('the cookies of a network are those with its prefix', () => {
  claim(a, 1)
  claim('7666010200000000000000000000000a', 2)
  expect(localPortsCookies(machine(), '76660102')).toEqual(['7666010200000000000000000000000a'])
})
