// A device is itself: a VF, a PF and a dummy beside interfaces of the same number, name and MAC in the pod and on the host, and
// a VF whose dead owner's path leads to the host. What needs no hardware is in test/native/attach/identity.test.ts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type Bed, makeBed, onVf, spareNameOf } from '../../support/attach-bed.ts'
import {
  afterDeath,
  afterFailure,
  clear,
  inThePod,
  onTheHost,
  softwareKinds,
  underTheName,
} from '../../support/look-alikes.ts'

const pod = 'pod-one'
let bed: Bed

beforeAll(async () => {
  bed = await makeBed(2, [pod, 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return
  await clear({ lab: bed.lab, pod })
  await bed.rebuild()
})

describe('dummy', () => {
  const alike = softwareKinds.find(({ kind }) => kind === 'dummy')
  const scene = () => {
    if (alike === undefined) throw new Error('No dummy among the kinds')
    return { lab: bed.lab, calls: bed, pod, alike }
  }
  test('comes home from a pod that has another one of the same number and MAC', () => inThePod(scene()))
  test('comes home to a host that has another one of the same number, name and MAC', () => onTheHost(scene()))
  test('is not taken for another one of the host with its number, name and MAC when the pod is gone', () =>
    afterDeath(scene()))
  test('comes home when an ADD fails behind its move', () => afterFailure(scene()))
  test('comes home when another one has its name in the pod', () => underTheName(scene()))
})

/** The facts that `ip` tells of an interface, without those that another one's ends decide. */
async function told(where: string, name: string): Promise<Record<string, unknown>> {
  const [link] = JSON.parse(await bed.lab.must(`ip ${where} -d -j link show dev ${name}`)) as Record<
    string,
    unknown
  >[]
  const { qdisc: _, operstate: __, ...facts } = link ?? {}
  return facts
}

/** Attaches hardware beside a look-alike in the pod, then another one on the host, and takes it home. */
async function besideOthers(plugin: PluginConfig, netdev: string, mac: string, spare: string): Promise<void> {
  const number = Number((await bed.lab.must(`cat /sys/class/net/${netdev}/ifindex`)).trim())
  const like = (name: string) => `link add ${name} index ${number} address ${mac} type dummy`
  await bed.lab.must(`ip -n ${pod} ${like('eth0')}`)
  const eth0 = await told(`-n ${pod}`, 'eth0')
  await bed.add(plugin, pod)
  expect((await told(`-n ${pod}`, 'net1')).ifindex).not.toBe(number)
  await bed.lab.must(`ip ${like(netdev)}`)
  const stranger = await told('', netdev)
  const del = await bed.call('DEL', plugin, pod)
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain(`another interface has it now; it is "${spare}" now`)
  expect(await told('', netdev)).toEqual(stranger)
  expect(await told(`-n ${pod}`, 'eth0')).toEqual(eth0)
  expect(await told('', spare)).toMatchObject({ address: mac })
  await bed.lab.must(`ip link del ${netdev}; ip -n ${pod} link del eth0
    ip link set ${spare} down; ip link set ${spare} name ${netdev}`)
}

test('a VF comes home beside others of its number, name and MAC', async () => {
  const vf = bed.vf()
  await besideOthers(onVf(vf, { vlan: 100 }), vf.netdev, vf.mac, spareNameOf(vf))
  expect(JSON.stringify(await bed.vfInfo(vf.index))).not.toContain('"vlan":100')
  await bed.rebuild()
})

test('a VF whose namespace died comes home beside another one of its number, name and MAC', async () => {
  const vf = bed.vf()
  const number = (await bed.lab.must(`cat /sys/class/net/${vf.netdev}/ifindex`)).trim()
  await bed.add(onVf(vf, { vlan: 100, mtu: 1400 }), pod)
  await bed.lab.must(`ip link add ${vf.netdev} index ${number} address ${vf.mac} type dummy`)
  const stranger = await told('', vf.netdev)
  await bed.podDies(pod)
  await bed.del(onVf(vf), pod)
  expect(await told('', vf.netdev)).toEqual(stranger)
  expect(await told('', spareNameOf(vf))).toMatchObject({ address: vf.mac, mtu: 1500 })
  await bed.lab.must(`ip link del ${vf.netdev}`)
  await bed.podIsBack(pod)
  await bed.rebuild()
})

describe("a dead owner whose path leads to the host's own namespace", () => {
  /** A pod that is known by a process, which ends; then a process of the host gets its number. */
  const NUMBERED = `
reuse() {
  for try in $(seq 200); do
    echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid
    sleep 1000 >/dev/null 2>&1 &
    [ $! = $1 ] && return 0
    kill $!
  done
  echo "no process got the number $1" >&2; return 1
}`
  const start = async () => (await bed.lab.must('unshare -n sleep 1000 >/dev/null 2>&1 & echo $!')).trim()
  const recycled = async (pid: string) => {
    await bed.lab.must(`kill ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.01; done
      ${NUMBERED}
      reuse ${pid}`)
  }

  test.each(['', 'the stale path'])('DEL with %j restores the VF, and it is free again', async (given) => {
    const vf = bed.vf()
    const pid = await start()
    const netns = `/proc/${pid}/ns/net`
    const plugin = onVf(vf, { vlan: 100, spoofchk: 'off', trust: 'on' })
    await bed.add(plugin, pod, { netns })
    await recycled(pid)
    try {
      const del = await bed.call('DEL', plugin, pod, { netns: given === '' ? '' : netns })
      expect(del).toMatchObject({ code: 0, stdout: '' })
      expect(del.stderr).not.toContain('sriov-cni gave')
      await bed.expectUnchanged()
      // Another owner's ADD finds no trace of it.
      await bed
        .add(plugin, pod, { netns })
        .then(() => Promise.reject(new Error('ADD into the host was not refused')))
        .catch((error: unknown) => expect(String(error)).toContain('should not be the same'))
      await bed.add(plugin, 'pod-two')
      await bed.del(plugin, 'pod-two')
      await bed.expectUnchanged()
    } finally {
      await bed.lab.must(`kill ${pid} || true`)
    }
  })

  test('the next ADD takes the VF over', async () => {
    const vf = bed.vf()
    const pid = await start()
    await bed.add(onVf(vf, { vlan: 100 }), pod, { netns: `/proc/${pid}/ns/net` })
    await recycled(pid)
    await bed.add(onVf(vf), 'pod-two')
    expect(JSON.stringify(await bed.vfInfo(vf.index))).not.toContain('"vlan":100')
    await bed.del(onVf(vf), 'pod-two')
    await bed.lab.must(`kill ${pid} || true`)
    await bed.expectUnchanged()
  })
})

// Last: the wire takes its time to come back.
test('a PF comes home beside others of its number, name and MAC', async () => {
  await bed.setVfs(0)
  const { pf } = bed.topology
  const pci = (await bed.lab.must(`basename $(readlink /sys/class/net/${pf}/device)`)).trim()
  const mac = (await bed.lab.must(`cat /sys/class/net/${pf}/address`)).trim()
  const addresses = await bed.lab.must(`ip addr flush dev ${pf}; ip link set ${pf} down; echo`)
  expect(addresses.trim()).toBe('')
  await besideOthers({ type: 'vf-attach', deviceID: pci }, pf, mac, spareNameOf({ pci }))
  await bed.lab.must(`ip link set ${pf} up`)
})
