// Counters of a card as metrics have them: 128 VFs by their PF in one answer, 160 by their representors, the uplink, and the wire. The
// judge is ip.
import { beforeAll, describe, expect, test } from 'vitest'
import { type Card, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { drive, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card

useSimnic({ totalVfs: 160 }, async (machine, cards) => {
  vm = machine
  ;[card] = cards as [Card]
})

type Stats = Readonly<Record<string, number>>
interface Link {
  readonly stats64: { readonly rx: Stats; readonly tx: Stats }
  readonly vfinfo_list?: readonly { readonly stats: { readonly rx: Stats; readonly tx: Stats } }[]
}

async function shown(name: string): Promise<Link> {
  const [link] = JSON.parse(await vm.must(`ip -d -s -j link show dev ${name}`)) as Link[]
  if (link === undefined) throw new RangeError(`no interface ${name}`)
  return link
}

const looked = async () => (await drive(vm, [probe('trafficOf')]))[0]
/** ip names what a VF has sent `tx_packets`, and what an interface has sent `packets`. */
const counts = ({ rx, tx }: Link['stats64']) => ({
  receive: { packets: BigInt(rx.packets ?? -1), bytes: BigInt(rx.bytes ?? -1) },
  transmit: {
    packets: BigInt(tx.packets ?? tx.tx_packets ?? -1),
    bytes: BigInt(tx.bytes ?? tx.tx_bytes ?? -1),
  },
})
const swapped = ({ rx, tx }: Link['stats64']) => counts({ rx: tx, tx: rx })

/** The PCI address of a VF. */
async function pciOf(vf: number): Promise<string> {
  return (await vm.must(`basename $(readlink /sys/class/net/${card.pf}/device/virtfn${vf})`)).trim()
}

/** Has VFs say something to everybody. Afterwards all is silent, so that two looks see the same. */
async function talk(...vfs: readonly number[]): Promise<void> {
  const names = vfs.map((vf) => `${card.pf}vf${vf}`)
  await vm.must(`set -e
    for dev in ${card.pf} ${card.wire} ${names.join(' ')}; do
      echo 0 >/proc/sys/net/ipv6/conf/$dev/accept_dad
      ip link set $dev up
    done
    for dev in ${names.join(' ')}; do ping -q -6 -c 2 -i 0.2 -W 1 -I $dev ff02::1 >/dev/null || true; done
    for dev in ${names.join(' ')} ${card.wire} ${card.pf}; do ip link set $dev down; done`)
}

describe('128 VFs', () => {
  beforeAll(async () => {
    await setVfs(vm, card, 128)
    await talk(3, 127)
  }, 240_000)

  test('their PF tells of each of them, as ip does', async () => {
    const { vfs } = await looked()
    const list = (await shown(card.pf)).vfinfo_list ?? []
    expect(list).toHaveLength(128)
    expect(vfs.size).toBe(128)
    const own = await Promise.all([3, 127, 64].map(async (vf) => vfs.get(await pciOf(vf))))
    for (const [at, vf] of [3, 127, 64].entries())
      expect(own[at]).toMatchObject(counts(list[vf]?.stats ?? { rx: {}, tx: {} }))
    expect(own[0]?.transmit.packets).toBeGreaterThan(0n)
    expect(own[1]?.receive.packets).toBeGreaterThan(0n)
  })

  test('the uplink counts as ip shows it, and the wire as its other end does', async () => {
    const { pfs, wires } = await looked()
    expect(pfs.get(card.pci)).toMatchObject(counts((await shown(card.pf)).stats64))
    const wire = wires.get(card.pci)
    expect(wire).toMatchObject(swapped((await shown(card.wire)).stats64))
    expect(wire?.transmit.packets).toBeGreaterThan(0n)
  })
})

describe('160 VFs, more than a list with statistics could hold', () => {
  beforeAll(async () => {
    await setVfs(vm, card, 160)
    await setMode(vm, card, 'switchdev')
    await vm.must(`ip link set ${card.pf} up; ip link set ${card.pf}rep9 up`)
    await talk(9)
    await vm.must(`ip link set ${card.pf}rep9 down`)
  }, 240_000)

  test('representors tell, with the directions turned round', async () => {
    const { vfs } = await looked()
    const own = vfs.get(await pciOf(9))
    expect(vfs.size).toBe(160)
    expect(own).toMatchObject(swapped((await shown(`${card.pf}rep9`)).stats64))
    expect(own?.transmit.packets).toBeGreaterThan(0n)
  })
})
