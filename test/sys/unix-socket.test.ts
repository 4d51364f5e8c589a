// Packets between two programs: what is sent comes whole, descriptors come with it and are closed on exec, and nothing waits. In Bun,
// because vitest's Node can't open libc.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { agentCalls } from './agent-calls-run.ts'

const folder = mkdtempSync(join(tmpdir(), 'vf-sockets-'))
let results: Awaited<ReturnType<typeof agentCalls>>
beforeAll(async () => {
  results = await agentCalls(folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

test('a connection: packets stay apart, the end is told, and a socket left behind refuses', () => {
  expect(results.connection).toEqual({
    refused: 'ENOENT',
    before: [0],
    none: null,
    after: [1],
    silence: 'nothing',
    sent: [true, true],
    got: ['one', 'two'],
    isHere: true,
    hungUp: [false, true],
    end: 'closed',
    late: false,
    peer: { isSelf: true, uid: process.getuid?.() },
    closed: [true, true],
    left: 'ECONNREFUSED',
  })
})

test('a full backlog is told at once', () => {
  expect(results.backlog).toEqual(['number', 'number', 'EAGAIN', 'EAGAIN'])
})

test('a path that does not fit is refused with its length', () => {
  expect(results.longPath).toBe('ENAMETOOLONG')
})

test('descriptors lead to the same files, and no child inherits them', () => {
  expect(results.descriptors).toEqual({
    text: 'both',
    count: 2,
    isSame: true,
    root: '/',
    closed: [true, true],
  })
})

test('a packet that is too long, or has too many descriptors, is refused and leaves none open', () => {
  expect(results.tooMany).toEqual({ many: 'EMSGSIZE', long: 'EMSGSIZE', next: 'next', isEven: true })
})

test('a receiver that takes nothing holds nobody up', () => {
  expect(results.full).toEqual({ isBounded: true, first: 'object' })
})
