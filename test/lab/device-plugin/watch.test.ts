// The watch of the node over real drivers: VFs that come and go, a driver that changes, carrier, VF attributes, the host's addresses
// (igb), and a change of the eSwitch's mode (simnic). Each is heard by a notification of the right kind.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod, type Topology } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'
import { startWatch, type Watcher } from '../../support/watcher.ts'

let vm: Lab
let watch: Watcher

/** Waits until nothing is on its way: two calls asked for, with no other kind in the second. */
async function quiet(): Promise<void> {
  for (;;) {
    watch.clear()
    watch.tell('touch')
    await watch.until('asked')
    if (watch.changes().every(({ total, counts }) => total === counts.asked)) break
  }
  watch.clear()
}

const subjects = () => watch.changes().flatMap((one) => one.subjects)

beforeAll(async () => {
  vm = await lab()
})
beforeEach(async () => {
  watch = await startWatch(vm)
  await quiet()
})
afterEach(() => watch.stop())

describe('igb', () => {
  let nic: Topology
  beforeAll(async () => {
    nic = await makeVfs(vm, 2)
  })
  afterAll(() => removeVfs(vm, nic))

  test('VFs that go and come: PCI functions and interfaces', async () => {
    await vm.must(`echo 0 >/sys/class/net/${nic.pf}/device/sriov_numvfs`)
    await watch.until('pci', 'net', 'link')
    expect(subjects()).toContain(`pci remove ${nic.vfs[0]?.pci}`)
    await quiet()
    nic = await makeVfs(vm, 2)
    await watch.until('pci', 'net', 'link')
    expect(subjects()).toContain(`pci add ${nic.vfs[0]?.pci}`)
  })

  test('a VF without a driver, and with it again', async () => {
    const pci = nic.vfs[1]?.pci ?? ''
    await vm.must(`echo ${pci} >/sys/bus/pci/devices/${pci}/driver/unbind`)
    await watch.until('pci', 'link')
    expect(subjects()).toContain(`pci unbind ${pci}`)
    await quiet()
    await vm.must(`echo ${pci} >/sys/bus/pci/drivers_probe`)
    await watch.until('pci', 'link')
    expect(subjects()).toContain(`pci bind ${pci}`)
  })

  test('a driver that is loaded', async () => {
    // A file before this one may have left the module loaded.
    await vm.must('modprobe -r uio_pci_generic; modprobe uio_pci_generic')
    await watch.until('driver')
    await vm.must('modprobe -r uio_pci_generic')
  })

  test('a PF that goes down and up', async () => {
    for (const state of ['down', 'up']) {
      await vm.must(`ip link set ${nic.pf} ${state}`)
      await expect.poll(subjects, { timeout: 60_000 }).toContain(`link ${nic.pf}`)
      await quiet()
    }
  })

  test('the name, an altname, the master of an interface; not its MTU', async () => {
    const netdev = nic.vfs[0]?.netdev ?? ''
    for (const command of [
      // Altnames of an interface that is down change without a message.
      `link property add dev ${nic.pf} altname watched`,
      `link property del dev ${nic.pf} altname watched`,
      `link add wb0 type bridge; ip link set ${netdev} master wb0`,
      `link set ${netdev} nomaster; ip link del wb0`,
    ]) {
      await vm.must(`ip ${command}`)
      await watch.until('link')
      await quiet()
    }
    await vm.must(`ip link set ${netdev} mtu 1400; ip link set ${netdev} mtu 1500`)
    watch.tell('touch')
    await watch.until('asked')
    expect(watch.changes().map(({ counts }) => counts)).toEqual([{ asked: 1 }])
  })

  test('a VF that goes into a pod, and comes back', async () => {
    const netdev = nic.vfs[0]?.netdev ?? ''
    await newPod(vm, 'watch-pod')
    await quiet()
    await vm.must(`ip link set ${netdev} netns watch-pod`)
    await watch.until('link', 'net')
    await quiet()
    await vm.must(`ip -n watch-pod link set ${netdev} netns 1`)
    await watch.until('link', 'net')
    await deletePod(vm, 'watch-pod')
  })

  test.each(['mac 02:00:00:00:00:77', 'vlan 7', 'vlan 0'])('VF attribute: %s', async (attribute) => {
    await vm.must(`ip link set ${nic.pf} vf 1 ${attribute}`)
    await watch.until('vf')
    expect(subjects()).toContain(`vf ${nic.pf}`)
  })

  test('an address and a default route of the PF, and of a VLAN on it', async () => {
    const { pf } = nic
    await vm.must(`ip addr add 192.0.2.1/24 dev ${pf}`)
    await watch.until('address')
    await vm.must(`ip route add default via 192.0.2.2 dev ${pf} metric 77`)
    await watch.until('route')
    await vm.must(`ip route del default metric 77; ip addr flush dev ${pf}; modprobe 8021q
      ip link add link ${pf} name ${pf}.7 type vlan id 7; ip link set ${pf}.7 up`)
    await quiet()
    await vm.must(`ip addr add 192.0.2.1/24 dev ${pf}.7; ip route add default via 192.0.2.2 metric 77`)
    await watch.until('address', 'route')
    await vm.must(`ip link del ${pf}.7`)
  })
})

describe('simnic', () => {
  let card: Card
  beforeAll(async () => {
    ;[card] = (await loadSimnic(vm)) as [Card]
    await setVfs(vm, card, 2)
    await vm.must(`ip link set ${card.wire} up; ip link set ${card.pf} up`)
  })
  afterAll(() => unloadSimnic(vm))

  // The emulated igb keeps its carrier, whatever the other end does.
  test('the carrier of the PF, lost and back', async () => {
    for (const state of ['down', 'up']) {
      await vm.must(`ip link set ${card.wire} ${state}`)
      await expect.poll(subjects, { timeout: 60_000 }).toContain(`link ${card.pf}`)
      await quiet()
    }
  })

  test.each(['disable', 'auto'])('VF attribute: link state %s', async (state) => {
    await vm.must(`ip link set ${card.pf} vf 1 state ${state}`)
    await watch.until('vf')
    expect(subjects()).toContain(`vf ${card.pf}`)
  })

  test.each(['switchdev', 'legacy'] as const)('mode %s: ports of devlink, and representors', async (mode) => {
    await setMode(vm, card, mode)
    await watch.until('devlink', 'link', 'net')
    expect(subjects().some((one) => /^(devlink port|link |net )/.test(one))).toBe(true)
  })

  test('a card that goes', async () => {
    await unloadSimnic(vm)
    await watch.until('pci', 'devlink', 'link')
  })
})
