// The text of `vfctl agent`: workers and verbs in columns, reasons with their counts, the largest first.
import { expect, test } from 'vitest'
import type { AgentStatus } from '../../src/agent/status.ts'
import { agentText } from '../../src/ctl/agent-text.ts'

const status: AgentStatus = {
  ...{ state: 'serving', version: '1.0', build: 'abc', pid: 7, seconds: 7_300, waiting: 1 },
  workers: [
    { pid: 10, state: 'free', seconds: 5, calls: 12, kilobytes: 65_536 },
    { pid: 11, state: 'busy', seconds: 200, calls: 0, kilobytes: 0, call: 'ADD of vf-attach', waits: 'ipam' },
  ],
  verbs: [
    { verb: 'ADD', outcomes: { answered: 12, refused: 2 }, failed: 1, p50: 20.04, p95: 30, p99: 100 },
    { verb: 'DEL', outcomes: { abandoned: 1 }, failed: 0 },
  ],
  refusals: { 'the caller is not root': 1, other: 2 },
  fallbacks: {},
  ends: { crashed: 1 },
}

test('says all there is', () => {
  expect(agentText(status)).toBe(`vf-agent 1.0 (build abc), process 7, serving for 2 h
calls that wait: 1

worker  state  for    calls  memory  call
10      free   5 s    12     64 MiB
11      busy   3 min  0              ADD of vf-attach, waits for ipam

verb  answered  failed  p50      p95      p99       others
ADD   12        1       20.0 ms  30.0 ms  100.0 ms  2 refused
DEL   0         0                                   1 abandoned

not served by a worker:
  2  other
  1  the caller is not root

workers that ended:
  1  crashed
`)
})

test('names settings that are not in use, and says when there was no call', () => {
  const text = agentText({ ...status, verbs: [], settingsProblem: 'Cannot use it' })
  expect(text).toContain('settings: Cannot use it; the ones before hold\n')
  expect(text).toContain('no call was served yet\n')
})
