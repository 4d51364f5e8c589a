// Many processes at once on few VFs, and others who handle the same devices meanwhile. What any interface can show is in
// test/native/attach/races.test.ts.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type Bed, makeBed, onVf, spareNameOf } from '../../support/attach-bed.ts'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'

const VFS = 3
const names = Array.from({ length: 8 }, (_, n) => `p${n}`)
const [one = '', two = ''] = names

let bed: Bed

beforeAll(async () => {
  bed = await makeBed(VFS, names)
  // The path of each plugin is looked up once.
  await bed.call('VERSION', { type: 'vf-attach' }, one)
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

test('of 8 ADDs at once for any of 3 VFs of the PF 3 succeed, the others get code 11, and nothing leaks', async () => {
  const config: PluginConfig = {
    ...{ type: 'vf-attach', pf: bed.topology.pf, trust: 'on' },
    ipam: localIpam(),
  }
  // The first call on a node makes the folders, and here all are the first.
  await bed.lab.must('rm -rf /var/lib/cni/vf-flower /var/lib/cni/sriov /var/lib/cni/networks /run/vf-flower')
  const results = await Promise.all(names.map((pod) => bed.call('ADD', config, pod)))
  const winners = names.filter((_pod, n) => results[n]?.code === 0)
  const refusals = results.filter(({ code }) => code !== 0).map(errorOf)
  expect(refusals.filter(({ code }) => code !== 11)).toEqual([])
  expect(winners).toHaveLength(VFS)
  const devices = await Promise.all(winners.map((pod) => bed.link(pod, 'net1')))
  expect(devices.map(({ parentdev }) => String(parentdev)).sort()).toEqual(
    bed.topology.vfs.map(({ pci }) => pci).sort(),
  )
  const dels = await Promise.all(names.map((pod) => bed.call('DEL', config, pod)))
  expect(dels.filter(({ code }) => code !== 0)).toEqual([])
  await bed.expectUnchanged()
})

test('an ADD of a pod that died with another VF waits for whoever works on that one, and restores it then', async () => {
  await bed.add(onVf(bed.vf(0), { vlan: 15 }), one)
  await bed.lab.must(`ip netns del ${one}`)
  // In another namespace: one that is made anew may get the number of the last.
  const netns = `/run/netns/${two}`
  const lock = `/var/lib/cni/vf-flower/lock/${bed.vf(0).pci}`
  const script = `touch ${BED_FOLDER}/locked; while [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`
  // -o: it alone has the file open, its child does not.
  const holder = await bed.lab.spawn(['flock', '-o', lock, 'sh', '-c', script], { timeoutMs: 0 })
  try {
    await bed.lab.must(`until [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`)
    const adding = bed.call('ADD', onVf(bed.vf(1)), one, { netns })
    const openers = `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '${lock}$'`
    const restored = `! ip link show dev ${bed.topology.pf} | grep -q 'vf 0 .*vlan 15'`
    await bed.lab.must(`until [ "$(${openers})" -gt 1 ] || ${restored}; do sleep 0.05; done`)
    expect(await bed.vfInfo(0)).toMatchObject({ vlan_list: [{ vlan: 15 }] })
    await bed.lab.must(`rm ${BED_FOLDER}/locked`)
    expect(await adding).toMatchObject({ code: 0 })
  } finally {
    await bed.lab.must(`rm -f ${BED_FOLDER}/locked`)
    await holder.wait()
  }
  expect(await bed.link(null, bed.vf(0).netdev)).toMatchObject({ address: bed.vf(0).mac })
  expect(JSON.stringify((await bed.vfInfo(0)).vlan_list)).not.toContain('15')
  expect(await bed.link(two, 'net1')).toMatchObject({ parentdev: bed.vf(1).pci })
  await bed.del(onVf(bed.vf(1)), one, { netns })
  await bed.lab.must(`ip netns add ${one}`)
  await bed.expectUnchanged()
})

test('ADD and DEL succeed while somebody renames the VF all the time, as udev rules do at boot', async () => {
  const { netdev, pci } = bed.vf()
  await bed.lab.must(`touch ${BED_FOLDER}/renaming`)
  const loop = `while [ -e ${BED_FOLDER}/renaming ]; do
    ip link set dev ${netdev} name enp1s16; ip link set dev enp1s16 name ${netdev}; done 2>/dev/null; true`
  const renamer = bed.lab.sh(loop, { timeoutMs: 0 })
  const config = onVf(bed.vf(), { mac: '02:00:00:00:09:05' })
  try {
    for (let round = 0; round < 2; round++) {
      await bed.add(config, one)
      expect(await bed.link(one, 'net1')).toMatchObject({ parentdev: pci })
      await bed.del(config, one)
    }
  } finally {
    await bed.lab.must(`rm ${BED_FOLDER}/renaming`)
    await renamer
  }
  await bed.lab.must(`[ -e /sys/class/net/${netdev} ] || ip link set dev enp1s16 name ${netdev}`)
  await bed.expectUnchanged()
})

test('a VF and another one that have each other’s names while a driver is bound anew get their own', async () => {
  const [anew, other] = [bed.vf(0), bed.vf(1)]
  const { wire } = bed.topology
  // Its driver is bound anew before the next pod gets it.
  await bed.add(onVf(anew), one)
  await bed.del(onVf(anew), one)
  // As a call that binds the driver of the other one anew does it. In /proc/locks each process in line has a line of its own.
  const lock = (pci: string) => `'/run/vf-flower/name-lock ${pci}'`
  const now = `$(ls /sys/bus/pci/devices/${anew.pci}/net)`
  const renaming = bed.lab.sh(
    `exec 8>${lock(anew.pci)} 9>${lock(other.pci)}; flock 8; flock 9
    awaited() {
      until [ $(grep -c ":$(stat -c %i "$1") " /proc/locks) -gt 1 ] || [ -e ${BED_FOLDER}/over ]; do sleep 0.05; done
    }
    touch ${BED_FOLDER}/locked; awaited ${lock(anew.pci)}
    ip link set ${anew.netdev} name late; ip link set ${other.netdev} name ${anew.netdev}
    ip link add ${wire} type dummy; flock -u 8
    awaited ${lock(other.pci)}; echo "${now}"
    ip link set ${anew.netdev} name ${other.netdev}; ip link del ${wire}; flock -u 9`,
    { timeoutMs: 0 },
  )
  await bed.lab.must(`until [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`)
  const added = await bed.call('ADD', onVf(anew), one)
  await bed.lab.must(`touch ${BED_FOLDER}/over`)
  const { stdout } = await renaming
  await bed.lab.must(`rm ${BED_FOLDER}/over ${BED_FOLDER}/locked`)
  // The kernel gives it the first free name, that of the other one, which waits for that name too.
  expect(stdout).toBe(`${spareNameOf(anew)}\n`)
  expect(added).toMatchObject({ code: 0 })
  await bed.del(onVf(anew), one)
  await bed.expectUnchanged()
})
