// An IPAM plugin that looks at no interface runs while the kernel moves the device, in ADD and in DEL. Whichever of both fails, the other
// one is taken back, and a kill in between leaves what DEL clears.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const pod = 'pod-beside'
const LEASES = '/var/lib/cni/networks/lab-net'
const TRACE = `${BED_FOLDER}/trace`
/** Not the program of that name: host-local, which logs its commands with their ends, is late or fails, as files tell it. */
const BLIND = `#!/bin/sh
echo "begin $CNI_COMMAND" >>${BED_FOLDER}/log
while [ -e ${BED_FOLDER}/waits ]; do sleep 0.02; done
/usr/lib/cni/host-local
status=$?
echo "end $CNI_COMMAND" >>${BED_FOLDER}/log
if [ $CNI_COMMAND = ADD ] && [ -e ${BED_FOLDER}/fails ]; then exit 3; fi
exit $status
`

let bed: NativeBed
let moveAt: number
beforeAll(async () => {
  bed = await makeNativeBed(1, [pod])
  for (const name of ['whereabouts', 'seeing']) await bed.lab.writeFile(`${BED_FOLDER}/${name}`, BLIND, 0o755)
  await bed.add(config(), pod)
  await bed.del(config(), pod)
  await bed.remember()
  const points = await traced('ADD', config())
  await bed.del(config(), pod)
  // The move is the first operation after the plugin's begin.
  const next = points[points.indexOf('ipam:1:before') + 1] ?? ''
  moveAt = Number(/^op:(\d+):before$/.exec(next)?.[1])
  await bed.lab.must(`rm ${BED_FOLDER}/log`)
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -f ${BED_FOLDER}/waits ${BED_FOLDER}/fails ${BED_FOLDER}/log ${TRACE}`)
  if (task.result?.state === 'fail') await bed.rebuild()
})

const config = (type = 'whereabouts') => onNic(bed.nic(), { mtu: 1400, ipam: localIpam(type) })
const leases = async () => (await bed.lab.must(`ls ${LEASES}`)).match(/^10\..*/gm) ?? []
const log = async () => (await bed.lab.must(`cat ${BED_FOLDER}/log`)).trim().split('\n')

/** The fault points that a call passes. */
async function traced(verb: string, plugin: ReturnType<typeof config>): Promise<readonly string[]> {
  const answer = await bed.call(verb, plugin, pod, { env: { VF_FLOWER_FAULT_TRACE: TRACE } })
  expect(answer).toMatchObject({ code: 0, stderr: '' })
  const points = (await bed.lab.must(`cat ${TRACE}; rm ${TRACE}`)).trim().split('\n')
  return points
}

/** The operations that begin while an IPAM plugin runs. */
function beside(points: readonly string[]): readonly string[] {
  const [begin, end] = [points.indexOf('ipam:1:before'), points.indexOf('ipam:1:after')]
  expect(begin).toBeGreaterThanOrEqual(0)
  expect(end).toBeGreaterThan(begin)
  return points.slice(begin, end).filter((point) => /^op:.*:before$/.test(point))
}

test('ADD moves the interface and sets it up, and DEL brings it home, while such a plugin runs', async () => {
  expect(beside(await traced('ADD', config()))).toHaveLength(2)
  expect(await leases()).toHaveLength(1)
  // The move home, then what the host is to have again.
  expect(beside(await traced('DEL', config())).length).toBeGreaterThanOrEqual(1)
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test('a plugin that may look at the interface runs when that is in the pod, and after it has left', async () => {
  expect(beside(await traced('ADD', config('seeing')))).toEqual([])
  expect(beside(await traced('DEL', config('seeing')))).toEqual([])
  await bed.expectUnchanged()
})

test('a move that fails has the addresses freed, after the plugin has ended', async () => {
  await bed.lab.must(`touch ${BED_FOLDER}/waits`)
  const add = bed.call('ADD', config(), pod, { env: { VF_FLOWER_FAULT: `op:${moveAt}:before:EBUSY` } })
  await bed.lab.must(`until [ -e ${BED_FOLDER}/log ]; do sleep 0.02; done; rm ${BED_FOLDER}/waits`)
  const answer = await add
  expect(answer.code).toBe(1)
  expect(JSON.parse(answer.stdout)).toMatchObject({ code: 11, msg: expect.stringContaining('netns') })
  expect(await log()).toEqual(['begin ADD', 'end ADD', 'begin DEL', 'end DEL'])
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test('a plugin that fails has the move taken back', async () => {
  await bed.lab.must(`touch ${BED_FOLDER}/fails`)
  const { code, msg } = await bed.refused('ADD', config(), pod)
  expect([code, msg]).toEqual([105, expect.stringContaining('"whereabouts" failed with exit code 3')])
  expect(await log()).toEqual(['begin ADD', 'end ADD', 'begin DEL', 'end DEL'])
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test('when both fail the error is that of the move and tells of the plugin, and nothing is left', async () => {
  await bed.lab.must(`touch ${BED_FOLDER}/fails`)
  const env = { VF_FLOWER_FAULT: `op:${moveAt}:after:EBUSY` }
  const { code, msg, details } = await bed.refused('ADD', config(), pod, { env })
  expect([code, msg]).toEqual([11, expect.stringContaining(`injected fault at op ${moveAt} after`)])
  expect(details).toContain('IPAM plugin "whereabouts" failed with exit code 3')
  expect(await log()).toEqual(['begin ADD', 'end ADD', 'begin DEL', 'end DEL'])
  expect(await leases()).toEqual([])
  await bed.expectUnchanged()
})

test.each(['before', 'after'])(
  'an ADD that is killed %s the move leaves a plugin for which DEL waits',
  async (when) => {
    await bed.lab.must(`touch ${BED_FOLDER}/waits`)
    const env = { VF_FLOWER_FAULT: `op:${moveAt}:${when}:SIGKILL` }
    const add = bed.call('ADD', config(), pod, { env, timeoutMs: 0 })
    await bed.lab.must(`until [ -e ${BED_FOLDER}/log ]; do sleep 0.02; done`)
    const del = bed.call('DEL', config(), pod)
    // The DEL has opened the record, whose lock the plugin has.
    const record = await bed.recordOf(pod)
    await bed.lab.must(`until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -F '${record}' | grep -qv ' 3 ->'; do sleep 0.02; done
    rm ${BED_FOLDER}/waits`)
    expect(await del).toMatchObject({ code: 0, stdout: '', stderr: '' })
    await add
    expect(await log()).toEqual(['begin ADD', 'end ADD', 'begin DEL', 'end DEL'])
    expect(await leases()).toEqual([])
    await bed.expectUnchanged()
  },
)

test('a DEL that is killed while the plugin frees the addresses is repeated', async () => {
  await bed.add(config(), pod)
  const points = await traced('DEL', config())
  const [first = ''] = beside(points)
  await bed.expectUnchanged()
  for (const when of ['before', 'after']) {
    await bed.add(config(), pod)
    const fault = `${first.replace(/:before$/, '')}:${when}:SIGKILL`
    await bed.call('DEL', config(), pod, { env: { VF_FLOWER_FAULT: fault } })
    await bed.del(config(), pod)
    expect(await leases()).toEqual([])
    await bed.expectUnchanged()
  }
})

test('a DEL whose interface can not leave fails, and the addresses are free', async () => {
  await bed.add(config(), pod)
  const [first = ''] = beside(await traced('DEL', config()))
  await bed.add(config(), pod)
  const number = Number(/\d+/.exec(first)?.[0])
  // All that follows is refused, too.
  const fault = Array.from({ length: 16 }, (_, more) => `op:${number + more}:before:EBUSY`).join(',')
  const { code } = await bed.refused('DEL', config(), pod, { env: { VF_FLOWER_FAULT: fault } })
  expect(code).toBe(103)
  expect(await leases()).toEqual([])
  await bed.del(config(), pod)
  await bed.expectUnchanged()
})
