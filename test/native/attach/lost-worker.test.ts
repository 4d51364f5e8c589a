// An ADD of vf-attach that was killed at every step, and is then repeated as the shim does it for a worker that has died: the answer of an
// ADD, one effect, one address of IPAM, and DEL leads back. Without a way back the answer is code 11 with both reasons.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type AttachCalls, attachCalls, BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import { repeated } from '../../support/lost-worker.ts'
import type { ServedCall } from '../../support/served-calls.ts'
import { handingOver } from '../../support/served-calls.ts'

const pod = 'pod-one'
const LEASES = '/var/lib/cni/networks/lab-net'
const TRACE = '/run/points'

let bed: NativeBed
let shim: AttachCalls
beforeAll(async () => {
  bed = await makeNativeBed(1, [pod])
  await bed.add(config(), pod)
  await bed.del(config(), pod)
  await bed.remember()
  shim = await attachCalls(handingOver(bed.lab, (call: ServedCall) => repeated(bed.lab, call)))
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -f ${TRACE} ${BED_FOLDER}/fail`)
  if (task.result?.state === 'fail') await bed.rebuild()
})

const config = (type?: string) =>
  onNic(bed.nic(), { mtu: 1400, ipam: { ...localIpam(type), routes: [{ dst: '0.0.0.0/0' }] } })
const leases = async () => (await bed.lab.must(`ls ${LEASES}`)).match(/^10\..*/gm) ?? []

/** The points that an ADD passes. */
async function points(): Promise<string[]> {
  await bed.add(config(), pod, { env: { VF_FLOWER_FAULT_TRACE: TRACE } })
  await bed.del(config(), pod)
  return (await bed.lab.must(`cat ${TRACE}; rm ${TRACE}`)).trim().split('\n')
}

test('killed at each point, it is repeated with one effect', { timeout: 300_000 }, async () => {
  const all = await points()
  expect(new Set(all.map((point) => point.split(':')[0]))).toEqual(new Set(['op', 'file', 'ipam']))
  expect(all.length).toBeGreaterThanOrEqual(16)
  for (const point of all) {
    const killed = await bed.call('ADD', config(), pod, { env: { VF_FLOWER_FAULT: `${point}:SIGKILL` } })
    expect([point, killed.code === 0, killed.stdout]).toEqual([point, false, ''])
    const result = await shim.add(config(), pod)
    const own = await leases()
    expect([point, result.ips?.map(({ address }) => address), own.length]).toEqual([
      point,
      [`${own[0]}/24`],
      1,
    ])
    expect(await bed.link(pod, 'net1')).toMatchObject({ mtu: 1400, address: bed.nic().mac })
    expect(await bed.lab.must(`cat '${await bed.recordOf(pod)}'`)).toContain('"phase": "attached"')
    await bed.del(config(), pod)
    await bed.expectUnchanged(`after ${point}`)
    expect([point, await leases()]).toEqual([point, []])
  }
})

test('DEL and CHECK are repeated as they are', async () => {
  const prevResult = await shim.add(config(), pod)
  expect(await shim.call('CHECK', config(), pod, { prevResult })).toMatchObject({ code: 0, stdout: '' })
  await shim.del(config(), pod)
  await shim.del(config(), pod)
  await bed.expectUnchanged()
})

test('an ADD that ended before its worker died is made anew', async () => {
  const [before] = (await bed.add(config(), pod)).ips ?? []
  const [after] = (await shim.add(config(), pod)).ips ?? []
  // host-local gives each address once before it begins again.
  expect(after?.address).not.toBe(before?.address)
  expect(await leases()).toEqual([after?.address.replace('/24', '')])
  await bed.del(config(), pod)
  await bed.expectUnchanged()
})

test('that can not be taken back answers with code 11 and both reasons', async () => {
  await bed.add(config(FLAKY), pod)
  await bed.lab.must(`touch ${BED_FOLDER}/fail`)
  expect(await shim.refused('ADD', config(FLAKY), pod)).toEqual({
    cniVersion: '1.0.0',
    code: 11,
    msg: 'Cannot repeat the ADD: the worker of vf-agent that served it has died, and what it left could not be taken back',
    details: 'IPAM plugin "flaky": the database is away',
  })
  await bed.lab.must(`rm ${BED_FOLDER}/fail`)
  await bed.del(config(FLAKY), pod)
  await bed.expectUnchanged()
})
