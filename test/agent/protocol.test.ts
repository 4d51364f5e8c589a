// Messages between the shim and the agent: what is written is read back, and both sides have the same numbers.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  decodeMessage,
  encodeMessage,
  lostWorker,
  messageBytes,
  messageKinds,
  socketPath,
  verbNumbers,
} from '../../src/agent/protocol.ts'

const header = readFileSync(new URL('../../src/agent/shim/protocol.h', import.meta.url), 'utf8')

test('a message is read as it was written', () => {
  const message = { kind: 'answer', value: 1, first: 2 ** 33, second: 7, text: 'é' } as const
  expect(decodeMessage(encodeMessage(message))).toEqual(message)
})

test('a text that is too long is cut off, and takes all of its room', () => {
  expect(decodeMessage(encodeMessage({ kind: 'refused', text: 'x'.repeat(1000) }))?.text).toBe(
    'x'.repeat(224),
  )
})

test('other lengths, another version and unknown kinds are no messages', () => {
  const bytes = encodeMessage({ kind: 'ready' })
  expect(decodeMessage(bytes.subarray(1))).toBeUndefined()
  expect(decodeMessage(new Uint8Array([...bytes, 0]))).toBeUndefined()
  for (const at of [0, 4]) expect(decodeMessage(bytes.with(at, 99))).toBeUndefined()
})

test('the header of the shim has the same numbers and texts', () => {
  for (const [kind, number] of Object.entries(messageKinds))
    expect(header).toContain(`\tMESSAGE_${kind.toUpperCase()} = ${number},`)
  for (const [verb, number] of Object.entries(verbNumbers))
    expect(header).toContain(`\tVERB_${verb} = ${number},`)
  expect(header).toContain(`#define VF_SOCKET "${socketPath}"`)
  expect(header).toContain(`#define LOST_WORKER "${lostWorker}"`)
  expect(header).toContain(`sizeof(struct message) == ${messageBytes}`)
})
