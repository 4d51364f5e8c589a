// Moving a VF between namespaces: whole, or not at all, whatever the kernel has done when it refuses. The judge is ip.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import type { Op } from '../../src/ops/op.ts'
import { apply, drive, json, run, tryDrive } from '../support/driver.ts'
import { lab } from '../support/lab.ts'
import { deletePod, newPod, type Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

const pod = 'kernel-move'
const netns = `/run/netns/${pod}`
let vm: Lab
let net: Topology
let vf: string

beforeAll(async () => {
  vm = await lab()
  net = await makeVfs(vm, 1)
  vf = net.vfs[0]?.netdev ?? ''
  await newPod(vm, pod)
  await vm.must(`ip -n ${pod} link add d0 type dummy; ip -n ${pod} link property add dev d0 altname inside`)
})
afterEach(async () => {
  await vm.must(`if ip -n ${pod} link show dev net1 >/dev/null 2>&1; then ip -n ${pod} link set net1 down name ${vf} netns 1; fi
    ip link set ${vf} down; for name in net1 other; do ip link property del dev ${vf} altname $name 2>/dev/null || true; done`)
})
afterAll(async () => {
  await deletePod(vm, pod)
  await removeVfs(vm, net)
})

const toPod = (newName: string, name = vf): Op => ({
  do: 'link.move',
  from: 'host',
  name,
  to: 'pod',
  newName,
})
const toHost = (newName: string): Op => ({ do: 'link.move', from: 'pod', name: 'net1', to: 'host', newName })

/**
 * All interfaces of both sides, without numbers, which a move may change, qdiscs, which depend on having been up, and
 * carrier: when a VF sees the link of its PF is the driver's affair.
 */
async function state(): Promise<unknown> {
  const both = await Promise.all([json(vm, 'ip -d -j link'), json(vm, `ip -n ${pod} -d -j link`)])
  return both.map(
    (links) =>
      new Map(
        links.map(({ ifindex: _, qdisc: __, operstate: ___, flags, ...link }) => {
          const administrative = (flags as string[]).filter((flag) => !/CARRIER|LOWER_UP/.test(flag))
          return [String(link.ifname), { ...link, flags: administrative }] as const
        }),
      ),
  )
}

test('moves and renames in one request, with all that belongs to it, and back', async () => {
  await vm.must(`ip link property add dev ${vf} altname other; ip link set ${vf} mtu 1400`)
  const before = await state()
  const [was] = await json(vm, `ip -d -j link show dev ${vf}`)
  await drive(vm, [run(toPod('net1'))], { netns })
  const [moved] = await json(vm, `ip -n ${pod} -d -j link show dev net1`)
  expect(moved).toMatchObject({
    address: was?.address,
    mtu: 1400,
    altnames: ['other'],
    parentdev: net.vfs[0]?.pci,
  })
  expect((await vm.sh(`ip link show dev ${vf}`)).code).toBe(1)
  await drive(vm, [run(toHost(vf))], { netns })
  expect(await state()).toEqual(before)
  await vm.must(`ip link set ${vf} mtu 1500`)
})

test.each([
  ['another interface has in the pod', 'd0', 'true'],
  ['another interface has as altname in the pod', 'inside', 'true'],
  ['the VF itself has as altname', 'net1', 'ip link property add dev VF altname net1'],
  [
    'nothing has, where an altname of the VF is taken',
    'net1',
    'ip link property add dev VF altname other; ip -n kernel-move link property add dev d0 altname other',
  ],
])('leaves the VF as it was when its new name is one that %s', async (_, name, prepare) => {
  for (const flag of ['down', 'up']) {
    await vm.must(`${prepare.replaceAll('VF', vf)}; ip link set ${vf} ${flag}`)
    await settled(flag)
    const before = await state()
    const [result] = await tryDrive(vm, [run(toPod(name))], { netns })
    expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
    await settled(flag)
    expect(await state()).toEqual(before)
    await vm.must(
      `ip link property del dev ${vf} altname net1 || ip link property del dev ${vf} altname other || true
      ip -n ${pod} link property del dev d0 altname other || true`,
    )
  }
})

test('leaves it in the pod when its name on the host is taken', async () => {
  await drive(
    vm,
    [run(toPod('net1')), run({ do: 'link.set', side: 'pod', name: 'net1', set: { up: true }, was: {} })],
    { netns },
  )
  await vm.must(`ip link add taken type dummy; ip link property add dev taken altname also`)
  const before = await state()
  for (const name of ['taken', 'also']) {
    const [result] = await tryDrive(vm, [run(toHost(name))], { netns })
    expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
    expect(await state()).toEqual(before)
  }
  await vm.must('ip link del taken')
})

test('never makes a name out of a pattern', async () => {
  const before = await state()
  const names = ['net%d', '%', 'a'.repeat(16), 'a/b', 'a b', '..', '']
  const results = await tryDrive(
    vm,
    names.map((name) => run(toPod(name))),
    { netns },
  )
  expect(results.map(({ error }) => error?.message)).toEqual(
    names.map((name) => `link.move: EINVAL: "${name}" is no interface name`),
  )
  expect(await state()).toEqual(before)
})

test('brings an interface without hardware back as well', async () => {
  await vm.must('ip link add virtual type dummy')
  const before = await state()
  const [result] = await tryDrive(vm, [run(toPod('d0', 'virtual'))], { netns })
  expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
  expect(await state()).toEqual(before)
  await vm.must('ip link del virtual')
})

test('is taken back with the rest of its transaction', async () => {
  const before = await state()
  const set: Op = { do: 'link.set', side: 'pod', name: 'net1', set: { mtu: 1400 }, was: { mtu: 1500 } }
  const refused: Op = { ...set, set: { mtu: 100_000 } }
  const [result] = await tryDrive(vm, [apply(toPod('net1'), set, refused)], { netns })
  expect(result.error).toMatchObject({ stuck: [], cause: { code: 'EINVAL' } })
  expect(await state()).toEqual(before)
})

/** Waits until the VF is up or down, as its flag says. */
async function settled(flag: string): Promise<void> {
  const test = flag === 'up' ? '' : '! '
  await vm.must(`until ${test}ip link show dev ${vf} | grep -q '[<,]UP[,>]'; do sleep 0.05; done`)
}
