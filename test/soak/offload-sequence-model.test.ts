// The model of random sequences of vf-offload finds each kind of violation.
import { expect, test } from 'vitest'
import { type Act, type Container, judge } from './offload-sequence-model.ts'
import type { CallAnswer, LookAnswer, ShellAnswer } from './script.ts'

const one: Container = { id: 'a', pod: 'one', ports: [{ hostPort: 8080, protocol: 'tcp' }] }
const two: Container = { id: 'b', pod: 'two', ports: [{ hostPort: 8080, protocol: 'tcp' }] }

const act = (verb: Act['verb'], container: Container, fault?: string): Act => ({
  ...{ verb, containers: [container], fault, killAfterMs: undefined },
})
const look = (...owners: readonly Container[]): LookAnswer => ({
  ...{ do: 'look', vfinfo: {}, host: [], pods: {}, records: {}, addresses: {} },
  text: owners
    .map(({ id }) => `10.1.0.1 . tcp . 8080 comment "${'0'.repeat(32)} ${id}/net1" : 10.1.0.5 . 80`)
    .join(',\n'),
})
const ended = (code: number, object?: CallAnswer['object']): CallAnswer => ({
  ...{ do: 'call', code, signal: null, stderr: '', object },
})
const killed: CallAnswer = { do: 'call', code: -1, signal: 'SIGKILL', stderr: '' }

/** Judges acts with their answers; the last DELs succeed and leave nothing unless said otherwise. */
function judged(
  steps: readonly (readonly [Act, CallAnswer | ShellAnswer, LookAnswer])[],
  last: LookAnswer = look(),
): string[] {
  const answers = [...steps.flatMap(([, call, now]) => [call, now]), ended(0), ended(0), last]
  const sequence = { seed: 1, containers: [one, two], acts: steps.map(([first]) => first) }
  return judge(sequence, look(), { id: '1', answers, ms: 0 }, { succeeded: 0, failed: 0, killed: 0 })
}

test('a story that is as it must be', () => {
  const taken = ended(1, { code: 100 })
  expect(
    judged([
      [act('ADD', one), ended(0), look(one)],
      [act('ADD', two), taken, look(one)],
      [act('CHECK', one), ended(0), look(one)],
      [act('DEL', one, 'op:2:after:SIGKILL'), killed, look()],
      [act('DEL', one), ended(0), look()],
      [act('ADD', two), ended(0), look(two)],
    ]),
  ).toEqual([])
})

const dies: [Act, ShellAnswer, LookAnswer] = [act('die', one), { do: 'sh', stdout: '' }, look(one)]

test('a container that dies gives way, to itself too, and a GC takes it', () => {
  const added: [Act, CallAnswer, LookAnswer] = [act('ADD', one), ended(0), look(one)]
  expect(
    judged([
      added,
      dies,
      [act('CHECK', one), ended(1, { code: 104 }), look(one)],
      [act('ADD', two), ended(0), look(two)],
      [act('ADD', one), ended(1, { code: 100 }), look(two)],
    ]),
  ).toEqual([])
  expect(judged([added, dies, added])).toEqual([])
  expect(judged([added, dies, [act('GC', two), ended(0), look()], added])).toEqual([])
})

test.each([
  [
    'a dead container that keeps a port',
    [[act('ADD', one), ended(0), look(one)], dies, [act('ADD', two), ended(1, { code: 100 }), look(one)]],
    'failed',
  ],
  [
    'a dead container of which something is left',
    [[act('ADD', one), ended(0), look(one)], dies, [act('ADD', two), ended(0), look(one, two)]],
    'no right to it',
  ],
  ['a port that is missing', [[act('ADD', one), ended(0), look()]], 'has  of tcp 8080'],
  [
    'a port that two have',
    [
      [act('ADD', one), ended(0), look(one)],
      [act('ADD', two), ended(0), look(one, two)],
    ],
    'another container has the port',
  ],
  ['a refused ADD that keeps a port', [[act('DEL', one), ended(0), look(one)]], 'no right to it'],
  ['an ADD that fails for nothing', [[act('ADD', one), ended(1, { code: 102 }), look()]], 'failed'],
  ['a DEL that fails', [[act('DEL', one), ended(1, { code: 103 }), look()]], 'failed'],
  [
    'a CHECK of nothing that succeeds',
    [[act('CHECK', one), ended(0), look()]],
    'succeeded for one that has nothing',
  ],
  ['no error object', [[act('ADD', one, 'op:1:before:EBUSY'), ended(1), look()]], 'no error object'],
  ['a kill that nobody ordered', [[act('ADD', one), killed, look()]], 'ended by SIGKILL'],
] as const)('%s is told', (_, steps, words) => {
  expect(judged(steps).join('\n')).toContain(words)
})

test('what is left in the end is told', () => {
  expect(judged([[act('ADD', one), ended(0), look(one)]], look(one)).join()).toContain(
    'in the end: +10.1.0.1',
  )
})
