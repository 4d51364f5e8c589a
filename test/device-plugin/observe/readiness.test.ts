// Readiness: a config that is valid, a first scan, and a registration with a live stream for each pool; each that lacks has a line.
import { expect, test } from 'vitest'
import { unready } from '../../../device-plugin/observe/readiness.ts'
import { snapshotOf, viewOf } from './view.ts'

const ready = viewOf(snapshotOf(1, 2), 2)
const [first, second] = ready.status

test('all is there', () => {
  expect(unready(ready)).toEqual([])
  expect(unready({ ...ready, pools: [], status: [] })).toEqual([])
})

test('before the config and the first scan', () => {
  const config = { ...ready.config, generation: 0 }
  expect(unready({ ...ready, config, snapshot: undefined, pools: [], status: [] })).toEqual([
    'no config was read yet',
    'the first scan of the node has not come to its end',
  ])
})

test('a config that can not be used, also while the former one serves', () => {
  const problems = ['Cannot use config: line 3:\n  no comma', 'Cannot use config: resourceName is ""']
  expect(unready({ ...ready, config: { ...ready.config, problems } })).toEqual([
    'config: Cannot use config: line 3:; no comma',
    'config: Cannot use config: resourceName is ""',
  ])
  expect(unready({ ...ready, config: { ...ready.config, generation: 0, problems } })).toHaveLength(2)
})

test('a pool that is not registered, one without a stream, one that nobody knows yet', () => {
  const status = [
    ...(first === undefined ? [] : [{ ...first, registered: false, streams: 0, problem: 'no kubelet.sock' }]),
    ...(second === undefined ? [] : [{ ...second, streams: 0 }]),
  ]
  expect(unready({ ...ready, status })).toEqual([
    'intel.com/pool0: not registered with kubelet: no kubelet.sock',
    'intel.com/pool1: kubelet holds no stream open',
  ])
  expect(unready({ ...ready, status: [] })).toEqual([
    'intel.com/pool0: not registered with kubelet',
    'intel.com/pool1: not registered with kubelet',
  ])
})

test('a process that waits for the other one of an upgrade is ready: else the other one would never leave', () => {
  const status = ready.status.map((one) => ({ ...one, registered: false, streams: 0, standby: true }))
  expect(unready({ ...ready, status })).toEqual([])
})
