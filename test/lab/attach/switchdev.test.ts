// vf-attach on a NIC in switchdev mode: the VF's representor goes up with it, joins a bridge where wanted and is as
// before after DEL. Three cards: two in switchdev mode with the names that udev gives, one that changes its mode.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import {
  type Card,
  type EswitchMode,
  loadSimnic,
  setMode,
  setVfs,
  unloadSimnic,
  watchKernelLog,
} from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, isCarrierOf, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, isReachable, linkIsReady, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const PODS = ['pod-a', 'pod-b', 'pod-c'] as const
const BRIDGE = 'br-vf'
/** Set by hand: a bridge without it takes its ports' addresses in turn. */
const BRIDGE_MAC = '02:00:00:00:00:b0'

let lab: Lab
let runtime: Runtime
let cards: [Card, Card, Card]
let trouble: () => Promise<string[]>
/** The host without any attachment: every test ends in this state. */
let clean: Snapshot

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  trouble = await watchKernelLog(lab)
  cards = (await loadSimnic(lab, { cards: 3, totalVfs: 3 })) as [Card, Card, Card]
  for (const [index, card] of cards.entries()) {
    await setVfs(lab, card, index === 0 ? 3 : 1)
    // Their own addresses would come some time after the first look at the host.
    await lab.must(`for name in ${card.wire} ${card.pf}; do
        echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; ip link set $name mtu 2000 up
      done`)
  }
  for (const card of [0, 1] as const) {
    await setMode(lab, cards[card], 'switchdev')
    await lab.must(`set -e
      ip link set ${cards[card].pf} down; ip link set ${cards[card].pf} name ${uplink(card)} up
      for vf in ${card === 0 ? '0 1 2' : '0'}; do ip link set ${cards[card].pf}rep$vf name enp8${card}s0npf${card}vf$vf; done`)
  }
  for (const name of PODS) await newPod(lab, name)
  await makeBridge()
  clean = await snapshot(lab)
})

afterAll(async () => {
  for (const name of PODS) await deletePod(lab, name)
  await lab.must(`ip link del ${BRIDGE}`)
  await unloadSimnic(lab)
  expect(await trouble()).toEqual([])
})

afterEach(async () => {
  // Things that a test that failed has left.
  const records = await lab.must('ls /var/lib/cni/vf-flower/attach 2>/dev/null || true')
  for (const name of PODS.filter((pod) => records.includes(pod))) {
    await runtime.call('DEL', listOf(), { type: 'vf-attach' }, at(name))
  }
})

const uplink = (card: 0 | 1) => `enp8${card}s0np${card}`
const representor = (vf: number, card: 0 | 1 = 0) => `enp8${card}s0npf${card}vf${vf}`
const pci = (vf: number, card = 0) => `${cards[card]?.pci.slice(0, -1)}${vf + 1}`
const at = (name: string) => attachment(`/run/netns/${name}`, { containerID: name })

const add = (plugin: PluginConfig, name = 'pod-a') => runtime.call('ADD', listOf(plugin), plugin, at(name))
const del = (plugin: PluginConfig, name = 'pod-a') => runtime.del(listOf(plugin), at(name))

async function mustAdd(plugin: PluginConfig, name = 'pod-a') {
  const { code, stdout, stderr } = await add(plugin, name)
  if (code !== 0) throw new Error(`ADD failed: ${stdout}${stderr}`)
  return { result: JSON.parse(stdout) as CniResult, stderr }
}

async function expectUnchanged(before = clean): Promise<void> {
  const lines = diffSnapshot(before, await snapshot(lab))
  expect(lines.filter((line) => !isCarrierOf(BRIDGE, line))).toEqual([])
}

async function makeBridge(): Promise<void> {
  await lab.must(`ip link add ${BRIDGE} address ${BRIDGE_MAC} type bridge vlan_filtering 1 mcast_snooping 0
    echo 1 >/proc/sys/net/ipv6/conf/${BRIDGE}/disable_ipv6; ip link set ${BRIDGE} up`)
}

async function link(name: string) {
  const [found] = await json(lab, `ip -d -j link show dev ${name}`)
  return found ?? {}
}

/** The line of `bridge vlan` about a port: `10 PVID,Egress Untagged`. */
async function vlansOf(port: string): Promise<string[]> {
  const [entry] = await json(lab, `bridge -j vlan show dev ${port}`)
  const vlans = (entry?.vlans ?? []) as { vlan: number; flags?: string[] }[]
  return vlans.map(({ vlan, flags = [] }) => `${vlan} ${flags.join()}`)
}

describe('the representor', () => {
  afterAll(() => expectUnchanged())

  test.each([
    [2, 0],
    [0, 1],
  ] as const)(
    'of VF %i of card %i is found by its port, goes up with the MTU of the pod and down again',
    async (vf, card) => {
      const plugin = attachConfig(pci(vf, card), { mtu: 1900, mac: '02:00:00:00:00:51' })
      const name = representor(vf, card)
      const { address } = await link(name)
      const { result, stderr } = await mustAdd(plugin)

      expect(result.interfaces).toEqual([
        { name: 'net1', mac: plugin.mac, mtu: 1900, sandbox: '/run/netns/pod-a', pciID: pci(vf, card) },
        { name, mac: address },
      ])
      expect(await link(name)).toMatchObject({ mtu: 1900, flags: expect.arrayContaining(['UP']) })
      expect(stderr).toContain(`representor "${name}" of "${pci(vf, card)}" is attached to nothing`)
      const pf = await link(uplink(card))
      expect((pf.vfinfo_list as object[])[vf]).toMatchObject({ address: plugin.mac })
      const changed = diffSnapshot(clean, await snapshot(lab)).filter((line) => /^link enp/.test(line))
      expect(changed.filter((line) => !line.startsWith(`link ${name}.`))).toEqual([])
      await runtime.check(listOf(plugin), at('pod-a'), result)

      await lab.must(`ip link set ${name} down`)
      expect(await failedCheck(plugin, result)).toContain(`representor "${name}" is down`)
      await del(plugin)
      expect(await link(name)).toMatchObject({ mtu: 1500, flags: expect.not.arrayContaining(['UP']) })
    },
  )

  test('that is renamed while it is attached, with its uplink, is the same one', async () => {
    const plugin = attachConfig(pci(0), { bridge: BRIDGE, vlan: 10, mtu: 1800 })
    const { result } = await mustAdd(plugin)
    await lab.must(`ip link set ${representor(0)} name eth77; ip link set ${uplink(0)} name eth78`)
    try {
      await runtime.check(listOf(plugin), at('pod-a'), result)
      await del(plugin)
    } finally {
      await lab.must(`ip link set eth77 name ${representor(0)}; ip link set eth78 name ${uplink(0)}`)
    }
  })

  test('stays where the host has it, without a word', async () => {
    await lab.must(`ip link set ${representor(1)} master ${BRIDGE} up mtu 1600`)
    try {
      const vlans = await vlansOf(representor(1))
      for (const more of [{}, { bridge: BRIDGE }]) {
        const plugin = attachConfig(pci(1), more)
        expect((await mustAdd(plugin)).stderr).not.toContain('attached to nothing')
        expect(await link(representor(1))).toMatchObject({ master: BRIDGE, mtu: 1500 })
        await del(plugin)
        const up = expect.arrayContaining(['UP'])
        expect(await link(representor(1))).toMatchObject({ master: BRIDGE, mtu: 1600, flags: up })
        expect(await vlansOf(representor(1))).toEqual(vlans)
      }
    } finally {
      await lab.must(`ip link set ${representor(1)} nomaster down mtu 1500`)
    }
  })
})

describe('a VF that was in a pod', () => {
  afterAll(() => expectUnchanged())

  test('has its driver start anew before the next pod gets it, with the same representor, bridge and settings', async () => {
    const plugin = attachConfig(pci(0), { bridge: BRIDGE, vlan: 10, mac: '02:00:00:00:00:52' })
    await lab.must('modprobe -a macvlan 8021q; ip netns add pod-third')
    const before = await snapshot(lab)
    try {
      // Whatever was there before: this pod's is a new start, or the first.
      await mustAdd(plugin)
      await lab.must(`set -e
        ip -n pod-a link set net1 arp off group 5 alias evil; ip -n pod-a link property add dev net1 altname evil
        ip netns exec pod-a ethtool -K net1 gro off
        ip -n pod-a link add v7 link net1 type vlan id 7; ip -n pod-a link set v7 netns pod-third
        ip -n pod-a link add mv0 link net1 type macvlan mode bridge; ip -n pod-a link set mv0 up`)
      await del(plugin)
      await expectUnchanged(before)
      const began = Date.now()
      const { result, stderr } = await mustAdd(plugin, 'pod-b')
      console.log(`ADD of a VF of simnic that was in a pod: ${Date.now() - began} ms`)
      expect(stderr).toContain(`"${pci(0)}" was in a pod before, its driver simnic was bound anew`)
      expect(await lab.must('ip -n pod-third -br link')).not.toContain('v7')
      await runtime.check(listOf(plugin), at('pod-b'), result)
      expect(await vlansOf(representor(0))).toEqual(['10 PVID,Egress Untagged'])
      await del(plugin, 'pod-b')
    } finally {
      await lab.must('ip netns del pod-third')
    }
  })
})

describe('a bridge', () => {
  afterAll(() => expectUnchanged())

  test('joins pods of the same VLAN and no others', async () => {
    const pods = [
      { name: 'pod-a', vf: 0, vlan: 10, address: '10.5.0.1' },
      { name: 'pod-b', vf: 1, vlan: 10, address: '10.5.0.2' },
      { name: 'pod-c', vf: 2, vlan: 20, address: '10.5.0.3' },
    ] as const
    const config = ({ vf, vlan, address }: (typeof pods)[number]) =>
      attachConfig(pci(vf), {
        bridge: BRIDGE,
        vlan,
        ipam: { type: 'static', addresses: [{ address: `${address}/24` }] },
      })
    for (const pod of pods) {
      const { result, stderr } = await mustAdd(config(pod), pod.name)
      expect(stderr).not.toContain('attached to nothing')
      expect(await link(representor(pod.vf))).toMatchObject({ master: BRIDGE })
      expect(await vlansOf(representor(pod.vf))).toEqual([`${pod.vlan} PVID,Egress Untagged`])
      await runtime.check(listOf(config(pod)), at(pod.name), result)
    }
    for (const { name } of pods) await linkIsReady(lab, name)
    const [a, b, c] = pods
    const [heardByB, heardByC] = await Promise.all([
      capture(lab, b.name, 'net1', 'arp and inbound'),
      capture(lab, c.name, 'net1', 'arp and inbound'),
    ])
    await isReachable(lab, a.name, [b.address])
    await isReachable(lab, b.name, [a.address])
    const deaf = await lab.sh(`ip netns exec ${a.name} ping -q -c 1 -W 1 ${c.address}`)
    expect(deaf.code).toBe(1)
    const seen = (await heardByB.stop()).map(({ text }) => text)
    expect(seen).toContainEqual(expect.stringContaining(`who-has ${c.address}`))
    expect(await heardByC.stop()).toEqual([])

    for (const pod of pods) await del(config(pod), pod.name)
  })

  test.each([
    [1, 1, 1],
    [0, 10, 10],
    [7, undefined, 7],
    [1, 0, 1],
  ])('with default VLAN %i and vlan %s gives the port VLAN %i alone', async (byDefault, vlan, only) => {
    await lab.must(`ip link set ${BRIDGE} type bridge vlan_default_pvid ${byDefault}`)
    try {
      const before = await link(representor(0))
      const plugin = attachConfig(pci(0), { bridge: BRIDGE, ...(vlan === undefined ? {} : { vlan }) })
      const { result } = await mustAdd(plugin)
      expect(await vlansOf(representor(0))).toEqual([`${only} PVID,Egress Untagged`])
      await runtime.check(listOf(plugin), at('pod-a'), result)
      await del(plugin)
      expect(await vlansOf(representor(0))).toEqual([])
      expect(await link(representor(0))).toEqual({ ...before, qdisc: expect.anything() })
    } finally {
      await lab.must(`ip link set ${BRIDGE} type bridge vlan_default_pvid 1`)
    }
  })

  test('CHECK names a representor that is down, left it, lost its VLAN, got another one or another MTU', async () => {
    const plugin = attachConfig(pci(0), { bridge: BRIDGE, vlan: 10 })
    const { result } = await mustAdd(plugin)
    const name = representor(0)
    const broken = [
      [`ip link set ${name} down`, 'is down'],
      [`ip link set ${name} mtu 1400`, 'has MTU 1400, not 1500'],
      [`bridge vlan add dev ${name} vid 1 untagged`, "is in VLAN 1, which is not the pod's"],
      [`bridge vlan del dev ${name} vid 10`, 'does not have VLAN 10'],
      [`bridge vlan add dev ${name} vid 10`, 'does not have VLAN 10'],
      [`ip link set ${name} nomaster`, `is attached to nothing, not to "${BRIDGE}"`],
    ] as const
    for (const [command, words] of broken) {
      await lab.must(command)
      expect(await failedCheck(plugin, result)).toContain(`representor "${name}" ${words}`)
    }
    await del(plugin)
  })

  test('that is gone at DEL is no obstacle', async () => {
    const plugin = attachConfig(pci(0), { bridge: BRIDGE, vlan: 10 })
    await mustAdd(plugin)
    await lab.must(`ip link del ${BRIDGE}`)
    await del(plugin)
    await makeBridge()
  })
})

describe('refusals leave nothing behind', () => {
  afterAll(() => expectUnchanged())

  test('an attribute that the PF refuses in switchdev mode is an error that names the alternative', async () => {
    for (const [wish, words] of [
      [{ vlan: 10 }, 'set "bridge"'],
      [{ spoofchk: 'on' }, 'a rule on the representor'],
      [{ trust: 'on' }, 'the representor sees all frames'],
    ] as const) {
      const error = errorOf(await add(attachConfig(pci(0), { ...wish, mac: '02:00:00:00:00:52' })))
      expect(error.code).toBe(102)
      for (const part of [Object.keys(wish)[0], 'EOPNOTSUPP', 'switchdev mode', words]) {
        expect(error.msg).toContain(part)
      }
    }
  })

  test('a bridge that is none, or nothing to attach to it, is code 7', async () => {
    for (const [device, bridge, words] of [
      [pci(0), 'br-none', 'there is no such interface'],
      [pci(0), 'lo', 'it is no Linux bridge'],
      [pci(0, 2), BRIDGE, 'only a VF of a PF in switchdev mode'],
    ] as const) {
      const error = errorOf(await add(attachConfig(device, { bridge, mac: '02:00:00:00:00:52' })))
      expect(error.code).toBe(7)
      expect(error.msg).toContain(`bridge "${bridge}"`)
      expect(error.msg).toContain(words)
    }
  })

  test('a bridge or representor in another state than the config needs is code 7', async () => {
    for (const [prepare, vlan, key, words] of [
      [`ip link set ${BRIDGE} type bridge vlan_filtering 0`, 10, 'vlan 10', 'does not filter VLANs'],
      ['ip link set $REP master br-other', undefined, `bridge "${BRIDGE}"`, 'is attached to "br-other"'],
      [`ip link set $REP master ${BRIDGE}`, 10, 'vlan 10', 'in other VLANs'],
    ] as const) {
      const env = { REP: representor(0) }
      await lab.must(`ip link add br-other type bridge; ${prepare}`, { env })
      try {
        const before = [await link(representor(0)), await vlansOf(representor(0))]
        const wish = { bridge: BRIDGE, mac: '02:00:00:00:00:52', ...(vlan === undefined ? {} : { vlan }) }
        const error = errorOf(await add(attachConfig(pci(0), wish)))
        expect(error.code).toBe(7)
        expect(error.msg).toContain(key)
        expect(error.msg).toContain(words)
        expect([await link(representor(0)), await vlansOf(representor(0))]).toEqual(before)
      } finally {
        await lab.must(
          `ip link set $REP nomaster; ip link set ${BRIDGE} type bridge vlan_filtering 1; ip link del br-other`,
          { env },
        )
      }
    }
  })
})

describe('a change of the mode between ADD and DEL', () => {
  const to = (mode: EswitchMode) => setMode(lab, cards[2], mode)
  const wishes = { mac: '02:00:00:00:00:53', max_tx_rate: 100, link_state: 'enable' }

  afterEach(() => to('legacy'))

  test('to switchdev lets DEL restore the attributes that this mode knows, and say which it does not', async () => {
    const plugin = attachConfig(pci(0, 2), { ...wishes, trust: 'on', vlan: 9 })
    await mustAdd(plugin)
    await to('switchdev')
    const { code, stdout, stderr } = await runtime.call('DEL', listOf(plugin), plugin, at('pod-a'))
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toMatch(/changed to switchdev mode since ADD, vlan, spoofchk, trust .*stay/)
    await to('legacy')
    expect(diffSnapshot(clean, await snapshot(lab))).toEqual([
      expect.stringContaining('.vfinfo_list.0.trust: false -> true'),
      expect.stringContaining('.vfinfo_list.0.vlan_list.0.vlan: 9'),
    ])
    await lab.must(`ip link set ${cards[2].pf} vf 0 trust off vlan 0`)
  })

  test('to legacy sets nothing that was shown in switchdev mode alone', async () => {
    await to('switchdev')
    const plugin = attachConfig(pci(0, 2), { ...wishes, bridge: BRIDGE, vlan: 10 })
    await mustAdd(plugin)
    await to('legacy')
    await del(plugin)
    await expectUnchanged()
  })

  test('to legacy and back gives a new representor that is as the old one was', async () => {
    await to('switchdev')
    const before = await snapshot(lab)
    const plugin = attachConfig(pci(0, 2), { ...wishes, bridge: BRIDGE, vlan: 10 })
    const { result } = await mustAdd(plugin)
    await to('legacy')
    expect(await failedCheck(plugin, result)).toContain('has no representor any more')
    await to('switchdev')
    expect(await failedCheck(plugin, result)).toContain(`representor "${cards[2].pf}rep0" is down`)
    await del(plugin)
    const after = diffSnapshot(before, await snapshot(lab))
    expect(after.filter((line) => !/^link simpf2rep\d\.address: /.test(line))).toEqual([])
  })
})

async function failedCheck(plugin: PluginConfig, prevResult: CniResult): Promise<string> {
  const result = await runtime.call('CHECK', listOf(plugin), plugin, at('pod-a'), { prevResult })
  const { code, msg } = errorOf(result)
  expect(code).toBe(104)
  return msg
}
