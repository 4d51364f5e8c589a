// The lock of an attachment, as compiled: ADD and DEL of both plugins wait for it before they look for anything, a holder that hangs is
// named, another attachment does not wait, and no IPAM plugin inherits the lock.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { argvOf, probe, programOf } from '../../../hack/lab/driver/client.ts'
import type { LabProcess } from '../../../hack/lab/lab.ts'
import { BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const [pod, other] = ['pod-one', 'pod-two']
const FILE = '/run/vf-flower/attachments'
const slow = { timeout: 60_000 }

let bed: NativeBed
let holders: LabProcess[] = []
beforeAll(async () => {
  bed = await makeNativeBed(2, [pod, other])
  // The folders of IPAM, locks and notes stay.
  await bed.add(config(), pod)
  await bed.del(config(), pod)
  await bed.remember()
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  for (const one of holders) one.kill('SIGKILL')
  await Promise.all(holders.map((one) => one.wait()))
  holders = []
  await bed.lab.must(`rm -f ${BED_FOLDER}/hold-add ${BED_FOLDER}/asked-add`)
  if (task.result?.state === 'fail') await bed.rebuild()
})

const config = (nic = 0) => onNic(bed.nic(nic), { ipam: localIpam() })
const offload = { type: 'vf-offload' }

/** Holds the lock of the pod's attachment until it is ended. */
async function hold(): Promise<LabProcess> {
  const argv = ['sh', '-c', `echo $PPID >${BED_FOLDER}/holder; exec sleep 1000`]
  const program = programOf([probe('lockAttachmentAndRun', pod, 'net1', argv)])
  await bed.lab.must(`rm -f ${BED_FOLDER}/holder`)
  const one = await bed.lab.spawn(argvOf(), { timeoutMs: 0, stdin: program })
  holders.push(one)
  await bed.lab.must(`until [ -s ${BED_FOLDER}/holder ]; do sleep 0.02; done`)
  return one
}

/** Numbers of the processes of ours that have the file of the lock open. */
async function open(): Promise<string[]> {
  const out = await bed.lab.must(`for process in /proc/[0-9]*; do
      ls -l $process/fd 2>/dev/null | grep -q ' ${FILE}$' && echo \${process#/proc/}
    done; true`)
  return out.trim().split('\n')
}

test('ADD and DEL wait for it and have done nothing before; with the lock they do their work', async () => {
  for (const command of ['ADD', 'DEL']) {
    const holder = await hold()
    const before = await bed.lab.must('ls -R /var/lib/cni')
    const call = bed.call(command, config(), pod)
    // The holder and the call.
    await expect.poll(async () => (await open()).length, slow).toBe(2)
    expect(await bed.lab.must('ls -R /var/lib/cni')).toBe(before)
    // Another interface has another byte.
    await bed.add(config(1), other)
    await bed.del(config(1), other)
    holder.kill('SIGKILL')
    expect(await call).toMatchObject({ code: 0, stderr: '' })
  }
  await bed.expectUnchanged()
})

test('a holder that hangs is named, by ADD and DEL of both plugins, with code 11', {
  timeout: 90_000,
}, async () => {
  await hold()
  const number = (await bed.lab.must(`cat ${BED_FOLDER}/holder`)).trim()
  const calls = [config(), offload].flatMap((plugin) =>
    ['ADD', 'DEL'].map((command) => bed.refused(command, plugin, pod)),
  )
  for (const error of await Promise.all(calls))
    expect(error).toEqual({
      cniVersion: '1.0.0',
      code: 11,
      msg: `Cannot lock "${FILE}" within 30000 ms: process ${number} ("driver") holds it`,
      details: `another call of container "${pod}", interface "net1" has not ended`,
    })
  await bed.expectUnchanged()
})

test('CHECK and STATUS do not wait', async () => {
  await bed.add(config(), pod)
  await hold()
  expect((await bed.refused('CHECK', config(), pod)).msg).toContain('prevResult')
  await bed.call('STATUS', config(), pod)
  for (const one of holders.splice(0)) {
    one.kill('SIGKILL')
    await one.wait()
  }
  await bed.del(config(), pod)
})

test('the IPAM plugin does not inherit it', async () => {
  const flaky = onNic(bed.nic(), { ipam: localIpam(FLAKY) })
  await bed.lab.must(`touch ${BED_FOLDER}/hold-add`)
  const call = bed.call('ADD', flaky, pod)
  await bed.lab.must(`until [ -e ${BED_FOLDER}/asked-add ]; do sleep 0.02; done`)
  // The ADD alone, which waits for its IPAM plugin.
  const [holder = '', ...more] = await open()
  expect(more).toEqual([])
  expect((await bed.lab.must(`cat /proc/${holder}/comm`)).trim()).toBe('vf-flower')
  await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
  expect(await call).toMatchObject({ code: 0 })
  await bed.del(flaky, pod)
  await bed.expectUnchanged()
})

test('where there can be no file, ADD and DEL go on without it and say so', async () => {
  await bed.lab.must(`rm -f ${FILE}; mkdir ${FILE}`)
  for (const command of ['ADD', 'DEL']) {
    const { code, stderr } = await bed.call(command, config(), pod)
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(`^vf-flower: ${command} goes on without the lock of the attachment: EISDIR.*\n$`),
    ])
  }
  await bed.lab.must(`rmdir ${FILE}; touch ${FILE}; chmod 600 ${FILE}`)
})
