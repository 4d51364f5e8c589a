// A device is itself: no number, no name and no MAC makes another interface of the pod or of the host the device of a record.
// Dummies and VFs: test/lab/attach/identity.test.ts.
// needs: veth, ifb, macvlan
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AttachCalls, attachCalls, FORGET_CALLS } from '../../support/attach-calls.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import {
  afterDeath,
  afterFailure,
  clear,
  inThePod,
  onTheHost,
  softwareKinds,
  underTheName,
} from '../../support/look-alikes.ts'

const pod = 'identity'
let lab: Lab
let calls: AttachCalls

beforeAll(async () => {
  lab = await sharedLab()
  await lab.load('ifb numifbs=0')
  calls = await attachCalls(lab)
  await newPod(lab, pod)
})
afterAll(() => deletePod(lab, pod))
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await clear({ lab, pod })
  await lab.must(FORGET_CALLS)
})

describe.each(softwareKinds.filter(({ kind }) => kind !== 'dummy'))('$kind', (alike) => {
  const scene = () => ({ lab, calls, pod, alike })
  test('comes home from a pod that has another one of the same number and MAC', () => inThePod(scene()))
  test('comes home to a host that has another one of the same number, name and MAC', () => onTheHost(scene()))
  test('is not taken for another one of the host with its number, name and MAC when the pod is gone', () =>
    afterDeath(scene()))
  test('comes home when an ADD fails behind its move', () => afterFailure(scene()))
  test('comes home when another one has its name in the pod', () => underTheName(scene()))
})

test('an interface whose spare name is taken too gets the next one of its kind', async () => {
  await lab.must(`ip link add hd0 index 4070 type ifb`)
  const plugin = { type: 'vf-attach', device: 'hd0' }
  await calls.add(plugin, pod)
  await lab.must('ip link add hd0 type ifb; ip link add vf-if4070 type ifb')
  const del = await calls.call('DEL', plugin, pod)
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain('it is "vf-if4070-1" now')
  await lab.must('for name in hd0 vf-if4070 vf-if4070-1; do ip link del $name; done')
})
