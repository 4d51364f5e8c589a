// A card without a mode (profile sfc, as EF100's driver says): representors come with the VFs, and their switch id is the uplink's port id.
import { expect, test } from 'vitest'
import { type Card, refusal, setVfs } from '../../../hack/lab/bed/simnic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card

useSimnic({ totalVfs: 2, driverName: 'sfc_ef100', profile: 'sfc' }, async (machine, cards) => {
  vm = machine
  ;[card] = cards as [Card]
})

/** What sysfs tells of an interface; empty for what its driver does not tell. */
const facts = (name: string) =>
  vm.must(
    `cd /sys/class/net/${name}; for file in phys_switch_id phys_port_id phys_port_name; do echo "$file $(cat $file 2>/dev/null)"; done
     [ -e device ] && basename "$(readlink device)" || echo no parent`,
  )

test('devlink tells no mode and sets none', async () => {
  expect(await vm.must(`devlink dev eswitch show ${card.devlink}`)).not.toContain('mode')
  for (const mode of ['legacy', 'switchdev'])
    expect(await refusal(vm, `devlink dev eswitch set ${card.devlink} mode ${mode}`)).toMatch(
      /Operation not supported/,
    )
})

test('representors come and go with the VFs; the PF says nothing of a VF', async () => {
  const representors = () => vm.must(`ls /sys/class/net | grep ^${card.pf}rep || true`)
  expect(await representors()).toBe('')
  await setVfs(vm, card, 2)
  expect((await representors()).trim().split('\n')).toEqual([`${card.pf}rep0`, `${card.pf}rep1`])
  const [pf, rep] = [await facts(card.pf), await facts(`${card.pf}rep1`)]
  const id = /^phys_port_id ([0-9a-f]+)$/m.exec(pf)?.[1]
  expect(id).toBeDefined()
  expect(pf).toBe(`phys_switch_id \nphys_port_id ${id}\nphys_port_name p0\n${card.pci}\n`)
  expect(rep).toBe(`phys_switch_id ${id}\nphys_port_id \nphys_port_name p0pf0vf1\nno parent\n`)
  expect(await vm.must(`ip link show ${card.pf}`)).not.toContain('vf 0')
  expect(await refusal(vm, `ip link set ${card.pf} vf 0 mac 02:00:00:00:00:05`)).toContain(
    'Operation not supported',
  )
  await setVfs(vm, card, 0)
  expect(await representors()).toBe('')
})
