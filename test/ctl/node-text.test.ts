// The lines of `vfctl node` about the agent: it runs, it is of another build and serves nobody, or it is not there.
import { expect, test } from 'vitest'
import { nodeLines } from '../../src/ctl/node-text.ts'

const look = { cards: [], missing: [], unanswered: [] }
const agent = { version: '0.1.0', build: 'abc', pid: 7 }

test('an agent of this build', () => {
  expect(nodeLines({ ...look, agent: { ...agent, isOurs: true } }).at(-1)).toBe(
    '  vf-agent 0.1.0 (build abc) runs, process 7',
  )
})

test('an agent of another build', () => {
  expect(nodeLines({ ...look, agent: { ...agent, isOurs: false } }).at(-1)).toBe(
    '  vf-agent 0.1.0 (build abc) runs, process 7; it is of another build, and serves no call of this one',
  )
})

test('no agent', () => {
  expect(nodeLines({ ...look, agent: { absent: 'No vf-agent answers' } }).at(-1)).toBe(
    '  No vf-agent answers',
  )
})
