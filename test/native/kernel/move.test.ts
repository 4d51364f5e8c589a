// Moving an interface between namespaces: whole, or not at all, whatever the kernel has done when it refuses. The judge is ip.
// A VF moves in test/lab/kernel/vf.
// needs: veth, ifb
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, drive, json, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import type { Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const pod = 'kernel-move'
const netns = `/run/netns/${pod}`
let vm: Lab
const device = 'moved'

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, pod)
  await vm.must(
    `ip link add ${device} type veth peer name far; ip -n ${pod} link add d0 type ifb; ip -n ${pod} link property add dev d0 altname inside`,
  )
})
afterEach(async () => {
  await vm.must(`if ip -n ${pod} link show dev net1 >/dev/null 2>&1; then ip -n ${pod} link set net1 down name ${device} netns 1; fi
    ip link set ${device} down; for name in net1 other; do ip link property del dev ${device} altname $name 2>/dev/null || true; done`)
})
afterAll(async () => {
  await deletePod(vm, pod)
  await vm.must(`ip link del ${device}`)
})

const toPod = (newName: string, name = device): Op => ({
  do: 'link.move',
  from: 'host',
  name,
  to: 'pod',
  newName,
})
const toHost = (newName: string): Op => ({ do: 'link.move', from: 'pod', name: 'net1', to: 'host', newName })

/**
 * All interfaces of both sides, without numbers, which a move may change, qdiscs, which depend on having been up, and
 * carrier, which a worker of the kernel finds out later.
 */
async function state(): Promise<unknown> {
  const both = await Promise.all([json(vm, 'ip -d -j link'), json(vm, `ip -n ${pod} -d -j link`)])
  return both.map(
    (links) =>
      new Map(
        links.map(({ ifindex: _, qdisc: __, operstate: ___, flags, ...link }) => {
          const administrative = (flags as string[]).filter((flag) => !/CARRIER|LOWER_UP|M-DOWN/.test(flag))
          return [String(link.ifname), { ...link, flags: administrative }] as const
        }),
      ),
  )
}

test('moves and renames in one request, with all that belongs to it, and back', async () => {
  await vm.must(`ip link property add dev ${device} altname other; ip link set ${device} mtu 1400`)
  const before = await state()
  const [was] = await json(vm, `ip -d -j link show dev ${device}`)
  await drive(vm, [run(toPod('net1'))], { netns })
  const [moved] = await json(vm, `ip -n ${pod} -d -j link show dev net1`)
  expect(moved).toMatchObject({
    address: was?.address,
    mtu: 1400,
    altnames: ['other'],
  })
  expect((await vm.sh(`ip link show dev ${device}`)).code).toBe(1)
  await drive(vm, [run(toHost(device))], { netns })
  expect(await state()).toEqual(before)
  await vm.must(`ip link set ${device} mtu 1500`)
})

test.each([
  ['another interface has in the pod', 'd0', 'true'],
  ['another interface has as altname in the pod', 'inside', 'true'],
  ['the interface itself has as altname', 'net1', 'ip link property add dev DEVICE altname net1'],
  [
    'nothing has, where an altname of the interface is taken',
    'net1',
    'ip link property add dev DEVICE altname other; ip -n kernel-move link property add dev d0 altname other',
  ],
])('leaves the interface as it was when its new name is one that %s', async (_, name, prepare) => {
  for (const flag of ['down', 'up']) {
    await vm.must(`${prepare.replaceAll('DEVICE', device)}; ip link set ${device} ${flag}`)
    await settled(flag)
    const before = await state()
    const [result] = await tryDrive(vm, [run(toPod(name))], { netns })
    expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
    await settled(flag)
    expect(await state()).toEqual(before)
    await vm.must(
      `ip link property del dev ${device} altname net1 || ip link property del dev ${device} altname other || true
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
  await vm.must(`ip link add taken type ifb; ip link property add dev taken altname also`)
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
  const allowed = 'must be 1 to 15 characters without space, "/", ":" and "%", and not "." or ".."'
  expect(results.map(({ error }) => error?.message)).toEqual(
    names.map((name) => `link.move: EINVAL: "${name}" is no interface name; ${allowed}`),
  )
  expect(await state()).toEqual(before)
})

test('brings an interface without hardware back as well', async () => {
  await vm.must('ip link add virtual type ifb')
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

/** Waits until the interface is up or down, as its flag says. */
async function settled(flag: string): Promise<void> {
  const test = flag === 'up' ? '' : '! '
  await vm.must(`until ${test}ip link show dev ${device} | grep -q '[<,]UP[,>]'; do sleep 0.05; done`)
}
