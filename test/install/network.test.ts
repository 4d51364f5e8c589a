// Network configs: the example and files of the operator are taken or refused by reason, and those of a node are read as far as they go.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { networksIn, wantedNetwork } from '../../src/install/network.ts'
import { readOffloadConfig } from '../../src/offload/config/config.ts'
import { requestOf } from '../support/request.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'networks-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

describe('the config to write', () => {
  test('the example is one that our plugin takes', () => {
    const { name, network, plugins, text } = wantedNetwork('example')
    expect({ name, network, plugins }).toEqual({
      ...{ name: '10-vf-flower.conflist', network: 'vf-flower' },
      plugins: ['bridge', 'vf-offload', 'host-local'],
    })
    const { plugins: all } = JSON.parse(text) as { plugins: Record<string, unknown>[] }
    expect(readOffloadConfig(requestOf(all.at(-1) ?? {}))).toMatchObject({ servesPorts: true, warnings: [] })
  })

  test('a file: its text stays as it is', () => {
    const text = '{ "name": "net",\n "type": "vf-attach", "ipam": { "type": "dhcp" } }\n'
    expect(wantedNetwork(file('5.conf', text))).toEqual({
      name: '5.conf',
      text,
      network: 'net',
      plugins: ['vf-attach', 'dhcp'],
    })
  })

  test.each([
    ['a.yaml', '{}', 'its name must end with .conflist, .conf or .json'],
    ['a.conflist', '[', 'it is no JSON object'],
    ['a.conflist', '[]', 'it is no JSON object'],
    ['a.conflist', '{"plugins": [{"type": "x"}]}', 'it has no "name"'],
    ['a.conflist', '{"name": "n"}', 'each of its "plugins" must have a "type"'],
    ['a.conflist', '{"name": "n", "plugins": [5]}', 'each of its "plugins" must have a "type"'],
    ['a.conf', '{"name": "n"}', 'it must have a "type"'],
  ])('%s with %s is refused', (name, text, words) => {
    expect(() => wantedNetwork(file(name, text))).toThrow(words)
  })

  test('a file that is not there is named', () => {
    expect(() => wantedNetwork(join(folder, 'none.conf'))).toThrow(
      /Cannot read the network config ".*none.conf": ENOENT/,
    )
  })
})

test('the configs of a node, in the order of libcni', () => {
  file('20-b.conf', '{"name": "b", "type": "vf-attach", "stateDir": "/b"}')
  file(
    '10-a.conflist',
    '{"name": "a", "plugins": [{"type": "x", "stateDir": "/a"}, {"type": "y", "stateDir": "no"}]}',
  )
  file('30-broken.json', '{')
  file('notes.txt', '{"name": "c"}')
  expect(networksIn(folder)).toEqual([
    { file: '10-a.conflist', network: 'a', stateDirs: ['/a'] },
    { file: '20-b.conf', network: 'b', stateDirs: ['/b'] },
    { file: '30-broken.json', network: undefined, stateDirs: [] },
  ])
  expect(networksIn(join(folder, 'none'))).toEqual([])
})
