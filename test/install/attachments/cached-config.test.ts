// The config of a DEL comes from libcni's cache: the plugin's own part, with what the runtime gave and with the result; and none from a
// file that says something else.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cachedConfig } from '../../../src/install/attachments/cached-config.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cache-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const owner = { network: 'net', containerID: 'pod', ifname: 'eth0' }
const ipam = { type: 'host-local' }
const list = {
  ...{ cniVersion: '1.0.0', name: 'net' },
  plugins: [
    { type: 'sriov', ipam },
    { type: 'vf-offload', capabilities: { portMappings: true, bandwidth: false } },
  ],
}
const write = (config: unknown, more: Record<string, unknown> = {}) =>
  writeFileSync(
    join(folder, 'net-pod-eth0'),
    JSON.stringify({ config: Buffer.from(JSON.stringify(config)).toString('base64'), ...more }),
  )

test('a plugin of a list, with the arguments of its capabilities', () => {
  const [portMappings, result] = [[{ hostPort: 80 }], { cniVersion: '1.0.0' }]
  write(list, { capabilityArgs: { portMappings, bandwidth: {} }, result })
  expect(cachedConfig(folder, owner, 'vf-offload')).toEqual({
    ...list.plugins[1],
    ...{ name: 'net', cniVersion: '1.0.0', runtimeConfig: { portMappings }, prevResult: result },
  })
})

test('vf-attach under a name of others, and a config of one plugin', () => {
  write(list)
  expect(cachedConfig(folder, owner, 'vf-attach')).toMatchObject({ type: 'sriov', ipam })
  write({ cniVersion: '0.4.0', name: 'net', type: 'vf-attach' })
  expect(cachedConfig(folder, owner, 'vf-attach')).toEqual({
    cniVersion: '0.4.0',
    name: 'net',
    type: 'vf-attach',
  })
})

test('nothing that fits', () => {
  expect(cachedConfig(folder, owner, 'vf-attach')).toBeUndefined()
  for (const config of [{ plugins: [] }, { plugins: [{ type: 'bridge' }] }, 5]) {
    write(config)
    expect(cachedConfig(folder, owner, 'vf-attach')).toBeUndefined()
  }
  for (const text of ['', '{', '[]', '{"config": 5}']) {
    writeFileSync(join(folder, 'net-pod-eth0'), text)
    expect(cachedConfig(folder, owner, 'vf-attach')).toBeUndefined()
  }
})
