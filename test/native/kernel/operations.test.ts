// Operations on a real kernel: each does what the command line that describes it does, and its inverse takes it back.
// Two namespaces that look the same, ours and one for ip and tc; what they look like is said by ip, tc and sysfs. Steering rules are
// in test/lab/kernel/steer.
// needs: ifb, macvlan, clsact
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { drive, run } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { commandLine as lineOf } from '../../../src/ops/command-line.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const [ours, theirs] = ['kernel-ours', 'kernel-theirs'] as const
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  for (const name of [ours, theirs]) {
    await newPod(vm, name)
    // Everything that the kernel would choose by itself is given: the two have to be equal.
    await vm.must(`
      ip netns exec ${name} sh -c 'for key in all default; do echo 1 >/proc/sys/net/ipv6/conf/$key/addr_gen_mode; done'
      ip -n ${name} -b - <<END
      link add lower index 9 address 02:00:00:00:00:09 up type ifb
      link add d0 link lower index 10 address 02:00:00:00:00:01 type macvlan mode bridge
      link set d0 up
      link add d1 index 11 address 02:00:00:00:00:02 up type ifb
      address add 10.5.0.1/24 dev d1
      address add fd05::1/64 dev d1 nodad
END
      # An interface on top of another says late that it has a carrier.
      until ip netns exec ${name} grep -q up /sys/class/net/d0/operstate; do sleep 0.02; done
      ip -n ${name} link set d0 down`)
  }
})
afterAll(async () => {
  for (const name of [ours, theirs]) await deletePod(vm, name)
})

const side = 'host'
const altname = { side, name: 'd0', altname: 'longer-than-fifteen-bytes' } as const

const ops: readonly Op[] = [
  {
    do: 'link.set',
    side,
    name: 'd0',
    set: { mac: '02:00:00:00:00:0f', mtu: 1400, up: true },
    was: { mac: '02:00:00:00:00:01', mtu: 1500, up: false },
  },
  { do: 'altname.add', ...altname },
  { do: 'addr.add', side, link: 'd0', address: '10.1.0.5/24' },
  { do: 'addr.add', side, link: 'd0', address: '10.1.7.5/31' },
  { do: 'addr.add', side, link: 'd0', address: '10.1.8.5/32' },
  { do: 'addr.add', side, link: 'd0', address: 'fd00:1::5/64' },
  { do: 'addr.add', side, link: 'd0', address: 'fd00:2::5/128' },
  {
    do: 'route.add',
    side,
    route: { dst: '10.9.0.0/16', link: 'd0', gw: '10.1.0.254', metric: 50, mtu: 1300, advmss: 1200 },
  },
  { do: 'route.add', side, route: { dst: '10.1.0.0/24', link: 'd0', table: 0x76660001, src: '10.1.0.5' } },
  { do: 'route.add', side, route: { dst: '0.0.0.0/0', link: 'd0', gw: '10.1.0.254', table: 0x76660001 } },
  {
    do: 'route.add',
    side,
    route: { dst: '10.10.0.0/16', link: 'd0', scope: 200, gw: '10.1.0.254', table: 100 },
  },
  { do: 'route.add', side, route: { dst: '10.11.0.1/32', link: 'd0', table: 256 } },
  { do: 'route.add', side, route: { dst: 'fd09::/16', link: 'd0', gw: 'fd00:1::fe', metric: 50, mtu: 1300 } },
  { do: 'route.add', side, route: { dst: '::/0', link: 'd0', gw: 'fd00:1::fe', table: 0x76660001 } },
  { do: 'route.add', side, route: { dst: 'fd00:1::/64', link: 'd0', table: 0x76660001 } },
  { do: 'rule.add', side, rule: { src: '10.1.0.5', table: 0x76660001, priority: 30_000 } },
  { do: 'rule.add', side, rule: { src: 'fd00:1::5', table: 0x76660001, priority: 30_000 } },
  { do: 'sysctl.set', side, key: 'net/ipv6/conf/d0/optimistic_dad', value: '1', was: '0' },
  { do: 'clsact.add', side, link: 'd1' },
]

/** The line, with what it leaves out because only a kernel's listing shows it. */
function fullLine(op: Op): string {
  const line = lineOf(op)
  if (op.do === 'addr.add' && /\.\d+\/([12]?\d|30)$/.test(op.address)) return `${line} broadcast +`
  return op.do === 'rule.add' ? `${line} protocol static` : line
}

test('operations do what their command lines do, and their inverses take all of it back', async () => {
  const before = await look(ours)
  const outcomes = await drive(vm, ops.map(run), { on: ours })
  await vm.must(`ip netns exec ${theirs} sh -e -c '${ops.map(fullLine).join('\n')}'`)
  const after = await look(ours)
  expect(diffSnapshot(after, await look(theirs))).toEqual([])
  expect(diffSnapshot(before, after).length).toBeGreaterThan(ops.length)
  expect(outcomes).toEqual(ops.map(() => ({})))

  const inverses = ops.flatMap((op) => invert(op) ?? []).reverse()
  expect(inverses).toHaveLength(ops.length)
  await drive(vm, inverses.map(run), { on: ours })
  expect(diffSnapshot(before, await look(ours))).toEqual([])
})

function look(namespace: string): Promise<Snapshot> {
  return snapshot(vm, { namespace })
}
