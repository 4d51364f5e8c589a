// Settings of an interface as a port: of a bond, and of a bridge that filters VLANs. The judges are ip and bridge.
// test/native/kernel/link.test.ts has the rest of link.set.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, drive, json, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { LinkAttributes, Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const on = 'kernel-link'
const options = { on }
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.must('modprobe -a bridge dummy; modprobe bonding max_bonds=0')
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
      link add d1 index 51 address 02:00:00:00:00:02 type dummy
      link add br0 index 52 address 02:00:00:00:00:03 type bridge vlan_filtering 1
      link add bond0 index 53 address 02:00:00:00:00:04 type bond
END`)
})
afterAll(async () => {
  await deletePod(vm, on)
  await vm.must('modprobe -r bonding')
})
beforeEach(() =>
  vm.must(`ip -n ${on} -force -b - 2>/dev/null <<END || true
      link del d0
      link add d0 index 50 address 02:00:00:00:00:01 type dummy
END`),
)

const d0 = { do: 'link.set', side: 'host', name: 'd0' } as const
const was: LinkAttributes = {
  ...{ mac: '02:00:00:00:00:01', mtu: 1500, up: false, alias: '', promisc: false, allmulti: false },
  ...{ txqlen: 1000, master: '' },
}

describe('link.set', () => {
  test('takes an interface down, into a bond and up again in one operation', async () => {
    await drive(vm, [run({ ...d0, set: { master: 'bond0', up: true }, was })], options)
    const [shown] = await json(vm, `ip -n ${on} -d -j link show dev d0`)
    expect(shown).toMatchObject({
      master: 'bond0',
      flags: expect.arrayContaining(['UP', 'SLAVE']),
    })
  })
})

describe('VLANs of a bridge port', () => {
  const vlans = async (name: string) => {
    const [port] = await json<{ vlans: unknown[] }>(vm, `bridge -n ${on} -j vlan show dev ${name}`)
    return port?.vlans ?? []
  }
  const change = (verb: 'add' | 'del', vid: number, flags: 'pvid' | '' = ''): Op => {
    const tagged = { pvid: flags === 'pvid', untagged: flags === 'pvid' }
    return { do: `bridge.vlan.${verb}`, side: 'host', link: 'd0', vlan: { vid, ...tagged } }
  }

  test('come and go as bridge shows them, and facts say the same', async () => {
    await drive(vm, [run({ ...d0, set: { master: 'br0' }, was })], options)
    expect(await vlans('d0')).toEqual([{ vlan: 1, flags: ['PVID', 'Egress Untagged'] }])
    const ops = [change('add', 7), change('del', 1, 'pvid'), change('add', 100, 'pvid'), change('add', 8)]
    const results = await drive(
      vm,
      [...ops.map(run), ask('bridgeVlans', 'host', 50), ask('bridgeVlans', 'host', 51)],
      options,
    )
    expect(await vlans('d0')).toEqual([
      { vlan: 7 },
      { vlan: 8 },
      { vlan: 100, flags: ['PVID', 'Egress Untagged'] },
    ])
    expect(results.slice(-2)).toEqual([
      [
        { vid: 7, pvid: false, untagged: false },
        { vid: 8, pvid: false, untagged: false },
        { vid: 100, pvid: true, untagged: true },
      ],
      [],
    ])
    const inverses = ops.map((op) => invert(op) as Op).reverse()
    await drive(vm, inverses.map(run), options)
    expect(await vlans('d0')).toEqual([{ vlan: 1, flags: ['PVID', 'Egress Untagged'] }])
  })

  test('come and go all 4094 at once', async () => {
    await vm.must(`ip -n ${on} link set d0 master br0; bridge -n ${on} vlan add dev d0 vid 2-4094`)
    const [list] = await drive(vm, [ask('bridgeVlans', 'host', 50)], options)
    expect(list.map(({ vid }) => vid)).toEqual(Array.from({ length: 4094 }, (_, at) => at + 1))
  })

  test('are refused to what is no port, and outside 1-4094; one that is not there is gone', async () => {
    await vm.must(`ip -n ${on} link set d0 master br0`)
    const results = await tryDrive(
      vm,
      [
        run({
          do: 'bridge.vlan.add',
          side: 'host',
          link: 'd1',
          vlan: { vid: 7, pvid: false, untagged: false },
        }),
        run(change('add', 4095)),
        run(change('add', 0)),
        run(change('del', 9)),
      ],
      options,
    )
    expect(results.map(({ error }) => error?.code)).toEqual(['EOPNOTSUPP', 'EINVAL', 'EINVAL', undefined])
  })
})
