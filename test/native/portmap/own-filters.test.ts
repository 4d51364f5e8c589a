// The hook for filters that we make on an interface, and take away when nobody has filters there. Which filters are ours is in
// test/lab/portmap/own-filters.
// needs: ifb, clsact, u32
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, json } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const on = 'own-clsact'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, on)
  await vm.must(`ip -n ${on} link add d2 up type ifb`)
})
afterAll(() => deletePod(vm, on))

test('clsact goes with the last filter, and never with one of somebody else', async () => {
  const link = { side: 'host', link: 'd2' } as const
  const ingress = async () => (await vm.must(`tc -n ${on} qdisc show dev d2`)).includes('clsact')
  const index = (await json<{ ifindex: number }>(vm, `ip -n ${on} -j link show dev d2`))[0]?.ifindex ?? 0
  const [, twice] = await drive(
    vm,
    [apply({ do: 'clsact.add', ...link }), apply({ do: 'clsact.add', ...link })],
    { on },
  )
  expect(twice).toEqual([{ existed: true }])
  await vm.must(
    `tc -n ${on} filter add dev d2 egress protocol ip prio 1 u32 match ip protocol 6 0xff flowid 1:1`,
  )
  const [has] = await drive(
    vm,
    [ask('hasIngress', index), ask('dropEmptyClsact', index), apply({ do: 'clsact.del', ...link })],
    { on },
  )
  expect([has, await ingress()]).toEqual([true, true])
  await vm.must(`tc -n ${on} filter del dev d2 egress prio 1`)
  const [, none] = await drive(
    vm,
    [ask('dropEmptyClsact', index), ask('hasIngress', index), ask('dropEmptyClsact', index)],
    { on },
  )
  expect([none, await ingress()]).toEqual([false, false])
})
