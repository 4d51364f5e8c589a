// The path of the process's own namespace is told from others.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isOwnNetns, netnsIdAt, own } from '../../src/sys/own-netns.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netns-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('our own namespace by any path', () => {
  expect(netnsIdAt(own)).toMatch(/^\d+:\d+$/)
  symlinkSync('/proc/self/ns/net', join(folder, 'link'))
  for (const path of [own, '/proc/self/ns/net', `/proc/${process.pid}/ns/net`, join(folder, 'link')])
    expect(isOwnNetns(path)).toBe(true)
})

test('another kind of namespace and a file are not ours', () => {
  writeFileSync(join(folder, 'file'), '')
  expect(isOwnNetns('/proc/self/ns/mnt')).toBe(false)
  expect(isOwnNetns(join(folder, 'file'))).toBe(false)
})

test.each([
  ['gone', '/proc/self/ns/nonesuch'],
  ['below a file', '/etc/passwd/net'],
  ['of a process that is gone', '/proc/4194305/ns/net'],
  ['empty', ''],
  ['too long', '/x'.repeat(3000)],
])('a path that is %s is no namespace, and not ours', (_, path) => {
  expect(netnsIdAt(path)).toBeUndefined()
  expect(isOwnNetns(path)).toBe(false)
})

test('a path of links in a circle is no namespace, and not ours', () => {
  symlinkSync('circle', join(folder, 'circle'))
  expect(isOwnNetns(join(folder, 'circle'))).toBe(false)
})

const canUnshare = spawnSync('unshare', ['-n', 'true']).status === 0

describe.each(canUnshare ? [['unshare']] : [])('a namespace made by %s', (program) => {
  test('is not ours, and is the same one by every path', async () => {
    const child = spawn(program, ['-n', 'sh', '-c', 'echo ready; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const path = `/proc/${child.pid}/ns/net`
    expect(isOwnNetns(path)).toBe(false)
    expect(netnsIdAt(path)).toBe(netnsIdAt(`/proc/${child.pid}/task/${child.pid}/ns/net`))
    expect(netnsIdAt(path)).not.toBe(netnsIdAt(own))
    child.stdin.end()
    await ended
    expect(netnsIdAt(path)).toBeUndefined()
  })
})
