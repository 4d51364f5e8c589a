// Changes of the node while the device plugin runs, as kubelet sees them: VFs that are made and removed, that get another driver, whose
// PF loses its carrier or changes its eSwitch mode, or whose link is disabled. Nobody restarts anything. On igb and on simnic.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PluginNode, startPluginNode } from '../../../hack/lab/bed/device-plugin.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { bindTo } from '../../support/userspace-bed.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

/** Health is told at once: its hysteresis is shown by tests without a kernel. */
const health = { badAfter: 0, goodAfter: 0 }
const VFS = 'example.org/vfs'

describe('on simnic', () => {
  let lab: Lab
  let card: Card
  let node: PluginNode
  const USER = 'example.org/user'
  const NEW_MODE = 'example.org/switchdev'
  const vf = (index: number) => `${card.pci.slice(0, -1)}${index + 1}`

  beforeAll(async () => {
    lab = await sharedLab()
    ;[card] = (await loadSimnic(lab, { totalVfs: 4 })) as [Card]
    await setVfs(lab, card, 2)
    await lab.must(`modprobe uio_pci_generic; ip link set ${card.wire} up; ip link set ${card.pf} up`)
    node = await startPluginNode(
      lab,
      [
        { resourceName: 'user', selectors: [{ drivers: ['uio_pci_generic'] }] },
        {
          resourceName: 'switchdev',
          selectors: [{ pfNames: [`${card.pf}#3`], eswitchModes: ['switchdev'] }],
          health,
        },
        { resourceName: 'vfs', selectors: [{ pfNames: [card.pf] }], health },
      ],
      ['--resource-prefix', 'example.org'],
    )
  })
  afterAll(async () => {
    await node?.end()
    await unloadSimnic(lab)
  })

  test('VFs come and go, and pools without any are there', async () => {
    const { kubelet } = node
    await kubelet.wait(VFS, { healthy: [vf(0), vf(1)] })
    await kubelet.wait(USER, { healthy: 0, connected: true })
    await setVfs(lab, card, 4)
    await kubelet.wait(VFS, { healthy: [0, 1, 2, 3].map(vf) })
    await setVfs(lab, card, 0)
    await kubelet.wait(VFS, { healthy: 0, unhealthy: 0 })
    await setVfs(lab, card, 4)
    await kubelet.wait(VFS, { healthy: [0, 1, 2, 3].map(vf) })
    // One way to register, once, whatever changes.
    const attempts = (await kubelet.registrations()).filter(({ resource }) => resource === VFS)
    expect(attempts).toHaveLength(1)
  })

  test('a VF that another driver gets goes to the pool of that driver, and comes back', async () => {
    const { kubelet } = node
    const nic = {
      lab,
      pf: card.pf,
      vf: vf(1),
      kernel: 'simnic',
      user: 'uio_pci_generic',
      remove: async () => undefined,
    }
    await bindTo(nic, nic.user)
    await kubelet.wait(USER, { healthy: [vf(1)] })
    await kubelet.wait(VFS, { healthy: [0, 2, 3].map(vf) })
    await bindTo(nic, nic.kernel)
    await kubelet.wait(USER, { healthy: 0 })
    await kubelet.wait(VFS, { healthy: 4 })
  })

  test('a PF without carrier has no healthy VF, and the reason is told', async () => {
    const { kubelet } = node
    await lab.must(`ip link set ${card.wire} down`)
    await kubelet.wait(VFS, { healthy: 0, unhealthy: 4 })
    await node.shows('vf_flower_pool_unhealthy_devices', { resource: VFS, reason: 'carrier' }, 4)
    await lab.must(`ip link set ${card.wire} up`)
    await kubelet.wait(VFS, { healthy: 4 })
    await node.shows('vf_flower_pool_unhealthy_devices', { resource: VFS, reason: 'carrier' }, 0)
  })

  test('a VF whose link the PF disables is unhealthy alone', async () => {
    const { kubelet } = node
    await lab.must(`ip link set ${card.pf} vf 2 state disable`)
    await kubelet.wait(VFS, { healthy: [0, 1, 3].map(vf), unhealthy: [vf(2)] })
    await node.shows('vf_flower_pool_unhealthy_devices', { resource: VFS, reason: 'link-state' }, 1)
    await lab.must(`ip link set ${card.pf} vf 2 state auto`)
    await kubelet.wait(VFS, { healthy: 4 })
  })

  test('a VF whose interface is in a pod stays healthy', async () => {
    const { kubelet } = node
    const { messages } = await kubelet.wait(VFS, { healthy: 4 })
    await newPod(lab, 'pod-one')
    await lab.must(`ip link set ${card.pf}vf0 netns pod-one`)
    // A change that is seen for sure, behind it.
    await lab.must(`ip link set ${card.pf} vf 2 state disable`)
    await kubelet.wait(VFS, { healthy: [0, 1, 3].map(vf), messages: messages + 1 })
    await lab.must(`ip link set ${card.pf} vf 2 state auto`)
    await deletePod(lab, 'pod-one')
    await kubelet.wait(VFS, { healthy: 4 })
  })

  test('a mode of the eSwitch is a condition of pools, and explain tells it', async () => {
    const { kubelet } = node
    await setMode(lab, card, 'switchdev')
    await kubelet.wait(NEW_MODE, { healthy: [vf(3)] })
    await kubelet.wait(VFS, { healthy: [0, 1, 2].map(vf) })
    expect(await node.explain()).toMatch(new RegExp(`${vf(3)}.*${NEW_MODE}`))
    await setMode(lab, card, 'legacy')
    await kubelet.wait(NEW_MODE, { healthy: 0 })
    await kubelet.wait(VFS, { healthy: 4 })
    expect(await node.explain()).toMatch(/eswitchModes/)
  })
})

describe('on igb', () => {
  test('VFs come and go, change their driver, and follow their PF', async () => {
    const lab = await sharedLab()
    const topology = await makeVfs(lab, 2)
    const ids = topology.vfs.map(({ pci }) => pci)
    const node = await startPluginNode(
      lab,
      [{ resourceName: 'vfs', selectors: { pfNames: [topology.pf], drivers: ['igbvf'] }, health }],
      ['--resource-prefix', 'example.org'],
    )
    try {
      const { kubelet } = node
      await kubelet.wait(VFS, { healthy: ids })
      const [first = '', second = ''] = ids
      await lab.must(`echo ${first} >/sys/bus/pci/drivers/igbvf/unbind`)
      await kubelet.wait(VFS, { healthy: [second] })
      await lab.must(`echo ${first} >/sys/bus/pci/drivers/igbvf/bind`)
      await kubelet.wait(VFS, { healthy: ids })
      await lab.must(`ip link set ${topology.pf} down`)
      await kubelet.wait(VFS, { unhealthy: ids })
      await lab.must(`ip link set ${topology.pf} up`)
      await kubelet.wait(VFS, { healthy: ids })
      await lab.must(`cd /sys/class/net/${topology.pf}/device; echo 0 >sriov_numvfs; echo 3 >sriov_numvfs`)
      await kubelet.wait(VFS, { healthy: 3 })
    } finally {
      await node.end()
      await removeVfs(lab, topology)
    }
  })
})
