// Device information for Multus, for VFs of a card in switchdev mode and of one in legacy mode: ADD writes the kernel's facts into the
// file that the runtime names, whatever lies there, and no file that is not the container's. Multus itself copies and removes the file.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachConfig, attachment, listOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { type Card, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Attachment, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

const folder = '/var/run/k8s.cni.cncf.io/devinfo/cni'
/** As Multus names it: network, container ID, interface. */
const file = `${folder}/lab-net-pod-one_net1`

let lab: Lab
let runtime: Runtime
let cards: readonly Card[]
let before: Snapshot

useSimnic(
  { cards: 2, totalVfs: 2 },
  async (vm, all) => {
    lab = vm
    cards = all
    runtime = testRuntime(lab)
    for (const card of cards) {
      await setVfs(lab, card, 2)
      await lab.must(`for name in ${card.wire} ${card.pf}; do
          echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; ip link set $name up
        done`)
    }
    await setMode(lab, cards[0] as Card, 'switchdev')
    await newPod(lab, 'pod-one')
    await lab.must(`mkdir -p ${folder}`)
  },
  async () => {
    await deletePod(lab, 'pod-one')
    await lab.must('rm -rf /var/run/k8s.cni.cncf.io')
  },
)
beforeAll(async () => {
  before = await snapshot(lab)
})
afterAll(async () => {
  await lab.must(`rm -f ${file}`)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})

const pf = (card: 0 | 1) => cards[card]?.pci ?? ''
const pci = (vf: number, card: 0 | 1 = 0) => `${pf(card).slice(0, -1)}${vf + 1}`
const representor = (vf: number) => `${cards[0]?.pf}rep${vf}`
const config = (device: string) => attachConfig(device, { capabilities: { CNIDeviceInfoFile: true } })
const at = (path = file): Attachment =>
  attachment('/run/netns/pod-one', { capabilityArgs: { CNIDeviceInfoFile: path } })

/** The words of ADD on stderr; the file as it is after ADD, CHECK and DEL. */
async function attached(device: string, path = file): Promise<{ told: string; text: string; mode: string }> {
  const plugin = config(device)
  const { code, stdout, stderr } = await runtime.call('ADD', listOf(plugin), plugin, at(path))
  expect([code, stdout]).toEqual([0, expect.stringContaining('"interfaces"')])
  await runtime.check(listOf(plugin), at(path), JSON.parse(stdout))
  await runtime.del(listOf(plugin), at(path))
  const text = await lab.must(`cat ${path} || true`)
  return { told: stderr, text, mode: await lab.must(`stat -c %a ${path} || true`) }
}
const write = (text: string) =>
  lab.must(`mkdir -p ${folder}; rm -rf ${file}; cat >${file}; chmod 444 ${file}`, { stdin: text })
const noWords = expect.not.stringContaining('device information')

describe('a VF in switchdev mode', () => {
  const info = (vf = 0) => ({
    type: 'pci',
    version: '1.1.0',
    pci: { 'pci-address': pci(vf), 'pf-pci-address': pf(0), 'representor-device': representor(vf) },
  })

  test('without a file of a device plugin has one', async () => {
    const { told, text, mode } = await attached(pci(0))
    expect(told).toEqual(noWords)
    expect(JSON.parse(text)).toEqual(info())
    expect(mode).toBe('444\n')
    expect(await lab.must(`ls -A ${folder}`)).toBe(`${file.slice(folder.length + 1)}\n`)
  })

  test('has the parts filled in that a device plugin left out', async () => {
    await write(
      JSON.stringify({
        type: 'pci',
        version: '1.1.0',
        pci: { 'pci-address': pci(1), 'vhost-net': '/dev/vhost-net' },
      }),
    )
    const { told, text } = await attached(pci(1))
    expect(told).toEqual(noWords)
    expect(JSON.parse(text)).toEqual({ ...info(1), pci: { ...info(1).pci, 'vhost-net': '/dev/vhost-net' } })
  })

  test('has the representor’s name of now, and the old one is named', async () => {
    await write(JSON.stringify(info()))
    await lab.must(`ip link set ${representor(0)} name repnew`)
    const { told, text } = await attached(pci(0))
    await lab.must(`ip link set repnew name ${representor(0)}`)
    expect(told).toContain(`representor-device is "${representor(0)}", and the kernel has "repnew"`)
    expect(JSON.parse(text)).toMatchObject({ pci: { 'representor-device': 'repnew' } })
  })

  test('is not the device of another one’s file', async () => {
    await write(JSON.stringify(info(1)))
    const { told, text } = await attached(pci(0))
    expect(told).toContain(`pci-address is "${pci(1)}", and the device is "${pci(0)}"`)
    expect(JSON.parse(text)).toEqual(info())
  })

  test.each(['', '{', '[]', 'null'])('is attached whatever the file says: %j', async (old) => {
    await write(old)
    const { told, text } = await attached(pci(0))
    expect(told).toContain('it is no device information of type pci or vdpa')
    expect(JSON.parse(text)).toEqual(info())
  })
})

test('a VF in legacy mode has no representor', async () => {
  await lab.must(`rm -f ${file}`)
  const { told, text } = await attached(pci(1, 1))
  expect(told).toEqual(noWords)
  expect(JSON.parse(text)).toEqual({
    type: 'pci',
    version: '1.1.0',
    pci: { 'pci-address': pci(1, 1), 'pf-pci-address': pf(1) },
  })
})

test('no other file is written, and ADD says so', async () => {
  const others = ['/etc/hostname', `${folder}/lab-net-pod-two_net1`, `${folder}/../../pod-one`, 'pod-one']
  const look = () => lab.must(`cat /etc/hostname; ls -A ${folder}/../.. ${folder}`)
  const state = await look()
  for (const path of others) {
    const plugin = config(pci(0))
    const { code, stderr } = await runtime.call('ADD', listOf(plugin), plugin, at(path))
    expect([path, code]).toEqual([path, 0])
    expect(stderr).toContain(`device information "${path}": not written: `)
    await runtime.del(listOf(plugin), at(path))
  }
  expect(await look()).toBe(state)
})

test('a folder in the file’s place fails no ADD', async () => {
  await lab.must(`rm -f ${file}; mkdir -p ${file}`)
  const plugin = config(pci(0))
  const { code, stderr } = await runtime.call('ADD', listOf(plugin), plugin, at())
  await runtime.del(listOf(plugin), at())
  await lab.must(`rmdir ${file}`)
  expect(code).toBe(0)
  expect(stderr).toContain('not written: EISDIR')
})
