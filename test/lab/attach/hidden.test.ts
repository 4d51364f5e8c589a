// A pod hides a VF, or puts another interface in its place: we know the VF by its parent, wherever it is.
// test/native/attach/hidden.test.ts has software interfaces.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Bed, makeBed, onVf } from '../../support/attach-bed.ts'
import { BED_FOLDER } from '../../support/attach-calls.ts'

const [pod, child] = ['pod-one', 'hidden-child']
const ACT = `${BED_FOLDER}/act`

/** An IPAM plugin that is slow, the pod acts meanwhile, and has no address to give. */
const SLOW = `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" = ADD ] || exit 0
sh -e ${ACT} >${ACT}.log 2>&1 || { cat ${ACT}.log >&2; exit 2; }
echo '{"cniVersion":"1.0.0","code":100,"msg":"no address is free"}'; exit 1
`

let bed: Bed
beforeAll(async () => {
  bed = await makeBed(1, [pod, child])
  await bed.lab.writeFile(`${BED_FOLDER}/slow`, SLOW, 0o755)
})
afterAll(() => bed?.end())
afterEach(async () => {
  // A driver that was bound anew has a MAC of its own making.
  await bed.rebuild()
})

const alike = (more: string) =>
  `ip -n ${pod} link add net1 ${more} type veth peer name evil; ip -n ${pod} link set net1 up; ip -n ${pod} link set evil up`
const hide = `ip -n ${pod} link set net1 netns ${child}`
/** The one interface of the VF is on the host. */
async function isHome(): Promise<void> {
  const { pci, netdev } = bed.vf()
  expect((await bed.lab.must(`ls /sys/bus/pci/devices/${pci}/net`)).trim()).toBe(netdev)
  expect(await bed.link(null, netdev)).toMatchObject({ parentdev: pci })
}

test('a VF comes home from an ADD that fails after the pod has renamed it and made another of its name, which stays', async () => {
  const plugin = onVf(bed.vf(), { vlan: 100, ipam: { type: 'slow' } })
  await bed.lab.writeFile(
    ACT,
    `ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name stolen; ${alike('')}\n`,
  )
  expect((await bed.refused('ADD', plugin, pod)).code).toBe(100)
  await isHome()
  expect(await bed.link(pod, 'net1')).toMatchObject({ linkinfo: { info_kind: 'veth' } })
  await bed.expectUnchanged()
})

test('a VF comes home from an ADD that fails after the pod has hidden it behind one of its number, name and MAC', async () => {
  const vf = bed.vf()
  await bed.lab.writeFile(
    ACT,
    `n=$(ip -n ${pod} -o link show net1 | cut -d: -f1); ip -n ${pod} link add burn type veth peer name burnt
    ${hide}; ${alike(`index $n address ${vf.mac}`)}\n`,
  )
  expect((await bed.refused('ADD', onVf(vf, { ipam: { type: 'slow' } }), pod)).code).toBe(100)
  await isHome()
  expect(await bed.link(pod, 'net1')).toMatchObject({ linkinfo: { info_kind: 'veth' } })
})

test('CHECK misses a VF that is hidden behind one of its number, name and MAC, and DEL brings the VF home and leaves that one', async () => {
  const vf = bed.vf()
  const prevResult = await bed.add(onVf(vf), pod)
  const { ifindex } = await bed.link(pod, 'net1')
  await bed.lab.must(`ip -n ${pod} link add burn type veth peer name burnt
    ${hide}; ${alike(`index ${ifindex} address ${vf.mac}`)}`)
  const check = await bed.refused('CHECK', onVf(vf), pod, { config: { prevResult } })
  expect(check).toMatchObject({ code: 104, msg: expect.stringContaining('is of kind "veth", not') })
  const del = await bed.call('DEL', onVf(vf), pod)
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain('its driver igbvf is bound anew')
  await isHome()
  expect(await bed.link(pod, 'net1')).toMatchObject({ linkinfo: { info_kind: 'veth' } })
})

test('CHECK takes no lo that was renamed for the VF', async () => {
  const vf = bed.vf()
  const prevResult = await bed.add(onVf(vf), pod)
  await bed.lab.must(`ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name real
    ip -n ${pod} link set lo down; ip -n ${pod} link set lo name net1
    ip -n ${pod} link set net1 address ${vf.mac} mtu 1500 up`)
  const check = await bed.refused('CHECK', onVf(vf), pod, { config: { prevResult } })
  expect(check).toMatchObject({ code: 104, msg: expect.stringContaining('is no software interface, not') })
  await bed.del(onVf(vf), pod)
  await isHome()
})

test('a VF comes home from a pod that moves it to and fro all the time', async () => {
  const vf = bed.vf()
  await bed.add(onVf(vf), pod)
  const moves = `for round in $(seq 20); do
      ip -n ${pod} link set net1 netns ${child} 2>/dev/null || true
      ip -n ${child} link set net1 netns ${pod} 2>/dev/null || true
    done`
  const [del] = await Promise.all([bed.call('DEL', onVf(vf), pod), bed.lab.must(moves)])
  expect(del).toMatchObject({ code: 0, stdout: '' })
  await isHome()
})
