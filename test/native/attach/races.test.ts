// Many processes at once want few interfaces, and others handle the same ones meanwhile, of whatever kind.
// test/lab/attach/races.test.ts has the races that only VFs can show.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { errorOf, json } from '../../../hack/lab/bed/plugins.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const NICS = 4
const names = Array.from({ length: 20 }, (_, n) => `p${n}`)
const [one = '', two = ''] = names

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(NICS, names)
  // The path of each plugin is looked up once.
  await bed.call('VERSION', { type: 'vf-attach' }, one)
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

test('of 20 ADDs at once on 4 interfaces 4 succeed, the others get code 11, and nothing leaks', async () => {
  const config = (n: number) => onNic(bed.nic(n % NICS), { mtu: 1400, ipam: localIpam() })
  // The first call on a node makes the folders, and here all are the first.
  await bed.lab.must('rm -rf /var/lib/cni/vf-flower /var/lib/cni/networks /run/vf-flower')
  const results = await Promise.all(names.map((pod, n) => bed.call('ADD', config(n), pod)))
  const winners = names.filter((_pod, n) => results[n]?.code === 0)
  const refusals = results.filter(({ code }) => code !== 0).map(errorOf)
  expect(refusals.filter(({ code }) => code !== 11)).toEqual([])
  expect(winners).toHaveLength(NICS)
  const devices = await Promise.all(winners.map((pod) => bed.link(pod, 'net1')))
  expect(devices.map(({ address }) => String(address)).sort()).toEqual(
    Array.from({ length: NICS }, (_, index) => bed.nic(index).mac),
  )
  const dels = await Promise.all(names.map((pod, n) => bed.call('DEL', config(n), pod)))
  expect(dels.filter(({ code }) => code !== 0)).toEqual([])
  await bed.expectUnchanged()
})

test("DEL of the old pod never touches the interface that the next pod's ADD takes at the same time", async () => {
  for (let round = 0; round < 3; round++) {
    const [old, next] = round % 2 === 0 ? [one, two] : [two, one]
    const config = (number: number) =>
      onNic(bed.nic(), { mtu: 1400 + number, mac: `02:00:00:00:09:0${number}` })
    await bed.add(config(1), old)
    const [del, add] = await Promise.all([bed.call('DEL', config(1), old), bed.call('ADD', config(2), next)])
    expect(del).toMatchObject({ code: 0, stdout: '' })
    if (add.code !== 0) {
      expect(errorOf(add).code).toBe(11)
      await bed.add(config(2), next)
    }
    await bed.del(config(1), old)
    expect(await bed.link(next, 'net1')).toMatchObject({ address: '02:00:00:00:09:02', mtu: 1402 })
    await bed.del(config(2), next)
  }
  await bed.expectUnchanged()
})

test('a runtime that repeats its DEL for ever does nothing to another pod on the same interface', async () => {
  const config = onNic(bed.nic(), { mtu: 1400, ipam: localIpam() })
  await bed.add(config, one)
  let running = true
  const repeated = (async () => {
    const codes: number[] = []
    while (running || codes.length <= 2) codes.push((await bed.call('DEL', config, one)).code)
    return codes
  })()
  await vi.waitFor(async () => expect((await bed.call('ADD', config, two)).code).toBe(0), { timeout: 30_000 })
  expect(await bed.link(two, 'net1')).toMatchObject({ address: bed.nic().mac, mtu: 1400 })
  await bed.del(config, two)
  running = false
  const codes = await repeated
  expect(codes).toEqual(codes.map(() => 0))
  await bed.expectUnchanged()
})

test("when the distribution's host-device wants the same interface one of us gets it, and the other takes nothing from it", async () => {
  await bed.lab.must(`ln -sf /usr/lib/cni/host-device ${BED_FOLDER}/go-host-device`)
  const { netdev, mac } = bed.nic()
  const ours = onNic(bed.nic())
  const theirs: PluginConfig = { type: 'go-host-device', device: netdev }
  for (let round = 0; round < 3; round++) {
    const [a, b] = await Promise.all([bed.call('ADD', ours, one), bed.call('ADD', theirs, two)])
    expect(
      [a.code, b.code].filter((code) => code === 0),
      a.stdout + b.stdout,
    ).toHaveLength(1)
    const [winner, config] = a.code === 0 ? [one, ours] : [two, theirs]
    const links = await json(bed.lab, `ip -n ${winner} -d -j link show`)
    expect(links.find(({ ifname }) => ifname === 'net1')).toMatchObject({ address: mac })
    if (config === theirs) await bed.del(ours, one)
    expect(await bed.link(winner, 'net1')).toMatchObject({ address: mac })
    await bed.del(config, winner)
  }
  expect(await bed.link(null, netdev)).toMatchObject({ address: mac })
  // The other plugin writes the name there and leaves it when it loses.
  await bed.lab.must(`ip link set dev ${netdev} alias ''`)
  await bed.expectUnchanged()
})

test('ADD waits 30 seconds at most for the lock of an interface, and names it with code 11 then', async () => {
  const lock = `/var/lib/cni/vf-flower/lock/netdev:${bed.nic().netdev}`
  const script = `touch ${BED_FOLDER}/locked; while [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`
  // -o: it alone has the file open, its child does not.
  const holder = await bed.lab.spawn(['flock', '-o', lock, 'sh', '-c', script], { timeoutMs: 0 })
  await bed.lab.must(`until [ -e ${BED_FOLDER}/locked ]; do sleep 0.05; done`)
  const config = onNic(bed.nic(), { mtu: 1400 })
  const error = await bed.refused('ADD', config, one)
  expect(error).toMatchObject({ code: 11, msg: expect.stringContaining(lock) })
  await bed.expectUnchanged()

  const waiting = bed.call('ADD', config, one)
  const openers = `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '${lock}$'`
  await bed.lab.must(`until [ "$(${openers})" -gt 1 ]; do sleep 0.05; done; rm ${BED_FOLDER}/locked`)
  expect(await waiting).toMatchObject({ code: 0 })
  await holder.wait()
  await bed.del(config, one)
  await bed.expectUnchanged()
})
