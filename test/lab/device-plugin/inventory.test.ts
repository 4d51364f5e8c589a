// Inventories of real drivers: VFs of igb and of simnic with their indexes, both modes of the eSwitch, representors, a driver
// for user space, what the PF tells about its VFs, and a bond with a VLAN on the PF.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import type { Topology } from '../../../hack/lab/bed/topology.ts'
import { drive, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { deviceIn } from '../../support/device-plugin/network-facts.ts'
import { lab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

let vm: Lab
beforeAll(async () => {
  vm = await lab()
})

async function look() {
  const [snapshot] = await drive(vm, [probe('takeInventory')])
  return snapshot
}

/** Gives a function to a driver; to the one that it had by an empty name. */
const bind = (pci: string, driver: string) =>
  vm.must(
    `cd /sys/bus/pci/devices/$PCI; echo $DRIVER >driver_override
    [ ! -e driver ] || echo $PCI >driver/unbind
    echo $PCI >/sys/bus/pci/drivers_probe; readlink driver`,
    { env: { PCI: pci, DRIVER: driver } },
  )

describe('simnic', () => {
  let card: Card
  const vf = (index: number) => `${card.pci.slice(0, -1)}${index + 1}`

  beforeAll(async () => {
    ;[card] = (await loadSimnic(vm, { totalVfs: 4 })) as [Card]
    await setVfs(vm, card, 3)
    await vm.must(`for name in ${card.wire} ${card.pf}; do ip link set $name up; done
      ip link set ${card.pf} vf 1 mac 02:00:00:00:01:01 vlan 7 state disable`)
  })
  afterAll(() => unloadSimnic(vm))

  test('in legacy mode', async () => {
    const snapshot = await look()
    expect(snapshot.pfs.get(card.pci)).toMatchObject({
      ...{ eswitchMode: 'legacy', numVfs: 3, uplink: { name: card.pf, carrier: true } },
    })
    const own = snapshot.devices.filter((one) => one.pf?.address === card.pci)
    expect(own.map(({ id, pf, driver, representor }) => [id, pf?.index, driver, representor])).toEqual(
      [0, 1, 2].map((index) => [vf(index), index, 'simnic', undefined]),
    )
    expect(deviceIn(snapshot, vf(0)).vf).toMatchObject({ vlan: 0, linkState: 'auto' })
    expect(deviceIn(snapshot, vf(1)).vf).toEqual({ mac: '02:00:00:00:01:01', vlan: 7, linkState: 'disable' })
    expect(deviceIn(snapshot, vf(1))).toMatchObject({
      linkType: 'ether',
      netdevs: [{ name: `${card.pf}vf1` }],
    })
    expect(deviceIn(snapshot, card.pci).sriov).toEqual({ total: 4, now: 3 })
    expect(snapshot.unanswered).toEqual([])
  })

  test('in switchdev mode each VF has its representor', async () => {
    await setMode(vm, card, 'switchdev')
    const snapshot = await look()
    expect(snapshot.pfs.get(card.pci)).toMatchObject({ eswitchMode: 'switchdev', uplink: { name: card.pf } })
    expect(snapshot.pfs.get(card.pci)?.hwTcOffload).toBe(true)
    const representors = [0, 1, 2].map((index) => deviceIn(snapshot, vf(index)).representor?.name)
    expect(representors).toEqual([0, 1, 2].map((index) => `${card.pf}rep${index}`))
    await setMode(vm, card, 'legacy')
  })

  test('VFs come and go', async () => {
    await setVfs(vm, card, 1)
    const snapshot = await look()
    const own = snapshot.devices.filter((one) => one.pf?.address === card.pci)
    expect(own.map(({ id }) => id)).toEqual([vf(0)])
    await setVfs(vm, card, 3)
  })

  test('a VF on a UIO driver', async () => {
    await vm.must('modprobe uio_pci_generic')
    await bind(vf(2), 'uio_pci_generic')
    const device = deviceIn(await look(), vf(2))
    expect(device).toMatchObject({ driver: 'uio_pci_generic', uio: 'uio0', netdevs: [], linkType: 'ether' })
    expect(device.isOpen).toBeUndefined()
    await bind(vf(2), '')
    expect(deviceIn(await look(), vf(2))).toMatchObject({ driver: 'simnic' })
  })
})

describe('igb', () => {
  let net: Topology
  const vf = (index: number) => net.vfs[index]?.pci ?? ''

  beforeAll(async () => {
    net = await makeVfs(vm, 3)
  })
  afterAll(() => removeVfs(vm, net))

  test('PF and VFs, behind their root port', async () => {
    const snapshot = await look()
    const pf = snapshot.pfs.get(net.pfPci)
    expect(pf).toMatchObject({ numVfs: 3, uplink: { name: net.pf, carrier: true } })
    expect([pf?.eswitchMode, pf?.trouble]).toEqual([undefined, undefined])
    for (const [index, { pci, netdev, mac }] of net.vfs.entries()) {
      const device = deviceIn(snapshot, pci)
      expect(device).toMatchObject({
        ...{ vendor: '8086', product: '10ca', driver: 'igbvf', pciClass: '020000', linkType: 'ether' },
        ...{ pf: { address: net.pfPci, index }, netdevs: [{ name: netdev, mac }], hostUses: [] },
      })
      expect(device.pciPath).toHaveLength(2)
      expect(device.pciPath.at(-1)).toBe(pci)
    }
    expect(snapshot.unanswered).toEqual([])
  })

  test('a bond over the PF, with a VLAN that has the default route, is a use of the PF', async () => {
    await vm.must(`set -e; modprobe bonding max_bonds=0; modprobe 8021q
      ip link add bond9 type bond; ip link set ${net.pf} down; ip link set ${net.pf} master bond9
      ip link set bond9 up; ip link add link bond9 name bond9.5 type vlan id 5; ip link set bond9.5 up
      ip address add 198.51.100.1/24 dev bond9.5
      ip route add default via 198.51.100.254 metric 7000`)
    const snapshot = await look()
    expect(deviceIn(snapshot, net.pfPci).hostUses).toEqual([
      `is a port of the bond bond9 by ${net.pf}`,
      `has the default route of IPv4 by bond9.5, which lies on ${net.pf}`,
      `has the node's address 198.51.100.1 by bond9.5, which lies on ${net.pf}`,
    ])
    expect(deviceIn(snapshot, vf(0)).hostUses).toEqual([])
    await vm.must('ip link del bond9; rmmod bonding')
  })
})
