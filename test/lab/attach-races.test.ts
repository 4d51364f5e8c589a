// Many processes at once on few VFs, and others who handle the same devices meanwhile. On igb's seven VFs.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { PluginConfig } from '../../hack/lab/cni-runtime.ts'
import { BED_FOLDER, type Bed, localIpam, makeBed, onVf } from '../support/attach-bed.ts'
import { errorOf, json } from '../support/plugins.ts'

// 40 processes of 100 MB on two emulated processors.
vi.setConfig({ testTimeout: 400_000 })

const count = 40
const names = Array.from({ length: count }, (_, n) => `p${n}`)
const [one = '', two = ''] = names

let bed: Bed

beforeAll(async () => {
  bed = await makeBed(7, [])
  await pods()
  // Where each plugin lies is looked up once.
  await bed.call('VERSION', { type: 'vf-attach' }, one)
})
afterAll(async () => {
  await bed?.lab.must("ls /run/netns | grep '^p[0-9]' | xargs -n 1 ip netns del")
  await bed?.end()
})
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return
  await bed.lab.must("ls /run/netns | grep '^p[0-9]' | xargs -n 1 ip netns del")
  await bed.rebuild()
  await pods()
})

async function pods(): Promise<void> {
  await bed.lab.must(`for pod in ${names.join(' ')}; do ip netns add $pod; done`)
  await bed.remember()
}

test.each([
  ['each VF wanted by several', (n: number) => onVf(bed.vf(n % 7), { trust: 'on', ipam: localIpam() })],
  ['any VF of the PF', (): PluginConfig => ({ type: 'vf-attach', pf: bed.topology.pf, ipam: localIpam() })],
])('40 ADDs at once on 7 VFs, %s: 7 succeed, the others get code 11, nothing leaks', async (_, config) => {
  const timeoutMs = 300_000
  // The first call on a node makes the folders, and here all are the first.
  await bed.lab.must('rm -rf /var/lib/cni/vf-flower /var/lib/cni/sriov /var/lib/cni/networks /run/vf-flower')
  const results = await Promise.all(names.map((pod, n) => bed.call('ADD', config(n), pod, { timeoutMs })))
  const winners = names.filter((_pod, n) => results[n]?.code === 0)
  const refusals = results.filter(({ code }) => code !== 0).map(errorOf)
  expect(refusals.filter(({ code }) => code !== 11)).toEqual([])
  expect(winners).toHaveLength(7)
  const devices = await Promise.all(winners.map((pod) => bed.link(pod, 'net1')))
  expect(devices.map(({ parentdev }) => String(parentdev)).sort()).toEqual(
    bed.topology.vfs.map(({ pci }) => pci).sort(),
  )
  const dels = await Promise.all(names.map((pod, n) => bed.call('DEL', config(n), pod, { timeoutMs })))
  expect(dels.filter(({ code }) => code !== 0)).toEqual([])
  await bed.expectUnchanged()
})

test("DEL of the old pod against ADD of the next, three times: the next pod's VF is never touched", async () => {
  for (let round = 0; round < 3; round++) {
    const [old, next] = round % 2 === 0 ? [one, two] : [two, one]
    const config = (vlan: number) => onVf(bed.vf(), { vlan, mac: `02:00:00:00:09:0${vlan % 10}` })
    await bed.add(config(11), old)
    const [del, add] = await Promise.all([
      bed.call('DEL', config(11), old),
      bed.call('ADD', config(12), next),
    ])
    expect(del).toMatchObject({ code: 0, stdout: '' })
    if (add.code !== 0) {
      expect(errorOf(add).code).toBe(11)
      await bed.add(config(12), next)
    }
    await bed.del(config(11), old)
    expect(await bed.vfInfo(bed.vf().index)).toMatchObject({ vlan_list: [{ vlan: 12 }] })
    expect(await bed.link(next, 'net1')).toMatchObject({ address: '02:00:00:00:09:02' })
    await bed.del(config(12), next)
  }
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

test('a runtime that repeats its DEL for ever, while another pod comes and goes on the same VF', async () => {
  const config = onVf(bed.vf(), { vlan: 13, ipam: localIpam() })
  await bed.add(config, one)
  let running = true
  const repeated = (async () => {
    const codes: number[] = []
    while (running) codes.push((await bed.call('DEL', config, one)).code)
    return codes
  })()
  await vi.waitFor(async () => expect((await bed.call('ADD', config, two)).code).toBe(0), {
    timeout: 120_000,
  })
  expect(await bed.vfInfo(bed.vf().index)).toMatchObject({ vlan_list: [{ vlan: 13 }] })
  expect(await bed.link(two, 'net1')).toMatchObject({ parentdev: bed.vf().pci })
  await bed.del(config, two)
  running = false
  const codes = await repeated
  expect(codes.length).toBeGreaterThan(2)
  expect(codes).toEqual(codes.map(() => 0))
  await bed.expectUnchanged()
})

test('somebody renames the VF all the time, as udev rules do at boot', async () => {
  const { netdev, pci } = bed.vf()
  await bed.lab.must(`touch ${BED_FOLDER}/renaming`)
  const loop = `while [ -e ${BED_FOLDER}/renaming ]; do
    ip link set dev ${netdev} name enp1s16; ip link set dev enp1s16 name ${netdev}; done 2>/dev/null; true`
  const renamer = bed.lab.sh(loop, { timeoutMs: 0 })
  const config = onVf(bed.vf(), { mac: '02:00:00:00:09:05' })
  try {
    for (let round = 0; round < 3; round++) {
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

test("the distribution's host-device wants the same VF at the same time: one gets it, the other takes nothing from it", async () => {
  await bed.lab.must(`ln -sf /usr/lib/cni/host-device ${BED_FOLDER}/go-host-device`)
  const { pci, netdev } = bed.vf()
  const ours = onVf(bed.vf())
  const theirs: PluginConfig = { type: 'go-host-device', pciBusID: pci }
  for (let round = 0; round < 3; round++) {
    const [a, b] = await Promise.all([bed.call('ADD', ours, one), bed.call('ADD', theirs, two)])
    expect(
      [a.code, b.code].filter((code) => code === 0),
      a.stdout + b.stdout,
    ).toHaveLength(1)
    const [winner, config] = a.code === 0 ? [one, ours] : [two, theirs]
    const links = await json(bed.lab, `ip -n ${winner} -d -j link show`)
    expect(links.find(({ ifname }) => ifname === 'net1')).toMatchObject({ parentdev: pci })
    if (config === theirs) await bed.del(ours, one)
    expect(await bed.link(winner, 'net1')).toMatchObject({ parentdev: pci })
    await bed.del(config, winner)
  }
  expect(await bed.link(null, netdev)).toMatchObject({ parentdev: pci })
  // The other plugin writes the name there and leaves it when it loses.
  await bed.lab.must(`ip link set dev ${netdev} alias ''`)
  await bed.expectUnchanged()
})
