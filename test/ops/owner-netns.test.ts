// The namespace of an owner is known by path, inode and cookie.
import { describe, expect, test } from 'vitest'
import {
  isAlive,
  isOwnersNetns,
  isSameNetns,
  openOwnersNetns,
  ownerMarks,
} from '../../src/ops/owner-netns.ts'

const owner = { containerID: 'c', ifname: 'net1', network: 'n', netns: '/run/netns/a', bootId: 'boot' }
const marked = { ...owner, netnsId: '4:1', netnsCookie: '70' }
const { netnsCookie: _, ...unmarked } = marked

/** A node that has these namespaces at these paths. */
function node(at: Record<string, { id: string; cookie?: string; isHost?: boolean }>) {
  const closed: string[] = []
  return {
    closed,
    bootId: () => 'boot',
    openNetns: (path: string) => {
      const found = at[path]
      if (found === undefined) throw new Error(`ENOENT: ${path}`)
      return { ...found, path, close: () => closed.push(path) }
    },
  }
}

describe("the owner's namespace", () => {
  test('is known by its cookie: the kernel gives the inode to the next one', () => {
    expect(isOwnersNetns(marked, { id: '4:1', cookie: '70' })).toBe(true)
    expect(isOwnersNetns(marked, { id: '4:1', cookie: '71' })).toBe(false)
    expect(isOwnersNetns(marked, { id: '4:2', cookie: '70' })).toBe(false)
  })

  test('is known by its inode where one side has no cookie', () => {
    expect(isOwnersNetns(unmarked, { id: '4:1', cookie: '71' })).toBe(true)
    expect(isOwnersNetns(marked, { id: '4:1' })).toBe(true)
  })

  test("is the host's only if the record says so by its cookie (CNI_NETNS_OVERRIDE)", () => {
    expect(isOwnersNetns(unmarked, { id: '4:1', cookie: '70', isHost: true })).toBe(false)
    expect(isOwnersNetns(marked, { id: '4:1', cookie: '70', isHost: true })).toBe(true)
  })

  test('is written down with what tells it from others', () => {
    expect(ownerMarks({ id: '4:1', cookie: '70' })).toEqual({ netnsId: '4:1', netnsCookie: '70' })
    expect(ownerMarks({ id: '4:1' })).toEqual({ netnsId: '4:1' })
  })

  test('is found at either path, and what is there in its place is closed', () => {
    const { closed, ...machine } = node({
      '/run/netns/a': { id: '4:1', cookie: '71' },
      '/run/netns/b': { id: '4:1', cookie: '70' },
    })
    expect(openOwnersNetns(machine, marked, '/run/netns/b')?.path).toBe('/run/netns/b')
    expect(openOwnersNetns(machine, marked, '')).toBeUndefined()
    expect(closed).toEqual(['/run/netns/a'])
  })

  test('is gone when its path leads to another one, and after a boot', () => {
    const machine = node({ '/run/netns/a': { id: '4:1', cookie: '71' } })
    expect(isAlive(machine, marked)).toBe(false)
    expect(isAlive(machine, { ...marked, netnsCookie: '71' })).toBe(true)
    expect(isAlive(machine, { ...marked, netnsCookie: '71', bootId: 'before' })).toBe(false)
  })

  test("without an owner is whatever is at the path, but never the host's", () => {
    const machine = node({ '/a': { id: '4:1' }, '/host': { id: '4:2', isHost: true } })
    expect(openOwnersNetns(machine, undefined, '/a')?.id).toBe('4:1')
    expect(openOwnersNetns(machine, undefined, '/host')).toBeUndefined()
  })
})

test('two looks see the same namespace if inode and cookie are equal', () => {
  expect(isSameNetns({ id: '4:1', cookie: '7' }, { id: '4:1', cookie: '7' })).toBe(true)
  expect(isSameNetns({ id: '4:1', cookie: '7' }, { id: '4:1', cookie: '8' })).toBe(false)
  expect(isSameNetns({ id: '4:1', cookie: '7' }, undefined)).toBe(false)
})
