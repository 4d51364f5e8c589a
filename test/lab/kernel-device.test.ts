// Devices themselves: a VF that its driver gets again, and which interface stands for it in an eSwitch.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { representorOf } from '../../src/nic/representor.ts'
import { invert, type Op } from '../../src/ops/op.ts'
import { ask, drive, json, run, tryDrive } from '../support/driver.ts'
import { lab } from '../support/lab.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../support/simnic.ts'
import { deletePod, newPod, type Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

let vm: Lab
beforeAll(async () => {
  vm = await lab()
})

describe('an igb VF', () => {
  const pod = 'kernel-device'
  let net: Topology
  let pci: string
  let netdev: string
  beforeAll(async () => {
    net = await makeVfs(vm, 2)
    pci = net.vfs[1]?.pci ?? ''
    netdev = net.vfs[1]?.netdev ?? ''
    await newPod(vm, pod)
  })
  afterAll(async () => {
    await deletePod(vm, pod)
    await removeVfs(vm, net)
  })
  test('takes what interfaces take, as ip shows it, and gives it back', async () => {
    const shown = async () => {
      const [link] = await json(vm, `ip -d -j link show dev ${netdev}`)
      const { operstate: _, ...rest } = link ?? {}
      return { ...rest, flags: (rest.flags as string[]).filter((flag) => !/CARRIER|LOWER_UP/.test(flag)) }
    }
    const before = await shown()
    const [facts] = await drive(vm, [ask('link', 'host', netdev)])
    const { ifindex = 0, mtu, txqlen } = facts ?? {}
    expect(facts).toMatchObject({ parent: pci, parentBus: 'pci', alias: '', promisc: false, allmulti: false })
    const set = { mtu: 1400, alias: 'of a pod', promisc: true, allmulti: true, txqlen: 500 }
    const was = { mtu, alias: '', promisc: false, allmulti: false, txqlen }
    const op: Op = { do: 'link.set', side: 'host', name: netdev, ifindex, set, was }
    await drive(vm, [run(op)])
    expect(await shown()).toMatchObject({
      ...{ mtu: 1400, ifalias: 'of a pod', txqlen: 500, promiscuity: 1, allmulti: 1 },
      flags: expect.arrayContaining(['PROMISC', 'ALLMULTI']),
    })
    await drive(vm, [run(invert(op) as Op)])
    expect(await shown()).toEqual(before)
  })

  const rebind = (driver: string, address = pci): Op => ({ do: 'driver.rebind', pci: address, driver })
  const onHost = async () => (await vm.must(`ls /sys/bus/pci/devices/${pci}/net 2>/dev/null || true`)).trim()

  test('that its driver gets again comes home from wherever its interface is', async () => {
    await vm.must(`ip link set ${netdev} netns ${pod} name net1`)
    expect(await onHost()).toBe('')
    await drive(vm, [run(rebind('igbvf'))])
    const name = await onHost()
    expect(await json(vm, `ip -d -j link show dev ${name}`)).toEqual([
      expect.objectContaining({ parentdev: pci }),
    ])
    expect((await vm.sh(`ip -n ${pod} link show dev net1`)).code).toBe(1)
  })

  test('without driver gets one', async () => {
    await vm.must(`echo ${pci} >/sys/bus/pci/drivers/igbvf/unbind`)
    expect(await onHost()).toBe('')
    await drive(vm, [run(rebind('igbvf'))])
    expect(await onHost()).not.toBe('')
  })

  test('that a driver refuses: the error names both, and an unknown driver is no path', async () => {
    const results = await tryDrive(vm, [
      run(rebind('e1000e')),
      run(rebind('igbvf', '0000:ff:1f.7')),
      run(rebind('../../devices')),
    ])
    expect(results.map(({ error }) => error?.message)).toEqual([
      expect.stringMatching(`^Cannot bind "${pci}" to driver "e1000e": E(BUSY|NODEV|NOENT)$`),
      'Cannot bind "0000:ff:1f.7" to driver "igbvf": ENODEV',
      expect.stringContaining('EINVAL'),
    ])
    expect(await onHost()).not.toBe('')
  })
})

describe('representors of two cards in switchdev mode', () => {
  let cards: readonly Card[]
  beforeAll(async () => {
    cards = await loadSimnic(vm, { cards: 2, totalVfs: 12 })
    for (const card of cards) {
      await setVfs(vm, card, 12)
      await setMode(vm, card, 'switchdev')
    }
  })
  afterAll(() => unloadSimnic(vm))

  test('each VF has its own, by switch id and port name as ip shows them', async () => {
    const [links] = await drive(vm, [ask('links', 'host')])
    const shown = await json(vm, 'ip -d -j link')
    for (const link of links) {
      const same = shown.find(({ ifindex }) => ifindex === link.ifindex)
      const { physSwitchId, physPortName, parent, parentBus, alias, txqlen } = link
      expect({ physSwitchId, physPortName, parent, parentBus, alias, txqlen }).toEqual({
        ...{ physSwitchId: same?.phys_switch_id, physPortName: same?.phys_port_name },
        ...{ parent: same?.parentdev, parentBus: same?.parentbus, alias: same?.ifalias ?? '' },
        txqlen: same?.txqlen,
      })
    }
    for (const [at, card] of cards.entries()) {
      const uplink = links.find(({ name }) => name === card.pf)
      if (uplink === undefined) throw new Error(`no ${card.pf}`)
      expect(uplink.physPortName).toMatch(/^p\d+$/)
      const found = [0, 1, 9, 10, 11, 12].map((vf) => representorOf(links, uplink, vf, card.pci)?.name)
      expect(found).toEqual([0, 1, 9, 10, 11].map((vf) => `simpf${at}rep${vf}`).concat([undefined as never]))
    }
  })
})
