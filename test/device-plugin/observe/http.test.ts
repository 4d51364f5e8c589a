// The HTTP server: its three pages and nothing else, over TCP and over a unix socket; an address that is taken is tried again; slow
// clients and too many of them are sent away; and it stops at once.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type HttpServer,
  type Pages,
  parseListen,
  serveHttp,
  WrongAddress,
} from '../../../device-plugin/observe/http.ts'
import { eventually } from '../../support/eventually.ts'

let folder = ''
let server: HttpServer | undefined
let lines: string[] = []
let reasons: string[] = []
const log = { warn: (line: string) => lines.push(line), info: (line: string) => lines.push(line) }
const pages: Pages = {
  metrics: async () => ({ contentType: 'text/plain; version=0.0.4', parts: ['a 1\n', 'b 2\n'] }),
  unready: () => reasons,
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'http-'))
  lines = []
  reasons = []
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  rmSync(folder, { recursive: true })
})

async function start(listen: string, more: Partial<Pages> = {}): Promise<string> {
  server = serveHttp({ listen, pages: { ...pages, ...more }, log, retryAfter: 10 })
  return eventually(() => server?.address ?? Promise.reject(new RangeError('not yet')))
}

function get(place: { host: string; port: number } | { socketPath: string }, path: string, method = 'GET') {
  return new Promise<{ status: number | undefined; type: string | undefined; text: string }>(
    (resolve, reject) => {
      const sent = request({ ...place, path, method, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('end', () =>
          resolve({ status: response.statusCode, type: response.headers['content-type'], text }),
        )
      })
      sent.on('error', reject)
      sent.end()
    },
  )
}
const portOf = (address: string) => ({ host: '127.0.0.1', port: Number(address.split(':').at(-1)) })

test('the three pages and no others', async () => {
  const place = portOf(await start('127.0.0.1:0'))
  expect(await get(place, '/healthz')).toMatchObject({ status: 200, text: 'ok\n' })
  expect(await get(place, '/metrics?x=1')).toEqual({
    status: 200,
    type: 'text/plain; version=0.0.4',
    text: 'a 1\nb 2\n',
  })
  expect(await get(place, '/metrics', 'HEAD')).toMatchObject({ status: 200, text: '' })
  for (const path of ['/', '/metrics/', '/../metrics', '/debug', '/healthz/x'])
    expect([path, (await get(place, path)).status]).toEqual([path, 404])
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect([method, (await get(place, '/metrics', method)).status]).toEqual([method, 405])
})

test('/readyz says why not, a line for each reason', async () => {
  const place = portOf(await start('127.0.0.1:0'))
  expect(await get(place, '/readyz')).toMatchObject({ status: 200, text: 'ok\n' })
  reasons = ['config: line 3: no comma', 'intel.com/vfs: not registered with kubelet']
  expect(await get(place, '/readyz')).toMatchObject({ status: 503, text: `${reasons.join('\n')}\n` })
  expect((await get(place, '/healthz')).status).toBe(200)
})

test('a page that fails is an error of that request alone', async () => {
  const place = portOf(await start('127.0.0.1:0', { metrics: () => Promise.reject(new RangeError('no')) }))
  expect((await get(place, '/metrics')).status).toBe(500)
  expect((await get(place, '/healthz')).status).toBe(200)
  expect(lines.at(-1)).toBe('Cannot answer a request: no')
})

test('a unix socket, also where a process that is gone has left one', async () => {
  const path = join(folder, 'http.sock')
  expect(await start(path)).toBe(path)
  expect((await get({ socketPath: path }, '/healthz')).status).toBe(200)
  const second = serveHttp({ listen: path, pages, log, retryAfter: 10 })
  await eventually(() => expect(second.address).toBe(path))
  expect((await get({ socketPath: path }, '/healthz')).status).toBe(200)
  await second.stop()
})

test('a file in the place of the socket stays, and the server tries again', async () => {
  const path = join(folder, 'file')
  writeFileSync(path, 'precious')
  server = serveHttp({ listen: path, pages, log, retryAfter: 10 })
  await eventually(() => expect(lines.length).toBeGreaterThan(1))
  expect(lines[0]).toContain(`Cannot listen at ${path}: `)
  rmSync(path)
  await eventually(() => expect(server?.address).toBe(path))
})

test('a port that is taken is tried again until it is free', async () => {
  const other = createHttp()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  server = serveHttp({ listen: `127.0.0.1:${port}`, pages, log, retryAfter: 10 })
  await eventually(() => expect(lines.length).toBeGreaterThan(1))
  expect(lines[0]).toContain('EADDRINUSE')
  expect(server.address).toBeUndefined()
  other.close()
  await eventually(() => expect(server?.address).toBe(`127.0.0.1:${port}`))
  expect((await get({ host: '127.0.0.1', port }, '/healthz')).status).toBe(200)
})

test('of too many requests at one time some are sent away, and the next ones are answered', async () => {
  let release: (() => void) | undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const place = portOf(
    await start('127.0.0.1:0', {
      metrics: async () => {
        await held
        return { contentType: 'text/plain', parts: ['a 1\n'] }
      },
    }),
  )
  const early: string[] = []
  const all = Array.from({ length: 40 }, () =>
    get(place, '/metrics').then((one) => {
      early.push(one.text)
      return one
    }),
  )
  await eventually(() => expect(early).toHaveLength(24))
  expect(new Set(early)).toEqual(new Set(['too many requests at one time\n']))
  release?.()
  const statuses = (await Promise.all(all)).map(({ status }) => status)
  expect([200, 503].map((status) => statuses.filter((one) => one === status).length)).toEqual([16, 24])
  expect((await get(place, '/metrics')).status).toBe(200)
})

test('a hundred clients that say nothing keep nobody from stopping, and garbage is answered by the end', async () => {
  const { host, port } = portOf(await start('127.0.0.1:0'))
  const silent = Array.from({ length: 100 }, () => connect(port, host).on('error', () => undefined))
  const garbage = connect(port, host)
  garbage.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => garbage.on('close', () => resolve()))
  garbage.write('\0\0\0 not http\r\n\r\n')
  await closed
  await server?.stop()
  for (const one of silent) one.destroy()
})

describe('addresses', () => {
  test.each([
    ['127.0.0.1:9100', { host: '127.0.0.1', port: 9100 }],
    [':9100', { port: 9100 }],
    ['[::1]:9100', { host: '::1', port: 9100 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['/run/x.sock', { path: '/run/x.sock' }],
  ])('%s', (text, place) => {
    expect(parseListen(text)).toEqual(place)
  })

  test.each([
    '',
    '9100',
    '::1:9100',
    '127.0.0.1',
    '127.0.0.1:65536',
    'a:b:1',
    'http://x:1',
    'x.sock',
    '/a\0',
  ])('not %j', (text) => {
    expect(parseListen(text)).toBeUndefined()
    expect(() => serveHttp({ listen: text, pages, log })).toThrow(WrongAddress)
  })
})
