// Interfaces with the number, name and MAC of a device of vf-attach, in the pod and on the host. In: a lab, a way to make an interface
// of a kind. Out: the scenarios of an identity; each names the interface that must stay untouched.
import { expect } from 'vitest'
import type { PluginConfig } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import type { AttachCalls } from './attach-calls.ts'

/** `make` prints a command for `ip` that makes an interface of the kind; `lower` is the interface below it. */
export interface LookAlike {
  readonly kind: string
  make(name: string, index: number, mac: string): string
}

/** A free number, and a MAC for the device and all its look-alikes. */
const [index, mac] = [4_070, '02:00:00:00:70:01']

let peers = 0

/** Software interfaces; `low` must be there for the macvlan, in the namespace where it is made. */
export const softwareKinds: readonly LookAlike[] = [
  // Only the peer of a new veth can be given a number and a MAC: here the end that is made first is the look-alike.
  {
    kind: 'veth',
    make: (name, number, address) =>
      `link add ${name} index ${number} address ${address} type veth peer name far${peers++}`,
  },
  {
    kind: 'ifb',
    make: (name, number, address) => `link add ${name} index ${number} address ${address} type ifb`,
  },
  {
    kind: 'macvlan',
    make: (name, number, address) =>
      `link add link low name ${name} index ${number} address ${address} type macvlan mode bridge`,
  },
  {
    kind: 'dummy',
    make: (name, number, address) => `link add ${name} index ${number} address ${address} type dummy`,
  },
]

/** One kind of interface, to be attached to the pod `pod` as `net1` by a device called `hd0`. */
export interface Scene {
  readonly lab: Lab
  readonly calls: AttachCalls
  readonly pod: string
  readonly alike: LookAlike
}

const plugin = (more: Record<string, unknown> = {}): PluginConfig => ({
  type: 'vf-attach',
  device: 'hd0',
  ...more,
})

/** The facts that `ip` tells of an interface; a qdisc and carrier come and go with other ends. */
async function told(lab: Lab, where: string, name: string): Promise<Record<string, unknown>> {
  const [link] = JSON.parse(await lab.must(`ip ${where} -d -j link show dev ${name}`)) as Record<
    string,
    unknown
  >[]
  const { operstate: _, qdisc: __, flags, ...facts } = link ?? {}
  return {
    ...facts,
    flags: String(flags)
      .split(',')
      .filter((flag) => !/CARRIER|LOWER_UP|M-DOWN/.test(flag)),
  }
}

/** Makes the device on the host, and an `eth0` of the same kind, number and MAC in the pod. */
async function begin({ lab, pod, alike }: Scene): Promise<void> {
  await lab.must(`set -e
    ip -n ${pod} link add low type veth peer name low-far
    ip -n ${pod} ${alike.make('eth0', index, mac)}
    ip link add low type veth peer name low-far
    ip ${alike.make('hd0', index, mac)}`)
}

/** Removes everything that {@link begin} and a scenario made. */
export async function clear({ lab, pod }: Pick<Scene, 'lab' | 'pod'>): Promise<void> {
  await lab.must(`for name in hd0 vf-if${index} net1 low; do ip link del $name 2>/dev/null || true; done
    for name in eth0 low net1 hd0; do ip -n ${pod} link del $name 2>/dev/null || true; done`)
}

/** DEL takes the device home and leaves the pod's own interface, although that has the device's number. */
export async function inThePod(scene: Scene): Promise<void> {
  const { lab, calls, pod } = scene
  await begin(scene)
  const [device, eth0] = [await told(lab, '', 'hd0'), await told(lab, `-n ${pod}`, 'eth0')]
  await calls.add(plugin({ mtu: 1400 }), pod)
  const moved = await told(lab, `-n ${pod}`, 'net1')
  expect(moved).toMatchObject({ address: mac, mtu: 1400 })
  expect(moved.ifindex).not.toBe(index)
  // An app may give its interfaces any names.
  await lab.must(`ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name other`)
  await calls.del(plugin({ mtu: 1400 }), pod)
  expect(await told(lab, `-n ${pod}`, 'eth0')).toEqual(eth0)
  expect(await told(lab, '', 'hd0')).toEqual(device)
  await clear(scene)
}

/** The host has made a look-alike: the device comes home under another name and number, and DEL says so. */
export async function onTheHost(scene: Scene): Promise<void> {
  const { lab, calls, pod, alike } = scene
  await begin(scene)
  await calls.add(plugin({ mtu: 1400 }), pod)
  await lab.must(`ip ${alike.make('hd0', index, mac)}`)
  const stranger = await told(lab, '', 'hd0')
  const eth0 = await told(lab, `-n ${pod}`, 'eth0')
  const del = await calls.call('DEL', plugin({ mtu: 1400 }), pod)
  expect(del).toMatchObject({ code: 0, stdout: '' })
  expect(del.stderr).toContain(
    `"netdev:hd0" had the name "hd0" before ADD, another interface has it now; it is "vf-if${index}" now`,
  )
  expect(del.stderr).toContain(`"netdev:hd0" had the number ${index} before ADD, "vf-if${index}" has `)
  expect(await told(lab, '', 'hd0')).toEqual(stranger)
  expect(await told(lab, `-n ${pod}`, 'eth0')).toEqual(eth0)
  const home = await told(lab, '', `vf-if${index}`)
  expect(home).toMatchObject({ address: mac, mtu: 1500 })
  expect(home.ifindex).not.toBe(index)
  await clear(scene)
}

/** The pod is gone, and its software interface with it. A look-alike on the host belongs to others: for GC, DEL and the next ADD. */
export async function afterDeath(scene: Scene): Promise<void> {
  const { lab, calls, pod, alike } = scene
  for (const by of ['GC', 'DEL', 'ADD']) {
    await begin(scene)
    await calls.add(plugin({ mtu: 1400 }), pod)
    await calls.podDies(pod)
    await lab.must(`ip ${alike.make('hd0', index, mac)}; ip link set hd0 mtu 1450`)
    const stranger = await told(lab, '', 'hd0')
    await calls.podIsBack(pod)
    const config = { 'cni.dev/valid-attachments': [] }
    if (by === 'GC') await calls.call('GC', { type: 'vf-attach' }, pod, { cniVersion: '1.1.0', config })
    if (by === 'DEL') await calls.del(plugin(), pod)
    if (by === 'ADD') {
      await calls.add(plugin(), pod)
      await calls.del(plugin(), pod)
    }
    expect(await told(lab, '', 'hd0')).toEqual(stranger)
    await lab.must('! ls /var/lib/cni/vf-flower/attach/*.json 2>/dev/null')
    await clear(scene)
  }
}

/** An ADD that fails after its move goes back by the number that the device has in the pod. */
export async function afterFailure(scene: Scene): Promise<void> {
  const { lab, calls, pod } = scene
  await begin(scene)
  const [device, eth0] = [await told(lab, '', 'hd0'), await told(lab, `-n ${pod}`, 'eth0')]
  const refused = await calls.refused('ADD', plugin({ ipam: { type: 'nobody' } }), pod)
  expect(refused.code).toBe(105)
  expect(await told(lab, '', 'hd0')).toEqual(device)
  expect(await told(lab, `-n ${pod}`, 'eth0')).toEqual(eth0)
  await clear(scene)
}

/** CHECK takes no other interface for the device, whatever its name. */
export async function underTheName(scene: Scene): Promise<void> {
  const { lab, calls, pod, alike } = scene
  await begin(scene)
  const result = await calls.add(plugin(), pod)
  await lab.must(`set -e
    ip -n ${pod} link set net1 down; ip -n ${pod} link set net1 name away; ip -n ${pod} link set away up
    ip -n ${pod} ${alike.make('net1', index + 100, mac)}; ip -n ${pod} link set net1 up`)
  const check = await calls.refused('CHECK', plugin(), pod, { config: { prevResult: result } })
  expect(check).toMatchObject({ code: 104, msg: expect.stringContaining('is another one, with number') })
  await calls.del(plugin(), pod)
  expect(await told(lab, '', 'hd0')).toMatchObject({ ifindex: index, address: mac })
  await clear(scene)
}
