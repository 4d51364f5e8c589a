// Files of calls that were killed go with the next GC, and in time without one; the file that another call is writing
// stays.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { BED_FOLDER } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const pod = 'pod-one'
const STATE = '/var/lib/cni/vf-flower'

let bed: NativeBed
beforeAll(async () => {
  bed = await makeNativeBed(2, [pod])
  await bed.lab.must(`ln -sf ${pluginPath[0]}/vf-flower ${BED_FOLDER}/portmap`)
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -rf ${STATE} /run/vf-flower /var/lib/cni/sriov`)
  if (task.result?.state === 'fail') await bed.rebuild()
})

/** Lays out empty files with their folders; `age` as touch(1) reads it. */
const lay = (files: readonly string[], age = 'now') =>
  bed.lab.must(
    files.map((file) => `mkdir -p '${file.replace(/\/[^/]*$/, '')}'; touch -d '${age}' '${file}'`).join('\n'),
  )
const left = async () => {
  const found = await bed.lab.must(
    `find ${STATE} /run/vf-flower /var/lib/cni/sriov -type f ! -path '*/lock*' ! -name '*.lock' ! -path /run/vf-flower/attachments 2>/dev/null; true`,
  )
  return found.trim() === '' ? [] : found.trim().split('\n').sort()
}
const gc = async (type: string) => {
  const result = await bed.call('GC', { type }, pod, { cniVersion: '1.1.0' })
  expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' })
}

const ofAttach = [
  `${STATE}/attach/.netdev:nic0 old@net1.json.17.tmp`,
  `${STATE}/attach/.0000:99:00.1 old@net1.json.18.tmp`,
  `${STATE}/attach/.probe.19.tmp`,
  '/var/lib/cni/sriov/pci/.0000:99:00.1.18.tmp',
  '/run/vf-flower/.administrative-mac 0000:99:00.1.18.tmp',
  '/run/vf-flower/.pod-had 0000:99:00.1.18.tmp',
  '/run/vf-flower/.probe.19.tmp',
]
const ofOffload = [
  '/run/vf-flower/.clsact-7.17.tmp',
  '/run/vf-flower/.localnet-7.17.tmp',
  '/run/vf-flower/.table.17.tmp',
  ...['offload', 'portmap', 'bandwidth'].flatMap((folder) => [
    `${STATE}/${folder}/.lab-net old@net1.json.17.tmp`,
    `${STATE}/${folder}/.probe.19.tmp`,
    `${STATE}/${folder}/report/.lab-net old@net1.json.17.tmp`,
  ]),
]

describe('GC', () => {
  test.each([
    ['vf-attach', ofAttach],
    ['vf-offload', ofOffload],
    ['portmap', ofOffload],
  ])('of %s clears its temporary files, however new, and nothing else', async (type, files) => {
    const kept = [`${STATE}/attach/.kept`, `${STATE}/offload/report/README`, '/run/vf-flower/clsact-x.tmp']
    await lay([...files, ...kept])
    await gc(type)
    expect(await left()).toEqual([...kept].sort())
  })

  test('of vf-attach leaves what is written under the lock of a device', async () => {
    const [busy = '', idle = ''] = ofAttach
    await lay([busy, idle])
    const script = `touch ${BED_FOLDER}/locked; while [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`
    await bed.lab.must(`mkdir -p ${STATE}/lock`)
    const holder = await bed.lab.spawn(['flock', '-o', `${STATE}/lock/netdev:nic0`, 'sh', '-c', script], {
      timeoutMs: 0,
    })
    await bed.lab.must(`until [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`)
    await gc('vf-attach')
    expect(await left()).toEqual([busy])
    await bed.lab.must(`rm ${BED_FOLDER}/locked`)
    await holder.wait()
    await gc('vf-attach')
    expect(await left()).toEqual([])
  })

  test('of vf-offload takes a report without a record when its namespace is gone', async () => {
    const [dead, alive] = ['old', 'new'].map((id) => `${STATE}/offload/report/lab-net ${id}@net1.json`)
    await lay([`${STATE}/offload/x`])
    await bed.lab.must(`rm ${STATE}/offload/x; mkdir ${STATE}/offload/report`)
    await bed.lab.writeFile(dead ?? '', '{"netns":"/run/netns/gone"}', 0o600)
    await bed.lab.writeFile(alive ?? '', `{"netns":"/run/netns/${pod}"}`, 0o600)
    await gc('vf-offload')
    expect(await left()).toEqual([alive])
  })
})

test('an ADD clears temporary files twice a day where no GC comes', async () => {
  const config = onNic(bed.nic())
  const [record = '', ...rest] = ofAttach
  const marks = `${STATE}/lock/cleared-attach`
  await lay([record, ...rest])
  await bed.add(config, pod)
  await bed.del(config, pod)
  expect(await left()).toEqual([])
  await lay([record])
  await bed.add(config, pod)
  await bed.del(config, pod)
  expect(await left()).toEqual([record])
  await bed.lab.must(`touch -d '13 hours ago' ${marks}`)
  await bed.add(config, pod)
  await bed.del(config, pod)
  expect(await left()).toEqual([])
})

test('a state folder that can not be cleared fails no ADD, which says so', async () => {
  await bed.lab.must(
    `mkdir -p ${STATE}/lock/cleared-attach; touch -d '13 hours ago' ${STATE}/lock/cleared-attach`,
  )
  const result = await bed.call('ADD', onNic(bed.nic()), pod)
  expect(result).toMatchObject({ code: 0 })
  expect(result.stderr).toContain(`Cannot clear what killed calls have left in "${STATE}": EISDIR`)
  await bed.del(onNic(bed.nic()), pod)
})
