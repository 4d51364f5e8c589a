// CHECK's look at the work of operations: nothing differs right after they ran, and each change by ip or tc is found.
// needs: ifb, tbf
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { ask, drive, run } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import type { Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const on = 'verify-host'
const side = 'host'
const cookie = '76660102aabbccdd0011223344556677'
const route = { dst: '10.9.0.0/16', gw: '10.5.0.254', link: 'd0', table: 100 }
const rate = { bytesPerSecond: 1_000_000, burst: 20_000 }
let vm: Lab

/** Each operation with a command that spoils its work, and what CHECK finds then. */
const cases: readonly (readonly [op: Op, spoil: string, found: string])[] = [
  [
    { do: 'link.set', side, name: 'd0', set: { mtu: 1400, up: true }, was: { mtu: 1500, up: false } },
    'ip link set d0 mtu 1300',
    'MTU 1300 instead of 1400',
  ],
  [
    { do: 'altname.add', side, name: 'd0', altname: 'other0' },
    'ip link property del dev d0 altname other0',
    'no such name',
  ],
  [
    { do: 'addr.add', side, link: 'd0', address: '10.5.0.2/32' },
    'ip address del 10.5.0.2/32 dev d0',
    'no such address',
  ],
  [{ do: 'route.add', side, route }, 'ip route del 10.9.0.0/16 table 100', 'no such route'],
  [
    { do: 'rule.add', side, rule: { src: '10.5.0.1', table: 100, priority: 30_000 } },
    'ip rule del priority 30000',
    'no such rule',
  ],
  [
    { do: 'sysctl.set', side, key: 'net/ipv4/conf/d0/rp_filter', value: '2', was: '0' },
    'echo 1 >/proc/sys/net/ipv4/conf/d0/rp_filter',
    'net/ipv4/conf/d0/rp_filter=1',
  ],
  [{ do: 'clsact.add', side, link: 'd0' }, 'tc qdisc del dev d0 clsact', 'neither clsact nor ingress'],
  [
    { do: 'ifb.add', side, name: 'ifb7', mac: '76:66:00:00:00:07', mtu: 1500 },
    'ip link set ifb7 down',
    '"ifb7" is down',
  ],
  [
    { do: 'shaper.add', shaper: { side, link: 'd1', ...rate, limit: 40_000, cookie } },
    'tc qdisc del dev d1 root',
    '"d1" has no shaper of ours',
  ],
]
const done = cases.map(([op]) => ({ op }))
const look = async () => (await drive(vm, [ask('verify', done)], { on }))[0]

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
link add d0 type ifb
address add 10.5.0.1/24 dev d0
link set d0 up
link add d1 up type ifb
END`)
  await drive(
    vm,
    cases.map(([op]) => run(op)),
    { on },
  )
})
afterAll(async () => {
  await deletePod(vm, on)
})

test('nothing differs right after the operations', async () => {
  expect(await look()).toEqual([])
})

test.each(cases.map(([op, spoil, found], at) => [op.do, spoil, found, at] as const))(
  '%s: "%s" is found',
  async (_, spoil, found, at) => {
    await vm.must(`ip netns exec ${on} sh -c '${spoil}'`)
    expect((await look()).filter((one) => one.at === at).map((one) => one.found)).toEqual([found])
  },
)

test('operations that leave nothing to look at differ in nothing', async () => {
  const ops: Op[] = [
    { do: 'neigh.use', side, link: 'd0', address: '10.5.0.9' },
    { do: 'addr.del', side, link: 'd0', address: '10.5.0.1/24' },
  ]
  const [found] = await drive(
    vm,
    [
      ask(
        'verify',
        ops.map((op) => ({ op })),
      ),
    ],
    { on },
  )
  expect(found).toEqual([])
})
