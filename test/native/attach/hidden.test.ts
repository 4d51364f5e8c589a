// A pod hides a device of software, or puts another one in its place. It can choose number, name, MAC and namespace, but
// not the end that the device is joined to outside of the pod. test/lab/attach/hidden.test.ts has VFs.
// needs: veth, ifb, macvlan
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AttachCalls, attachCalls, BED_FOLDER, FORGET_CALLS } from '../../support/attach-calls.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const [pod, child, third, next] = ['hidden-pod', 'hidden-child', 'hidden-third', 'hidden-next']
const [index, mac, lowIndex] = [4_080, '02:00:00:00:70:11', 4_180]
const ACT = `${BED_FOLDER}/act`

/** An IPAM plugin that is slow: the pod acts meanwhile. Then it has no address to give, or one where the file `lease` is. */
const SLOW = `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" = ADD ] || exit 0
sh -e ${ACT} >${ACT}.log 2>&1 || { cat ${ACT}.log >&2; exit 2; }
[ ! -e ${BED_FOLDER}/lease ] || { echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.9/24"}]}'; exit 0; }
echo '{"cniVersion":"1.0.0","code":100,"msg":"no address is free"}'; exit 1
`

let lab: Lab
let calls: AttachCalls

beforeAll(async () => {
  lab = await sharedLab()
  await lab.load('ifb numifbs=0')
  calls = await attachCalls(lab)
  await lab.writeFile(`${BED_FOLDER}/slow`, SLOW, 0o755)
  await newPod(lab, third)
  await newPod(lab, next)
})
afterAll(async () => {
  await deletePod(lab, third)
  await deletePod(lab, next)
})
afterEach(async () => {
  await lab.must(`for name in ${pod} ${child}; do [ ! -e /run/netns/$name ] || ip netns del $name; done
    for name in hd0 vf-if${index} low far own; do ip link del $name 2>/dev/null || true; done
    ip -n ${third} link del far 2>/dev/null || true
    rm -f ${ACT} ${BED_FOLDER}/lease`)
  await lab.must(FORGET_CALLS)
})

const plugin = (more: Record<string, unknown> = {}) => ({ type: 'vf-attach', device: 'hd0', ...more })
/** The words of a call that must fail. */
const failed: AttachCalls['refused'] = async (...parameters) => {
  const result = await calls.call(...parameters)
  expect(result).toMatchObject({ code: 1 })
  return errorOf(result)
}
const told = async (where: string, name: string) =>
  (JSON.parse(await lab.must(`ip ${where} -d -j link show dev ${name}`)) as Record<string, unknown>[])[0] ??
  {}
/** The pod's own wire, which looks like the device. */
const alike = (more = '') =>
  `ip -n ${pod} link add net1 ${more} address ${mac} type veth peer name evil; ip -n ${pod} link set net1 up; ip -n ${pod} link set evil up`
const hide = `ip -n ${pod} link set net1 netns ${child}`
const isThere = (where: string, name: string) => lab.must(`ip ${where} link show dev ${name}`)
const isAbsent = (where: string, name: string) => lab.must(`! ip ${where} link show dev ${name} 2>/dev/null`)

/** A veth whose other end is on the host, or in a third namespace. */
async function makePair(place: string): Promise<void> {
  await newPod(lab, pod)
  await newPod(lab, child)
  await lab.must(`ip link add hd0 index ${index} address ${mac} type veth peer name far ${place === 'host' ? '' : `netns ${third}`}
    ip link set hd0 up; ip ${at(place)} link set far up`)
}

const at = (place: string) => (place === 'host' ? '' : `-n ${third}`)

/** The device, and no other interface, is on the host as `hd0`. */
async function isHome(place: string): Promise<void> {
  const home = await told('', 'hd0')
  expect(home).toMatchObject({ address: mac, ifindex: index })
  const far = await told(at(place), 'far')
  if (place === 'host') expect([home.link, far.link]).toEqual(['far', 'hd0'])
  else expect([home.link_index, far.link_index]).toEqual([far.ifindex, index])
}

describe.each(['host', 'third'])('a veth whose other end is in the %s namespace', (place) => {
  test('is missed by CHECK behind one with its number, name and MAC, which DEL leaves alone, and fails', async () => {
    await makePair(place)
    const prevResult = await calls.add(plugin(), pod)
    const { ifindex } = await told(`-n ${pod}`, 'net1')
    await lab.must(`${hide}; ${alike(`index ${ifindex}`)}`)
    const stranger = await told(`-n ${pod}`, 'net1')
    const check = await failed('CHECK', plugin(), pod, { config: { prevResult } })
    expect(check).toMatchObject({ code: 104, msg: expect.stringContaining('is another one') })
    const del = await failed('DEL', plugin(), pod)
    expect(del.code).toBe(103)
    expect(del.details).toMatch(/in a namespace that the host has the number \d+ for, as number \d+ there/)
    expect(await told(`-n ${pod}`, 'net1')).toEqual(stranger)
    await isAbsent('', 'hd0')
    await calls.recordOf(pod)
    // Another name and another number there: it is the device all the same.
    await lab.must(`ip -n ${child} link set net1 name back; ip -n ${child} link set back address 02:00:00:00:70:99
      ip -n ${child} link set back netns ${pod}`)
    await calls.del(plugin(), pod)
    await isHome(place)
    expect(await told(`-n ${pod}`, 'net1')).toEqual(stranger)
  })

  test('comes home with its own number, which no pod chooses, from one that has given it another', async () => {
    await makePair(place)
    await calls.add(plugin(), pod)
    const { ifindex } = await told(`-n ${pod}`, 'net1')
    await lab.must(`${hide}; ip -n ${pod} link add squat index ${ifindex} type ifb
      ip -n ${child} link set net1 netns ${pod}`)
    expect((await told(`-n ${pod}`, 'net1')).ifindex).not.toBe(ifindex)
    await calls.del(plugin(), pod)
    await isHome(place)
    await isThere(`-n ${pod}`, 'squat')
  })

  test('comes home from an ADD that fails after the pod has renamed it and made another one, which stays', async () => {
    await makePair(place)
    await lab.writeFile(
      ACT,
      `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name stolen; ${alike()}\n`,
    )
    const refused = await failed('ADD', plugin({ ipam: { type: 'slow' } }), pod)
    expect(refused.code).toBe(100)
    await isHome(place)
    await isThere(`-n ${pod}`, 'evil')
    await isAbsent(`-n ${pod}`, 'stolen')
  })

  test('does not bring anything of the pod home when an ADD fails after the pod has hidden it', async () => {
    await makePair(place)
    await lab.writeFile(
      ACT,
      `n=$(ip -n ${pod} -o link show net1 | cut -d: -f1)
      ${hide}; ${alike('index $n')}\n`,
    )
    const refused = await failed('ADD', plugin({ ipam: { type: 'slow' } }), pod)
    expect(refused.details).toContain('in a namespace that the host has the number')
    await isAbsent('', 'hd0')
    await isThere(`-n ${pod}`, 'net1')
    await calls.recordOf(pod)
    await lab.must(`ip -n ${child} link set net1 name stolen; ip -n ${child} link set stolen netns ${pod}`)
    await calls.del(plugin(), pod)
    await isHome(place)
    await isThere(`-n ${pod}`, 'net1')
  })

  test('gets its addresses alone, and an ADD whose interface was replaced meanwhile fails', async () => {
    await makePair(place)
    await lab.must(`touch ${BED_FOLDER}/lease`)
    await lab.writeFile(
      ACT,
      `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name stolen; ${alike()}\n`,
    )
    const refused = await failed('ADD', plugin({ ipam: { type: 'slow' } }), pod)
    expect(refused).toMatchObject({
      code: 102,
      msg: expect.stringContaining('Cannot find "net1" in the pod'),
    })
    expect(await lab.must(`ip -n ${pod} addr`)).not.toContain('10.9.0.9')
    await isHome(place)
  })

  test('keeps GC and DEL failing while it lives on elsewhere, its pod gone, until it has ended', async () => {
    await makePair(place)
    await calls.add(plugin(), pod)
    await lab.must(hide)
    await calls.podDies(pod)
    const config = { 'cni.dev/valid-attachments': [] }
    const gc = await calls.call('GC', { type: 'vf-attach' }, pod, { cniVersion: '1.1.0', config })
    expect(gc.code).toBe(1)
    expect(gc.stdout).toContain('in a namespace that the host has the number')
    expect((await failed('DEL', plugin(), pod)).code).toBe(103)
    await calls.recordOf(pod)
    await calls.podDies(child)
    await calls.del(plugin(), pod)
    await lab.must('! ls /var/lib/cni/vf-flower/attach/*.json 2>/dev/null')
  })

  test('comes home from a pod that moves it to and fro all the time', async () => {
    await makePair(place)
    await calls.add(plugin(), pod)
    const moves = `for round in $(seq 40); do
        ip -n ${pod} link set net1 netns ${child} 2>/dev/null || true
        ip -n ${child} link set net1 netns ${pod} 2>/dev/null || true
      done`
    const [del] = await Promise.all([calls.call('DEL', plugin(), pod), lab.must(moves)])
    // Whoever wins: it is home and the record gone, or neither.
    if (del.code !== 0) {
      await calls.recordOf(pod)
      await calls.del(plugin(), pod)
    }
    await isHome(place)
  })

  test('has ended when its pod has deleted it', async () => {
    await makePair(place)
    await calls.add(plugin(), pod)
    await lab.must(`ip -n ${pod} link del net1; ${alike()}`)
    await calls.del(plugin(), pod)
    await isThere(`-n ${pod}`, 'evil')
    await isAbsent('', 'hd0')
  })
})

describe('both ends of a pair are devices', () => {
  const far = { type: 'vf-attach', device: 'far' }
  const checked = (plugins: Parameters<AttachCalls['add']>[0], where: string, prevResult: unknown) =>
    calls.call('CHECK', plugins, where, { config: { prevResult } })

  test.each([
    ['first', 'second'],
    ['second', 'first'],
  ])('each in a pod of its own pass CHECK, and the %s comes home, then the %s', async (leaves) => {
    await makePair('host')
    const farIndex = (await told('', 'far')).ifindex
    const one = await calls.add(plugin(), pod)
    const two = await calls.add(far, next)
    expect(await checked(plugin(), pod, one)).toMatchObject({ code: 0 })
    expect(await checked(far, next, two)).toMatchObject({ code: 0 })
    const dels = [() => calls.del(plugin(), pod), () => calls.del(far, next)]
    for (const del of leaves === 'first' ? dels : dels.reverse()) await del()
    await isHome('host')
    expect((await told('', 'far')).ifindex).toBe(farIndex)
  })

  test('are not taken for one that a pod makes like them', async () => {
    await makePair('host')
    await calls.add(plugin(), pod)
    await calls.add(far, next)
    const { ifindex } = await told(`-n ${pod}`, 'net1')
    const { ifindex: its } = await told(`-n ${next}`, 'net1')
    await lab.must(`${hide}
      ip -n ${pod} link add net1 index ${ifindex} address ${mac} type veth peer name evil index ${its} netns ${child}`)
    expect((await told(`-n ${child}`, 'evil')).ifindex).toBe(its)
    expect(await failed('DEL', plugin(), pod)).toMatchObject({
      ...{ code: 103, details: expect.stringContaining('its other end has left') },
    })
    await isThere(`-n ${pod}`, 'net1')
    await lab.must(`ip -n ${pod} link del net1; ip -n ${child} link set net1 netns ${pod}`)
    await calls.del(plugin(), pod)
    await calls.del(far, next)
    await isHome('host')
  })
})

test('DEL is no success while somebody has moved the other end of a pair away', async () => {
  await makePair('host')
  await calls.add(plugin(), pod)
  const { ifindex } = await told('', 'far')
  await lab.must(`ip link set far netns ${third}`)
  expect(await failed('DEL', plugin(), pod)).toMatchObject({
    ...{ code: 103, details: expect.stringContaining('its other end has left') },
  })
  await calls.recordOf(pod)
  await lab.must(
    `ip -n ${third} link set far netns 1 index ${ifindex} || ip -n ${third} link set far netns 1`,
  )
  expect((await told('', 'far')).ifindex).toBe(ifindex)
  await calls.del(plugin(), pod)
  await isHome('host')
})

describe('a macvlan', () => {
  const make = async () => {
    await newPod(lab, pod)
    await newPod(lab, child)
    await lab.must(`ip link add low index ${lowIndex} type veth peer name far
      ip link add link low name hd0 index ${index} address ${mac} type macvlan mode bridge`)
  }

  test('is no macvlan on an interface of the pod, whatever that one’s number is', async () => {
    await make()
    const prevResult = await calls.add(plugin(), pod)
    const { ifindex } = await told(`-n ${pod}`, 'net1')
    await lab.must(`${hide}
      ip -n ${pod} link add own index ${lowIndex} type veth peer name evil
      ip -n ${pod} link add link own name net1 index ${ifindex} address ${mac} type macvlan mode bridge
      ip -n ${pod} link set net1 up`)
    const check = await failed('CHECK', plugin(), pod, { config: { prevResult } })
    expect(check.msg).toContain('is another one')
    await calls.del(plugin(), pod)
    await isAbsent('', 'hd0')
    await isThere(`-n ${pod}`, 'net1')
  })

  test('comes home with its own number when the pod has given it another one', async () => {
    await make()
    await calls.add(plugin(), pod)
    const { ifindex } = await told(`-n ${pod}`, 'net1')
    await lab.must(`${hide}; ip -n ${pod} link add squat index ${ifindex} type ifb
      ip -n ${child} link set net1 netns ${pod}`)
    await calls.del(plugin(), pod)
    expect(await told('', 'hd0')).toMatchObject({ address: mac, ifindex: index, link: 'low' })
  })
})

test('an ifb, which is joined to nothing, comes home by its number', async () => {
  await newPod(lab, pod)
  await lab.must(`ip link add hd0 index ${index} address ${mac} type ifb`)
  await lab.writeFile(
    ACT,
    `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name stolen; ${alike()}\n`,
  )
  const refused = await failed('ADD', plugin({ ipam: { type: 'slow' } }), pod)
  expect(refused.code).toBe(100)
  expect(await told('', 'hd0')).toMatchObject({
    address: mac,
    ifindex: index,
    linkinfo: { info_kind: 'ifb' },
  })
  await isThere(`-n ${pod}`, 'evil')
})

test('what one pod left is not the next one’s wire', async () => {
  await makePair('host')
  await lab.must(`ip addr add 10.9.0.1/24 dev far`)
  await lab.writeFile(
    ACT,
    `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name stolen; ${alike()}
    ip -n ${pod} addr add 10.9.0.1/24 dev evil\n`,
  )
  expect((await failed('ADD', plugin({ ipam: { type: 'slow' } }), pod)).code).toBe(100)
  await calls.add(plugin(), next)
  await lab.must(`ip -n ${next} addr add 10.9.0.7/24 dev net1
    ip netns exec ${next} ping -c 2 -i 0.2 -W 2 10.9.0.1`)
  // Both have the address; the answer is the host's.
  const neighbour = await lab.must(`ip -n ${next} neigh show 10.9.0.1`)
  expect(neighbour).toContain(String((await told('', 'far')).address))
  await calls.del(plugin(), next)
})
