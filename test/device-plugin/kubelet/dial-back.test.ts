// The server as Go's gRPC library meets it, which kubelet is built with: both ways to register, on raw bytes that no table of ours has
// made; and the `:authority` of each age of kubelet.

import { mkdirSync } from 'node:fs'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { AllocationRefused } from '../../../device-plugin/front-end.ts'
import { until } from '../../../hack/lab/until.ts'
import { buildDialBack, dialBack, serveLegacy, wire } from '../../support/kubelet/dial-back.ts'
import { access, device, fixedCore, type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let program = ''
let bed: KubeletBed
beforeAll(async () => {
  program = await buildDialBack()
}, 300_000)
afterEach(() => bed.close())

/** A field with a length: number, then text or bytes. */
const field = (number: number, value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}
const hex = (...fields: readonly Buffer[]) => Buffer.concat(fields).toString('hex')
const list = hex(
  field(1, Buffer.concat([field(1, 'a'), field(2, 'Healthy'), field(3, field(1, Buffer.from([8, 1])))])),
  field(1, Buffer.concat([field(1, 'b'), field(2, 'Unhealthy')])),
)
/** Fields of their default are written too, which the protocol allows. */
const options = Buffer.from([0x08, 0, 0x10, 1])

const served = (folder: 'plugins_registry' | 'device-plugins') => {
  bed = kubeletBed()
  mkdirSync(bed.path(folder))
  const core = fixedCore({
    allocate: async (_, ids) => {
      if (ids.includes('b')) throw new AllocationRefused('Device b is not healthy: 50 % of „Tests“ say so')
      return access({ env: { A: 'a' }, cdiNames: ['v/c=a'] })
    },
  })
  const frontEnd = bed.open({}, core)
  frontEnd.offer([offer('x.org/a', device('a', undefined, 1), device('b', 'carrier'))])
  return { frontEnd, socket: bed.path(folder, 'x.org_a.sock') }
}

/** The bytes of Allocate for one device. */
const forDevice = (id: string) => hex(field(1, field(1, id)))

describe('the watcher way', () => {
  test('answers each call with the bytes of the protocol', async () => {
    const { frontEnd, socket } = served('plugins_registry')
    const answers = await dialBack(
      program,
      socket,
      'localhost',
      [wire.info, ''],
      [wire.options, ''],
      [wire.list, ''],
      [wire.allocate, forDevice('a')],
      [wire.allocate, forDevice('b')],
      [wire.notify, hex(Buffer.from([8, 1]))],
    )
    const container = Buffer.concat([
      field(1, Buffer.concat([field(1, 'A'), field(2, 'a')])),
      field(5, field(1, 'v/c=a')),
    ])
    expect(answers.map(({ code, rest }) => [code, rest])).toEqual([
      ['OK', hex(field(1, 'DevicePlugin'), field(2, 'x.org/a'), field(3, ''), field(4, 'v1beta1'))],
      ['OK', hex(options)],
      ['OK', list],
      ['OK', hex(field(1, container))],
      ['FailedPrecondition', 'Device b is not healthy: 50 % of „Tests“ say so'],
      ['OK', ''],
    ])
    await until(() => frontEnd.status()[0]?.registered === true, 'it is registered')
  })

  // That of kubelet 1.26 and newer, that of Go's library of today without a word from kubelet ("-"), and one with a port.
  test.each(['localhost', '-', 'localhost:80'])('answers with the authority %s', async (authority) => {
    const { socket } = served('plugins_registry')
    const answers = await dialBack(program, socket, authority, [wire.list, ''])
    expect(answers).toEqual([{ method: wire.list, code: 'OK', rest: list }])
  })

  test('refuses the authority of kubelets before 1.26, which is the path of the socket', async () => {
    const { socket } = served('plugins_registry')
    const [answer] = await dialBack(program, socket, socket, [wire.options, ''])
    expect(answer).toMatchObject({ code: 'Internal', rest: expect.stringContaining('PROTOCOL_ERROR') })
  })
})

describe('the legacy way', () => {
  test('registers with bytes of the protocol, and answers while Register goes on', async () => {
    const { frontEnd } = served('device-plugins')
    const kubelet = serveLegacy(program, bed.path('device-plugins'), 'localhost')
    try {
      await until(() => frontEnd.status()[0]?.registered === true, 'it is registered')
      const request = [field(1, 'v1beta1'), field(2, 'x.org_a.sock'), field(3, 'x.org/a'), field(4, options)]
      expect(kubelet.lines().slice(0, 3)).toEqual([
        { method: wire.register, code: 'OK', rest: hex(...request) },
        { method: wire.options, code: 'OK', rest: hex(options) },
        { method: wire.list, code: 'OK', rest: list },
      ])
    } finally {
      await kubelet.close()
    }
  })
})
