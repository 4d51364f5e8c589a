// A namespace lives as long as a process or a mount holds it, whatever is at its path.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isGone } from '../../src/ops/held-netns.ts'

const owner = {
  ...{ containerID: 'c', ifname: 'net1', network: 'n', netns: '/run/netns/a' },
  ...{ netnsId: '4:17', netnsCookie: '70', bootId: 'boot' },
}

/** A folder like /proc. */
let proc: string

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'proc-'))
})
afterEach(() => rmSync(proc, { recursive: true }))

/** A node that has namespaces with inode 17 at these paths, by their cookies. */
function node(cookies: Record<string, string>) {
  const open = new Set<string>()
  return {
    open,
    bootId: () => 'boot',
    openNetns: (path: string) => {
      const cookie = cookies[path]
      if (cookie === undefined) throw new Error(`ENOENT: ${path}`)
      open.add(path)
      return { id: '4:17', cookie, path, close: () => open.delete(path) }
    },
  }
}

function process(pid: number, inode: number): string {
  const folder = join(proc, `${pid}/ns`)
  mkdirSync(folder, { recursive: true })
  symlinkSync(`net:[${inode}]`, join(folder, 'net'))
  return join(folder, 'net')
}

test('a namespace whose path is gone lives as long as a process is in it', () => {
  process(7, 18)
  const path = process(8, 17)
  const machine = node({ [path]: '70' })
  expect(isGone(machine, owner, proc)).toBe(false)
  expect([...machine.open]).toEqual([])
})

test('a namespace lives as long as it is mounted somewhere, also where the path has a blank', () => {
  mkdirSync(join(proc, 'self'))
  writeFileSync(
    join(proc, 'self/mountinfo'),
    '22 1 0:21 / /proc rw - proc proc rw\n80 22 0:4 net:[17] /run/my\\040pod rw - nsfs nsfs rw\n',
  )
  expect(isGone(node({ '/run/my pod': '70' }), owner, proc)).toBe(false)
})

test('what has its inode and another cookie is another one', () => {
  const path = process(8, 17)
  const machine = node({ [path]: '71', '/run/netns/a': '72' })
  expect(isGone(machine, owner, proc)).toBe(true)
  expect([...machine.open]).toEqual([])
})

test('of a namespace from before the last boot nothing is left, whatever is at its path', () => {
  expect(isGone(node({ '/run/netns/a': '70' }), { ...owner, bootId: 'another' }, proc)).toBe(true)
})
