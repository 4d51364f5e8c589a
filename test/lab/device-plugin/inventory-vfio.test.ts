// The inventory of a VF of igb on vfio-pci, in a machine of its own, which has an IOMMU: its files, and whether a program has it open.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { drive, probe } from '../../../hack/lab/driver/client.ts'
import { deviceIn } from '../../support/device-plugin/network-facts.ts'
import { bindTo, emulated, type Nic, openedBy } from '../../support/userspace-bed.ts'

let nic: Nic
beforeAll(async () => {
  nic = await emulated()
})
// A machine of its own is not used again.
afterAll(() => nic?.remove())

async function look() {
  const [snapshot] = await drive(nic.lab, [probe('takeInventory')])
  return deviceIn(snapshot, nic.vf)
}

test('a VF on vfio-pci is open while a program has it, and closed otherwise', async () => {
  expect((await look()).isOpen).toBeUndefined()
  await nic.lab.must('modprobe vfio-pci')
  await bindTo(nic, 'vfio-pci')
  const closed = await look()
  expect(closed).toMatchObject({ driver: 'vfio-pci', isOpen: false, netdevs: [], linkType: 'ether' })
  const files = await nic.lab.must(`ls -d /dev/vfio/[0-9]* /sys/bus/pci/devices/${nic.vf}/vfio-dev/*`)
  const { group, cdev } = closed.vfio ?? {}
  expect(closed.vfio?.noIommu).toBe(false)
  expect(files.trim().split('\n')).toEqual([
    `/dev/vfio/${group}`,
    `/sys/bus/pci/devices/${nic.vf}/vfio-dev/${cdev}`,
  ])
  const program = await openedBy(nic, 'device')
  expect((await look()).isOpen).toBe(true)
  await program.close()
  expect((await look()).isOpen).toBe(false)
  await bindTo(nic, 'igbvf')
  const back = await look()
  expect([back.driver, back.vfio, back.netdevs.length]).toEqual(['igbvf', undefined, 1])
})
