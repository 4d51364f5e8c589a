// A container's access to VFs of igb on vfio-pci behind an IOMMU, from the compiled device plugin: CDI names whose spec has files that
// exist, kept while a pod has the VF; the kernel's own trace of the function level reset that comes before a VF's next pod; and the
// refusal of a VF that a program has open.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PluginNode, startPluginNode } from '../../../hack/lab/bed/device-plugin.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { bindTo, emulated, type Nic, openedBy } from '../../support/userspace-bed.ts'

const RESOURCE = 'example.org/dpdk'
const SPEC = '/var/run/cdi/vf-flower-example.org_dpdk_net-pci.json'
const POD = { uid: '00000000-0000-4000-8000-000000000001', namespace: 'shop', name: 'dpdk-1' }
const TRACE = '/sys/kernel/tracing'

let nic: Nic
let lab: Lab
let node: PluginNode
let vfs: readonly string[]

beforeAll(async () => {
  nic = await emulated(2)
  lab = nic.lab
  vfs = (
    await lab.must(`for vf in 0 1; do basename $(readlink /sys/class/net/${nic.pf}/device/virtfn$vf); done`)
  )
    .trim()
    .split('\n')
  await lab.must('modprobe vfio-pci')
  for (const vf of vfs) await bindTo(nic, 'vfio-pci', vf)
  await lab.must(`mountpoint -q ${TRACE} || mount -t tracefs none ${TRACE}
    echo pcie_reset_flr pcie_flr >${TRACE}/set_ftrace_filter; echo function >${TRACE}/current_tracer`)
  const health = { badAfter: 0, goodAfter: 0 }
  const selectors = [{ drivers: ['vfio-pci'] }]
  node = await startPluginNode(
    lab,
    [{ resourceName: 'dpdk', selectors, reset: 'flr', health }],
    ['--resource-prefix', 'example.org', '--use-cdi'],
  )
  await node.kubelet.wait(RESOURCE, { healthy: vfs })
})
afterAll(async () => {
  await node?.end()
  await nic?.remove()
})

/** The files of each device of the spec. */
async function spec(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { kind, devices } = JSON.parse(await lab.readFile(SPEC))
  expect(kind).toBe('example.org/net-pci')
  type Entry = { name: string; containerEdits: { deviceNodes: { path: string; hostPath: string }[] } }
  return new Map(
    (devices as Entry[]).map(({ name, containerEdits }) => [
      name,
      containerEdits.deviceNodes.map(({ hostPath }) => hostPath),
    ]),
  )
}
const resets = async () =>
  (await lab.must(`grep -c 'pcie_reset_flr\\|pcie_flr' ${TRACE}/trace || true`)).trim()
const forgetTrace = () => lab.must(`echo >${TRACE}/trace`)
const groupOf = async (vf: string) =>
  (await lab.must(`basename $(readlink /sys/bus/pci/devices/${vf}/iommu_group)`)).trim()

test('the spec has files that exist, for each VF', async () => {
  const found = await spec()
  expect([...found.keys()]).toEqual(vfs.toSorted())
  for (const [vf, files] of found) {
    expect(files).toContain(`/dev/vfio/${await groupOf(vf)}`)
    for (const file of files) await lab.must(`test -c ${file}`)
  }
})

test('a VF comes by its CDI name, and is reset before each pod: one that was there at the start may have had one before', async () => {
  await forgetTrace()
  const { ids, response } = await node.kubelet.allocate(POD, 'app', RESOURCE, 1)
  const [vf = ''] = ids
  expect(response).toMatchObject({ devices: [], cdi_devices: [{ name: `example.org/net-pci=${vf}` }] })
  const info = JSON.parse(response.envs.PCIDEVICE_EXAMPLE_ORG_DPDK_INFO ?? '')
  const group = await groupOf(vf)
  expect(info[vf]).toEqual({
    generic: { deviceID: vf },
    vfio: { mount: '/dev/vfio/vfio', 'dev-mount': `/dev/vfio/${group}` },
  })
  expect(await resets()).not.toBe('0')

  // A pod that ends before kubelet has named it keeps its device for a minute.
  await node.shows('vf_flower_device_info', { device: vf, pod: POD.name }, 1)
  await node.kubelet.endPod(POD.uid)
  await node.shows('vf_flower_pool_allocated_devices', { resource: RESOURCE }, 0)
  await forgetTrace()
  await node.kubelet.allocateIds(RESOURCE, [vf])
  expect(await resets()).not.toBe('0')
})

test('a VF that a program has open is refused, and not reset', async () => {
  const program = await openedBy(nic, 'device')
  await forgetTrace()
  await expect(node.kubelet.allocateIds(RESOURCE, [nic.vf])).rejects.toThrow(/has it open/)
  expect(await resets()).toBe('0')
  await program.close()
  await node.kubelet.wait(RESOURCE, { healthy: vfs })
})

test('the entry of a VF that a pod has outlives the VF', async () => {
  const { ids } = await node.kubelet.allocate(POD, 'app', RESOURCE, 2)
  const before = await spec()
  await lab.must(`echo 0 >/sys/class/net/${nic.pf}/device/sriov_numvfs`)
  await node.kubelet.wait(RESOURCE, { unhealthy: ids })
  expect(await spec()).toEqual(before)
})
