// The system sees simnic as a card: PCI, names, devlink, ethtool; binding, namespaces, and its absence.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Card, refusal, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, drive, json } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { representorOf } from '../../../src/nic/representor.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
let second: Card

// Stands first, so that it runs last: the card has gone by then.
afterAll(async () => {
  expect((await vm.must('lspci -D -d 1234:')).trim()).toBe('')
})
useSimnic({ cards: 2, totalVfs: 12, driverName: 'nic_core' }, async (machine, cards) => {
  vm = machine
  ;[card, second] = cards as [Card, Card]
  await vm.must(`ip link set ${card.pf} up; ip link set ${card.wire} up`)
})

interface Link {
  readonly ifname: string
  readonly address: string
  readonly operstate: string
  readonly phys_port_name?: string
  readonly phys_switch_id?: string
  readonly parentdev?: string
}

async function links(): Promise<Record<string, Link>> {
  const list = JSON.parse(await vm.must('ip -d -j link show')) as Link[]
  return Object.fromEntries(list.map((link) => [link.ifname, link]))
}

const pciFunctions = async () =>
  (await vm.must('lspci -D -n -d 1234:'))
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0])

describe('PCI', () => {
  test('each card has its own domain, an SR-IOV capability and the driver name it was given', async () => {
    expect(await pciFunctions()).toEqual([card.pci, second.pci])
    expect(card.pci.slice(0, 4)).not.toBe(second.pci.slice(0, 4))
    const shown = await vm.must(`lspci -vv -s ${card.pci}`)
    expect(shown).toMatch(/Ethernet controller/)
    expect(shown).toMatch(/Express \(v2\) Root Complex Integrated Endpoint/)
    expect(shown).toMatch(/Initial VFs: 12, Total VFs: 12, Number of VFs: 0/)
    expect(shown).toMatch(/Kernel driver in use: nic_core/)
    expect(shown).not.toMatch(/access denied|unknown header|\?\?/i)
    for (const command of ['ethtool -i', 'devlink dev info']) {
      const target = command.startsWith('ethtool') ? card.pf : card.devlink
      expect(await vm.must(`${command} ${target}`)).toMatch(/driver:? nic_core/)
    }
  })

  test('sriov_numvfs makes and removes VFs, with links both ways', async () => {
    const device = `/sys/class/net/${card.pf}/device`
    for (const count of [12, 3]) {
      await setVfs(vm, card, count)
      const virtfns = await vm.must(`cd ${device}; for vf in virtfn*; do basename "$(readlink $vf)"; done`)
      const expected = Array.from({ length: count }, (_, vf) => `${card.pci.slice(0, -4)}00.${vf + 1}`)
      if (count < 8) expect(virtfns.trim().split('\n').sort()).toEqual(expected)
      expect(await pciFunctions()).toHaveLength(count + 2)
      const physfn = await vm.must(
        `basename "$(readlink ${device}/virtfn0/physfn)"; cat ${device}/sriov_numvfs`,
      )
      expect(physfn.trim().split('\n')).toEqual([card.pci, `${count}`])
      expect(Object.keys(await links()).filter((name) => /^simpf0vf\d+$/.test(name))).toHaveLength(count)
    }
    expect(await refusal(vm, `/bin/echo 13 >${device}/sriov_numvfs`)).toMatch(/Numerical result out of range/)
    expect(await vm.must(`lspci -vv -s ${card.pci.slice(0, -2)}.1`)).toMatch(/BusMaster\+[\s\S]*nic_core/)
    await vm.must(`echo 0 >${device}/sriov_numvfs`)
    expect(await pciFunctions()).toEqual([card.pci, second.pci])
  })

  test('a VF may be bound to another driver and back', async () => {
    await setVfs(vm, card, 2)
    const vf = `${card.pci.slice(0, -2)}.1`
    await vm.must(`set -e
      modprobe uio_pci_generic
      echo uio_pci_generic >/sys/bus/pci/devices/${vf}/driver_override
      echo ${vf} >/sys/bus/pci/drivers/nic_core/unbind
      echo ${vf} >/sys/bus/pci/drivers/uio_pci_generic/bind`)
    expect(await vm.must(`basename "$(readlink /sys/bus/pci/devices/${vf}/driver)"`)).toBe(
      'uio_pci_generic\n',
    )
    expect((await links()).simpf0vf0).toBeUndefined()
    await vm.must(`set -e
      ip link set ${card.pf} vf 0 mac 02:00:00:00:00:77
      echo >/sys/bus/pci/devices/${vf}/driver_override
      echo ${vf} >/sys/bus/pci/drivers/uio_pci_generic/unbind
      echo ${vf} >/sys/bus/pci/drivers/nic_core/bind`)
    expect((await links()).simpf0vf0?.address).toBe('02:00:00:00:00:77')
    await setVfs(vm, card, 0)
  })

  test('the PF may be unbound with VFs and representors in use, and comes back fresh', async () => {
    await setVfs(vm, card, 2)
    await setMode(vm, card, 'switchdev')
    await vm.must(`set -e
      echo ${card.pci} >/sys/bus/pci/drivers/nic_core/unbind
      [ ! -e /sys/class/net/${card.pf} ]
      echo ${card.pci} >/sys/bus/pci/drivers/nic_core/bind
      ip link set ${card.pf} up`)
    expect(await vm.must(`devlink dev eswitch show ${card.devlink}`)).toMatch(/mode legacy/)
    expect(await pciFunctions()).toEqual([card.pci, second.pci])
  })
})

describe('ports', () => {
  test('in switchdev mode have the names, parents and flavours that software looks for', async () => {
    await setVfs(vm, card, 2)
    const legacy = (await links())[card.pf]
    expect(legacy).toMatchObject({ phys_port_name: 'p0', parentdev: card.pci })
    await setMode(vm, card, 'switchdev')
    const all = await links()
    // As on mlx5 and ice: the switch id is there in both modes, and representors are children of the PF.
    const id = legacy?.phys_switch_id
    expect(id).toMatch(/^[0-9a-f]{16}$/)
    expect(all.simpf0).toMatchObject({ phys_port_name: 'p0', phys_switch_id: id, parentdev: card.pci })
    for (const vf of [0, 1]) {
      expect(all[`simpf0rep${vf}`]).toMatchObject({
        phys_port_name: `pf0vf${vf}`,
        phys_switch_id: id,
        parentdev: card.pci,
      })
      expect(all[`simpf0vf${vf}`]).not.toHaveProperty('phys_switch_id')
    }
    expect((await vm.must('ls /sys/class/net/simpf0vf1/device/physfn/net')).trim().split('\n')).toEqual([
      'simpf0',
      'simpf0rep0',
      'simpf0rep1',
    ])
    expect(all.simpf1).toMatchObject({ phys_port_name: 'p1', parentdev: second.pci })
    expect(all.simpf1?.phys_switch_id).not.toBe(id)

    const { port } = JSON.parse(await vm.must('devlink -j port show')) as { port: Record<string, object> }
    expect(port[`${card.devlink}/0`]).toMatchObject({ flavour: 'physical', port: 0, netdev: 'simpf0' })
    expect(port[`${card.devlink}/2`]).toMatchObject({
      flavour: 'pcivf',
      pfnum: 0,
      vfnum: 1,
      netdev: 'simpf0rep1',
    })
    expect(await vm.must('ethtool -k simpf0rep0')).toMatch(/hw-tc-offload: on\n/)
    expect(await vm.must('ethtool -k simpf0vf0')).toMatch(/hw-tc-offload: off \[fixed\]/)
    await setMode(vm, card, 'legacy')
    expect(Object.keys(await links()).filter((name) => name.includes('rep'))).toEqual([])
  })

  test('keep what devlink sets on a VF', async () => {
    await setMode(vm, card, 'switchdev')
    await vm.must(`set -e
      devlink port function set ${card.devlink}/1 hw_addr 02:00:00:00:00:55
      devlink port function rate set ${card.devlink}/1 tx_max 100mbit`)
    expect(await vm.must(`devlink port show ${card.devlink}/1`)).toMatch(/hw_addr 02:00:00:00:00:55/)
    expect(await vm.must(`ip link show ${card.pf}`)).toMatch(/vf 0 .*02:00:00:00:00:55.* max_tx_rate 100Mbps/)
    expect(await refusal(vm, `devlink port function rate set ${card.devlink}/1 tx_max 26gbit`)).toMatch(
      /rate is above the link's 25000 Mbit\/s/,
    )
    await setMode(vm, card, 'legacy')
  })

  test('have a link when both ends of the cable are up', async () => {
    const states = async () => {
      const all = await links()
      return [card.pf, card.wire, 'simpf0vf0'].map((name) => all[name]?.operstate)
    }
    await vm.must('ip link set simpf0vf0 up')
    await expect.poll(states, { timeout: 30_000 }).toEqual(['UP', 'UP', 'UP'])
    expect(await vm.must(`ethtool ${card.pf}`)).toMatch(/Speed: 25000Mb\/s[\s\S]*Link detected: yes/)
    await vm.must(`ip link set ${card.wire} down`)
    await expect.poll(states, { timeout: 30_000 }).toEqual(['DOWN', 'DOWN', 'DOWN'])
    expect(await vm.must(`ethtool ${card.pf}`)).toMatch(/Speed: Unknown![\s\S]*Link detected: no/)
    await vm.must(`ip link set ${card.wire} up`)
    await expect.poll(states, { timeout: 30_000 }).toEqual(['UP', 'UP', 'UP'])
  })

  test('of VFs return from a namespace that dies, with their address', async () => {
    await newPod(vm, 'short')
    const { address } = (await links()).simpf0vf0 as Link
    await vm.must('ip link set simpf0vf0 netns short name net1; ip -n short link set net1 up mtu 1400')
    await deletePod(vm, 'short')
    await vm.must('until [ -e /sys/class/net/net1 ]; do sleep 0.05; done')
    expect((await links()).net1?.address).toBe(address)
    await vm.must('ip link set net1 name simpf0vf0')
  })

  test('of VFs vanish from a namespace when SR-IOV is turned off', async () => {
    await newPod(vm, 'short')
    await vm.must('ip link set simpf0vf0 netns short name net1')
    await vm.must(`echo 0 >/sys/class/net/${card.pf}/device/sriov_numvfs`)
    expect(await vm.must('ip -n short -br link')).not.toMatch(/net1/)
    await deletePod(vm, 'short')
  })
})

describe('representors of two cards in switchdev mode', () => {
  beforeAll(async () => {
    for (const each of [card, second]) {
      await setVfs(vm, each, 12)
      await setMode(vm, each, 'switchdev')
    }
  })
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
    for (const [at, each] of [card, second].entries()) {
      const uplink = links.find(({ name }) => name === each.pf)
      if (uplink === undefined) throw new Error(`no ${each.pf}`)
      expect(uplink.physPortName).toMatch(/^p\d+$/)
      const found = [0, 1, 9, 10, 11, 12].map((vf) => representorOf(links, uplink, vf, each.pci)?.name)
      expect(found).toEqual([0, 1, 9, 10, 11].map((vf) => `simpf${at}rep${vf}`).concat([undefined as never]))
    }
  })
})
