// IPAM's part of ADD and DEL: begun beside the move only for plugins that look at no interface, given back once after a failure, and
// never without an end.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ipamBeside, ipamOfAdd } from '../../../src/attach/verbs/ipam.ts'
import type { RecordName } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { spawnInNode } from '../../support/spawn.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ipam-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const blind = ['host-local', 'static', 'whereabouts']
const others = ['dhcp', 'cluster-ipam']
const calls = () => (existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : '')

const machine = {
  startProgram: spawnInNode,
  withLock: <T>(_path: string, _milliseconds: number, action: (held?: number) => T) => action(),
}

/** A request for a plugin `type` that fails the commands of `failing`. */
function request(type: string | undefined, failing: readonly string[] = []) {
  if (type !== undefined) {
    const fails = failing.map((command) => `[ $CNI_COMMAND != ${command} ] || exit 3`).join('\n')
    const body = `cat >/dev/null\necho $CNI_COMMAND >>${folder}/log\n${fails}\necho '{"ips":[{"address":"10.1.0.5/24"}]}'`
    writeFileSync(join(folder, type), `#!/bin/sh\n${body}\n`)
    chmodSync(join(folder, type), 0o755)
  }
  const ipam = type === undefined ? {} : { ipam: { type } }
  return requestOf({ deviceID: '0000:3b:02.3', ...ipam }, { CNI_PATH: folder })
}

const ofAdd = (type: string | undefined, failing?: readonly string[]) =>
  ipamOfAdd(request(type, failing), machine, { path: join(folder, 'record') } as RecordName)
const beside = (command: 'DEL' | 'CHECK', type: string, failing?: readonly string[]) =>
  ipamBeside(command, request(type, failing), machine)

describe('an ADD', () => {
  test.each(blind)('starts %s before the move', (type) => {
    const ipam = ofAdd(type)
    ipam.beforeMove()
    expect(calls()).toBe('ADD\n')
    expect(ipam.result()).toEqual({ ips: [{ address: '10.1.0.5/24' }] })
    expect(calls()).toBe('ADD\n')
  })

  test.each(others)('starts %s after the move, when it can see the interface', (type) => {
    const ipam = ofAdd(type)
    ipam.beforeMove()
    expect(calls()).toBe('')
    expect(ipam.result()).toEqual({ ips: [{ address: '10.1.0.5/24' }] })
    expect(calls()).toBe('ADD\n')
  })

  test('without IPAM runs nothing', () => {
    const ipam = ofAdd(undefined)
    ipam.beforeMove()
    expect([ipam.result(), ipam.giveBack()]).toEqual([undefined, []])
  })

  test.each([
    ['after the result', ['before', 'result']],
    ['while the plugin may still run', ['before']],
  ])('that fails %s frees the addresses, once', (_, steps) => {
    const ipam = ofAdd('static')
    ipam.beforeMove()
    if (steps.includes('result')) ipam.result()
    expect(ipam.giveBack()).toEqual([])
    expect(ipam.giveBack()).toEqual([])
    expect(calls()).toBe('ADD\nDEL\n')
  })

  test('that fails before its IPAM was asked frees nothing', () => {
    expect(ofAdd('dhcp').giveBack()).toEqual([])
    expect(calls()).toBe('')
  })

  test('that fails as its plugin does tells of both, and the plugin gets one DEL', () => {
    const ipam = ofAdd('static', ['ADD'])
    ipam.beforeMove()
    expect(ipam.giveBack()).toEqual([expect.stringContaining('IPAM plugin "static" failed with exit code 3')])
    expect(ipam.giveBack()).toEqual([])
    expect(calls()).toBe('ADD\nDEL\n')
  })

  test('says that addresses are not freed', () => {
    const ipam = ofAdd('static', ['DEL'])
    ipam.result()
    expect(ipam.giveBack()).toEqual([
      expect.stringMatching(/^the addresses are not freed, DEL does it: IPAM plugin "static" failed/),
    ])
  })

  test('whose plugin is missing fails before the move', () => {
    const ipam = ipamOfAdd(
      requestOf({ deviceID: '0000:3b:02.3', ipam: { type: 'static' } }, { CNI_PATH: folder }),
      machine,
      { path: join(folder, 'record') } as RecordName,
    )
    expect(() => ipam.beforeMove()).toThrow('Cannot find IPAM plugin "static"')
    expect(ipam.giveBack()).toEqual([])
  })
})

describe.each(['DEL', 'CHECK'] as const)('a %s', (command) => {
  test.each([
    ...blind.map((type) => [type, `${command}\n`] as const),
    ...others.map((type) => [type, ''] as const),
  ])('runs %s once, and some beside the rest', (type, early) => {
    const ipam = beside(command, type)
    ipam.begin()
    ipam.begin()
    expect(calls()).toBe(early)
    ipam.finish()
    ipam.abandon()
    expect(calls()).toBe(`${command}\n`)
  })

  test('reports a failure at the end alone', () => {
    const ipam = beside(command, 'static', [command])
    ipam.begin()
    expect(() => ipam.finish()).toThrow('failed with exit code 3')
    rmSync(join(folder, 'static'))
    const config = requestOf({ deviceID: '0000:3b:02.3', ipam: { type: 'static' } }, { CNI_PATH: folder })
    const missing = ipamBeside(command, config, machine)
    missing.begin()
    expect(() => missing.finish()).toThrow('Cannot find IPAM plugin "static"')
  })

  test('that fails waits for the end of a plugin that was begun, and begins none', () => {
    const [failed, idle] = [beside(command, 'static', [command]), beside(command, 'dhcp')]
    failed.begin()
    failed.abandon()
    idle.begin()
    idle.abandon()
    expect(calls()).toBe(`${command}\n`)
  })
})
