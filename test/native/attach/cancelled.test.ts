// An ADD of vf-attach in a process that serves many calls, whose caller goes at each point where the ADD asks for it: nothing stays, of
// IPAM neither, and the process has nothing open. DEL and the other verbs go on without a caller.
// needs: veth, bridge
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import { type AttachCalls, attachCalls, BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import {
  ended,
  handingOver,
  type ServedAnswer,
  type ServedCall,
  serveAll,
} from '../../support/served-calls.ts'

const pod = 'pod-one'
const LEASES = '/var/lib/cni/networks/lab-net'

let bed: NativeBed
/** Calls in a process like a worker. */
let worker: AttachCalls
let more: Partial<ServedCall> = {}
let last: ServedAnswer
beforeAll(async () => {
  bed = await makeNativeBed(1, [pod])
  await bed.add(config(), pod)
  await bed.del(config(), pod)
  await bed.remember()
  worker = await attachCalls(
    handingOver(bed.lab, async (call) => {
      const [answer] = await serveAll(bed.lab, [{ ...call, ...more }])
      if (answer === undefined) throw new Error('There is no answer')
      last = answer
      return ended(answer.exitCode, answer.stdout, answer.stderr)
    }),
  )
})
afterAll(() => bed?.end())

const config = () => onNic(bed.nic(), { mtu: 1400, ipam: { ...localIpam(), routes: [{ dst: '0.0.0.0/0' }] } })

async function nothingIsLeft(point: string): Promise<void> {
  expect([point, last.left, last.isAtHome]).toEqual([point, [], true])
  await bed.expectUnchanged(point)
  expect([point, (await bed.lab.must(`ls ${LEASES}`)).match(/^10\..*/gm)]).toEqual([point, null])
}

test('is taken back at each point, and the next one succeeds', { timeout: 300_000 }, async () => {
  more = {}
  await worker.add(config(), pod)
  const { asked, waits } = last
  expect([last.left, last.isAtHome]).toEqual([[], true])
  // With the lock, before each operation, after IPAM, before the answer.
  expect(asked).toBeGreaterThan(7)
  expect(new Set(waits)).toEqual(new Set(['ipam', 'kernel']))
  await bed.del(config(), pod)
  for (let goneAt = 1; goneAt <= asked; goneAt++) {
    more = { goneAt }
    const error = await worker.refused('ADD', config(), pod)
    expect([goneAt, error.code, error.msg]).toEqual([
      goneAt,
      11,
      'The caller of this ADD is gone: what was done is taken back',
    ])
    await nothingIsLeft(`after point ${goneAt}`)
  }
  more = { goneAt: asked + 1 }
  await worker.add(config(), pod)
  more = { goneAt: 1 }
  await worker.del(config(), pod)
  await nothingIsLeft('after DEL')
})

test('whose answer nobody takes is taken back too', async () => {
  more = { unwritten: 'EPIPE' }
  const { stderr } = await worker.call('ADD', config(), pod)
  expect(stderr).toBe(
    'vf-attach: error writing to stdout: EPIPE; the ADD is undone\nerror writing to stdout: EPIPE\n',
  )
  await nothingIsLeft('after EPIPE')
})

test('a DEL waits for an ADD that lost its caller, and finds nothing', { timeout: 60_000 }, async () => {
  const flaky = onNic(bed.nic(), { mtu: 1400, ipam: localIpam(FLAKY) })
  more = {}
  await worker.add(flaky, pod)
  const { asked } = last
  await worker.del(flaky, pod)
  await bed.lab.must(`rm -f ${BED_FOLDER}/asked*; touch ${BED_FOLDER}/hold-add`)
  // The caller is gone when the ADD has done all but answer.
  more = { goneAt: asked }
  const ghost = worker.call('ADD', flaky, pod)
  await bed.lab.must(`until [ -e ${BED_FOLDER}/asked-add ]; do sleep 0.02; done`)
  const del = bed.call('DEL', flaky, pod)
  await bed.lab.must(`${WAIT_UNTIL}
    both() { [ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ' /run/vf-flower/attachments$') = 2 ]; }
    wait_until both
    [ ! -e ${BED_FOLDER}/asked ]; rm ${BED_FOLDER}/hold-add`)
  expect(JSON.parse((await ghost).stdout)).toMatchObject({ code: 11 })
  expect(await del).toMatchObject({ code: 0, stdout: '', stderr: '' })
  await bed.lab.must(`rm -f ${BED_FOLDER}/asked*`)
  await nothingIsLeft('after the ghost')
})
