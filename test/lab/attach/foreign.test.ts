// vf-attach on a node where sriov-cni and host-device work, or worked: what they hold is not taken, what they left is
// restored, and they are not misled. host-device is the distribution's; sriov-cni is not packaged, so its state is laid
// out by ip and files, as its release 2.10 does. What host-device does with any interface is in
// test/native/attach/foreign.test.ts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  inTurn,
  json,
  listOf,
  silently,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { Baseline } from '../../../hack/lab/bed/snapshot.ts'
import { addClusterInterface, deletePod, newPod, type Topology } from '../../../hack/lab/bed/topology.ts'
import { serveToWhoDoesNotRead } from '../../../hack/lab/bed/traffic.ts'
import type { ConfigList, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

const folder = '/var/lib/cni/sriov'
const ipam = { type: 'host-local', subnet: '10.77.0.0/24' }

let lab: Lab
let runtime: Runtime
let card: Topology
const host = new Baseline()
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  card = await makeVfs(lab, 3)
})

afterAll(async () => {
  if (card !== undefined) await removeVfs(lab, card)
})

beforeEach(async () => {
  pod = await newPod(lab, 'pod-one')
  await host.begin(lab)
})

afterEach(async ({ task }) => {
  host.end(task.result?.state)
  if (task.result?.state === 'fail') {
    await lab.must(`rm -rf ${folder}`)
    for (const containerID of ['pod-one', 'pod-two'])
      await runtime.call('DEL', plain(), pluginOf(plain()), attachment('', { containerID }))
  }
  await homeByHand()
})

function vf(index = 0) {
  const found = card.vfs[index]
  if (found === undefined || found.netdev === null || found.mac === null) throw new Error(`No VF ${index}`)
  return { pci: found.pci, index: found.index, netdev: found.netdev, mac: found.mac }
}

const inUse = () => `${folder}/pci/${vf().pci}`
const plain = (more: Record<string, unknown> = {}): ConfigList => listOf(attachConfig(vf().pci, more))

function pluginOf(list: ConfigList): PluginConfig {
  const [plugin] = list.plugins
  if (plugin === undefined) throw new Error('no plugin')
  return plugin
}

const exists = async (path: string) => (await lab.exec(['test', '-e', path])).code === 0

/** The host and its namespaces are as before the first test. */
async function expectUnchanged(): Promise<void> {
  expect(await host.changes(lab)).toEqual([])
}

/** All that an attachment of sriov-cni consists of, wherever its interface is, but for what changes by itself: carrier, addresses. */
async function theirState(name: string): Promise<unknown> {
  const links = async (where: string) =>
    (await json(lab, `ip ${where} -d -j link`)).map(
      ({ ifname, address, mtu, promiscuity, ifalias, flags }) => ({
        ...{ ifname, address, mtu, promiscuity, ifalias },
        up: (flags as string[]).includes('UP'),
      }),
    )
  const files = `grep . ${inUse()} ${folder}/${name}-net1; ls /var/lib/cni/vf-flower/attach 2>/dev/null; true`
  // A PF of igb reports the VF's own MAC some time after the VF has gone up.
  const { address: _, ...held } = (await vfInfo()) ?? {}
  return [await links(`-n ${name}`), await links(''), held, await lab.must(files)]
}

/** The VF as `ip -d -j link show PF` shows it. */
async function vfInfo(index = 0): Promise<Record<string, unknown> | undefined> {
  const [link] = await json(lab, `ip -d -j link show dev ${card.pf}`)
  const list = (link?.vfinfo_list ?? []) as Record<string, unknown>[]
  return list.find((info) => info.vf === vf(index).index)
}

/** The file of sriov-cni about the VF as it was before. */
function cacheOf(more: Record<string, unknown> = {}): Record<string, unknown> {
  const { pci, index, netdev, mac } = vf()
  return {
    OrigVfState: {
      HostIFName: netdev,
      SpoofChk: true,
      Trust: false,
      AdminMAC: '00:00:00:00:00:00',
      EffectiveMAC: mac,
      Vlan: 0,
      VlanQoS: 0,
      VlanProto: 0x8100,
      MinTxRate: 0,
      MaxTxRate: 0,
      LinkState: 0,
      MTU: 1500,
    },
    Master: card.pf,
    MAC: '',
    VFID: index,
    cniVersion: '1.0.0',
    deviceID: pci,
    ipam: { type: 'host-local' },
    name: 'lab-net',
    type: 'sriov',
    vlan: null,
    max_tx_rate: null,
    min_tx_rate: null,
    ...more,
  }
}

/** An ADD of sriov-cni: the PF's settings, the move, its two files. `set` is what `ip link set PF vf N` takes. */
async function addAsSriov(
  name: string,
  set: readonly string[],
  cache: Record<string, unknown>,
): Promise<void> {
  const { netdev, index } = vf()
  await lab.must(`set -e
    ${set.map((words) => `ip link set ${card.pf} vf ${index} ${words}`).join('\n')}
    ip link set ${netdev} netns ${name} name net1
    ip -n ${name} link set net1 up`)
  await lab.writeFile(inUse(), `/run/netns/${name}`, 0o600)
  await lab.writeFile(`${folder}/${name}-net1`, JSON.stringify(cache), 0o600)
}

/** Takes the pods and sriov-cni's files away, and brings the VF home from wherever a test, or a failed one, left it. */
async function homeByHand(): Promise<void> {
  const { pci, netdev, index, mac } = vf()
  await lab.must(`set -e
    rm -rf ${folder}
    for name in pod-one pod-two filler; do
      if [ -e /run/netns/$name ]; then ip netns delete $name; fi
    done
    for try in $(seq 600); do
      now=$(ls /sys/bus/pci/devices/${pci}/net 2>/dev/null) && [ -n "$now" ] && break
      sleep 0.05
    done
    [ "$now" = ${netdev} ] || { ip link set "$now" down; ip link set "$now" name ${netdev}; }
    ip link set ${netdev} down alias ''
    ip link set ${card.pf} vf ${index} vlan 0 spoofchk on trust off max_tx_rate 0
    [ "$(cat /sys/class/net/${netdev}/address)" = ${mac} ] || ip link set ${netdev} address ${mac}`)
}

describe('an attachment of sriov-cni', () => {
  test('holds its VF: code 11 names the namespace, and neither ADD nor GC touches anything', async () => {
    const two = await newPod(lab, 'pod-two')
    await addAsSriov('pod-one', ['vlan 100'], cacheOf({ vlan: 100 }))
    let before = await theirState('pod-one')
    const other = attachment(two, { containerID: 'pod-two' })
    const error = errorOf(await runtime.call('ADD', plain(), pluginOf(plain()), other))
    expect(error.code).toBe(11)
    const list: ConfigList = { ...plain(), cniVersion: '1.1.0' }
    const nothingValid = { config: { 'cni.dev/valid-attachments': [] } }
    await silently(runtime.call('GC', list, pluginOf(list), other, nothingValid))
    expect(await theirState('pod-one')).toEqual(before)

    // Also when the interface is on the host, as with a user space driver that was taken off again.
    await lab.must(`ip -n pod-one link set net1 netns 1 name ${vf().netdev}`)
    before = await theirState('pod-one')
    const named = errorOf(await runtime.call('ADD', plain(), pluginOf(plain()), other))
    expect(named).toMatchObject({ code: 11, msg: expect.stringContaining('/run/netns/pod-one') })
    expect(await theirState('pod-one')).toEqual(before)
    expect(await lab.must('ip -n pod-two -br link')).not.toContain('net1')
  })

  test('does not hold it any more when its namespace is gone', async () => {
    await lab.writeFile(inUse(), '/run/netns/nobody', 0o600)
    await runtime.add(plain(), attachment(pod))
    expect(await lab.readFile(inUse())).toBe(pod)
    await runtime.del(plain(), attachment(pod))
    await expectUnchanged()
  })

  test('is restored by DEL with PF side, name, MAC and MTU; its files go, and its address is freed', async () => {
    const { netdev } = vf()
    const mac = '02:00:00:00:00:51'
    // igb lets a VF set its own MAC only as long as the PF has set none.
    await lab.must(`ip link set ${netdev} address ${mac}`)
    const set = ['vlan 100 qos 3', `mac ${mac}`, 'spoofchk off', 'trust on', 'max_tx_rate 300']
    const wishes = { vlan: 100, vlanQoS: 3, MAC: mac, spoofchk: 'off', trust: 'on', max_tx_rate: 300 }
    await addAsSriov('pod-one', set, cacheOf(wishes))
    const list = plain({ ipam })
    const addressed = await runtime.call('ADD', list, { type: 'host-local', ipam }, attachment(pod))
    expect(addressed.code).toBe(0)
    await lab.must('ip -n pod-one link set net1 mtu 1400')
    expect(await vfInfo()).toMatchObject({ trust: true, spoofchk: false })

    await runtime.del(list, attachment(pod))
    await expectUnchanged()
    expect(await exists(`${folder}/pod-one-net1`)).toBe(false)
    expect(await exists(inUse())).toBe(false)
    // The VF works for the next one, and a repeated DEL has nothing to do.
    await runtime.del(list, attachment(pod))
    await runtime.add(list, attachment(pod))
    expect(await json(lab, 'ip -n pod-one -j link show dev net1')).toMatchObject([{ address: vf().mac }])
    expect(await lab.readFile(inUse())).toBe(pod)
    await runtime.del(list, attachment(pod))
    await expectUnchanged()
  })

  test('is restored when its namespace is gone, as an early release saved it, without its MTU', async () => {
    const { OrigVfState, ...cache } = cacheOf({ vlan: 100, trust: 'on' })
    const { MTU: _, ...saved } = OrigVfState as Record<string, unknown>
    await addAsSriov('pod-one', ['vlan 100', 'trust on'], { ...cache, OrigVfState: saved })
    await deletePod(lab, 'pod-one')
    await runtime.del(plain(), attachment(pod))
    await newPod(lab, 'pod-one')
    await expectUnchanged()
  })

  test('is restored when its namespace is gone but held by unsent data of a server that was killed; so is ours, and one that its pod moved to a namespace of its own', async () => {
    const held = listOf(attachConfig(vf(1).pci, { ipam }))
    const wishes = { mac: '02:00:00:00:08:01', vlan: 9, trust: 'on', mtu: 1400 }
    const moved = listOf(attachConfig(vf(2).pci, { ...wishes, ipam }))
    const atTwo = { containerID: 'pod-two', ifname: 'net1' }
    const two = await newPod(lab, 'pod-two')
    await addClusterInterface(lab, 'pod-one', 7)
    await addAsSriov('pod-one', ['vlan 100', 'trust on'], cacheOf({ vlan: 100, trust: 'on' }))
    await runtime.add(held, attachment(pod, { ifname: 'net2' }))
    await runtime.add(moved, attachment(two, atTwo))
    await newPod(lab, 'filler')
    await lab.must(`ip -n pod-two link set net1 netns filler name inner
      ip link set cluster7 netns filler
      ip -n filler address add 10.244.7.1/24 dev cluster7; ip -n filler link set cluster7 up`)
    await serveToWhoDoesNotRead(lab, 'pod-one', '10.244.7.2', 'filler')
    await lab.must(
      'ip -n filler link set cluster7 down; kill -9 $(ip netns pids pod-one); ip netns del pod-one',
    )
    // All at once: each waits for its VF to come home by itself.
    const results = await Promise.all([
      runtime.call('DEL', plain(), pluginOf(plain()), attachment('')),
      runtime.call('DEL', held, pluginOf(held), attachment('', { ifname: 'net2' })),
      runtime.call('DEL', moved, pluginOf(moved), attachment(two, atTwo)),
    ])
    await lab.must('kill -9 $(ip netns pids filler); ip netns del filler; ip netns del pod-two')
    for (const result of results) {
      expect(result).toMatchObject({ code: 0, stdout: '' })
      expect(result.stderr).toContain('its driver igbvf is bound anew')
    }
    await newPod(lab, 'pod-one')
    await expectUnchanged()
    expect(['00:00:00:00:00:00', vf(2).mac]).toContain((await vfInfo(2))?.address)
    expect(await exists(`${folder}/pod-one-net1`)).toBe(false)
  })

  test('is restored when its namespace is gone, as release 2.10 saves it, and waits, for its PF side, for whoever changes something on the PF', async () => {
    await addAsSriov('pod-one', ['vlan 100', 'trust on'], cacheOf({ vlan: 100, trust: 'on' }))
    await deletePod(lab, 'pod-one')
    const lock = `/run/vf-flower/pf-lock ${card.pfPci}`
    const untilTold = 'touch /tmp/locked; until [ -e /tmp/unlock ]; do sleep 0.05; done'
    await lab.must('mkdir -p /run/vf-flower; rm -f /tmp/locked /tmp/unlock')
    // -o: it alone has the file open, its child does not.
    const holder = await lab.spawn(['flock', '-o', lock, 'sh', '-c', untilTold], { timeoutMs: 0 })
    await lab.must('until [ -e /tmp/locked ]; do sleep 0.05; done')
    const deleting = runtime.call('DEL', plain(), pluginOf(plain()), attachment(pod))
    const openers = `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '${lock}$'`
    const restored = `! ip link show dev ${card.pf} | grep -q 'vf ${vf().index} .*vlan 100'`
    await lab.must(`until [ "$(${openers})" -gt 1 ] || ${restored}; do sleep 0.05; done`)
    const meanwhile = await vfInfo()
    await lab.must('touch /tmp/unlock')
    await holder.wait()
    expect(meanwhile).toMatchObject({ vlan_list: [{ vlan: 100 }] })
    expect(await deleting).toMatchObject({ code: 0, stdout: '' })
    await newPod(lab, 'pod-one')
    await expectUnchanged()
  })

  test('whose file is broken is code 5, which names it, and the address is freed all the same', async () => {
    await addAsSriov('pod-one', [], cacheOf())
    await lab.writeFile(`${folder}/pod-one-net1`, '{"OrigVfS', 0o600)
    const untouched = await theirState('pod-one')
    const list = plain({ ipam })
    await runtime.call('ADD', list, { type: 'host-local', ipam }, attachment(pod))
    const error = errorOf(await runtime.call('DEL', list, pluginOf(list), attachment(pod)))
    expect(error).toMatchObject({ code: 5, msg: expect.stringContaining(`${folder}/pod-one-net1`) })
    expect(await theirState('pod-one')).toEqual(untouched)
    expect(await lab.must('ls /var/lib/cni/networks/lab-net')).not.toMatch(/^10\./m)
  })
})

describe('a late DEL', () => {
  test('of an attachment of sriov-cni leaves the VF to our newer one', async () => {
    await addAsSriov('pod-one', ['vlan 100'], cacheOf({ vlan: 100 }))
    await deletePod(lab, 'pod-one')
    const two = await newPod(lab, 'pod-two')
    const newer = attachment(two, { containerID: 'pod-two' })
    await lab.must(`until [ -e /sys/bus/pci/devices/${vf().pci}/net/net1 ]; do sleep 0.05; done`)
    await runtime.add(plain({ vlan: 200 }), newer)
    const taken = await json(lab, 'ip -n pod-two -d -j link show dev net1')
    await runtime.del(plain(), attachment(pod))
    expect(await json(lab, 'ip -n pod-two -d -j link show dev net1')).toEqual(taken)
    expect(await vfInfo()).toMatchObject({ vlan_list: [{ vlan: 200 }] })
    expect(await lab.readFile(inUse())).toBe(two)
    expect(await exists(`${folder}/pod-one-net1`)).toBe(false)
    await runtime.del(plain(), newer)
  })

  test('of an attachment of sriov-cni leaves the VF to a newer one of its own', async () => {
    await addAsSriov('pod-one', ['vlan 100'], cacheOf({ vlan: 100 }))
    await newPod(lab, 'pod-two')
    await lab.must('ip -n pod-one link set net1 netns pod-two; ip -n pod-two link set net1 up')
    await lab.writeFile(inUse(), '/run/netns/pod-two', 0o600)
    await runtime.del(plain(), attachment(pod))
    expect(await json(lab, 'ip -n pod-two -j link show dev net1')).toHaveLength(1)
    expect(await vfInfo()).toMatchObject({ vlan_list: [{ vlan: 100 }] })
    expect(await lab.readFile(inUse())).toBe('/run/netns/pod-two')
  })

  test.each(['pod-two', 'pod-one'])(
    'of ours leaves the VF to a newer one of sriov-cni in %s',
    async (name) => {
      await runtime.add(plain(), attachment(pod))
      // The path of pod-one is the one that our claim has. A new namespace may get the number of one that is gone: the
      // old one is held, and the VF comes home by hand.
      const holder = await lab.spawn(['ip', 'netns', 'exec', 'pod-one', 'sh', '-c', 'echo held; cat'])
      await expect.poll(() => holder.stdout(), { timeout: 30_000 }).toBe('held\n')
      await lab.must('ip -n pod-one link set net1 netns 1')
      await deletePod(lab, 'pod-one')
      await newPod(lab, name)
      await lab.must(`set -e
      ip link set ${card.pf} vf ${vf().index} vlan 300
      ip link set net1 netns ${name}; ip -n ${name} link set net1 up`)
      await lab.writeFile(inUse(), `/run/netns/${name}`, 0o600)

      await runtime.del(plain(), attachment(name === 'pod-one' ? pod : ''))
      expect(await json(lab, `ip -n ${name} -j link show dev net1`)).toMatchObject([
        { flags: expect.arrayContaining(['UP']) },
      ])
      expect(await vfInfo()).toMatchObject({ vlan_list: [{ vlan: 300 }] })
      expect(await lab.readFile(inUse())).toBe(`/run/netns/${name}`)
      expect((await lab.must('ls /var/lib/cni/vf-flower/attach')).trim()).toBe('')
      holder.end()
      await holder.wait()
    },
  )
})

describe('sriov-cni is told', () => {
  test('nothing of an ADD that failed', async () => {
    const broken = plain({ ipam: { type: 'static', addresses: [{ address: 'bogus' }] } })
    errorOf(await runtime.call('ADD', broken, pluginOf(broken), attachment(pod)))
    await expectUnchanged()
    expect(await exists(inUse())).toBe(false)
  })

  test('to wait while we work, as we wait for its lock, and which VFs we have, in its form, as long as we have them', async () => {
    const lock = `${folder}/pci/vf_lock/${vf().pci}.lock`
    await lab.must(`mkdir -p ${folder}/pci/vf_lock && rm -f /tmp/locked /tmp/unlock`)
    const untilTold = 'touch /tmp/locked; until [ -e /tmp/unlock ]; do sleep 0.05; done'
    // -o: it alone has the file open, its child does not.
    await lab.spawn(['flock', '-o', lock, 'sh', '-c', untilTold])
    await lab.must('until [ -e /tmp/locked ]; do sleep 0.05; done')
    const waiting = inTurn(() => runtime.call('ADD', plain(), pluginOf(plain()), attachment(pod)))
    const openers = `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '${lock}$'`
    await lab.must(`until [ "$(${openers})" -gt 1 ]; do sleep 0.05; done`)
    expect(await json(lab, `ip -j link show dev ${vf().netdev}`)).toHaveLength(1)
    await lab.must('touch /tmp/unlock')
    expect(await waiting).toMatchObject({ code: 0 })
    expect(await lab.readFile(inUse())).toBe(pod)
    expect((await lab.must(`stat -c %a ${inUse()}`)).trim()).toBe('600')
    await runtime.del(plain(), attachment(pod))
    expect(await exists(inUse())).toBe(false)
    await expectUnchanged()
  })
})

describe('an attachment of host-device', () => {
  const theirs = (more: Record<string, unknown>): ConfigList => listOf({ type: 'host-device', ...more })
  const ours = (more: Record<string, unknown>): ConfigList => listOf({ type: 'vf-attach', ...more })

  test('is brought home by DEL, selected by pciBusID', async () => {
    const selection = { pciBusID: vf().pci, ipam }
    await runtime.add(theirs(selection), attachment(pod))
    expect(await json(lab, 'ip -n pod-one -j link show dev net1')).toMatchObject([{ ifalias: vf().netdev }])
    await runtime.del(ours({ pciBusID: vf(1).pci }), attachment(pod))
    expect(await json(lab, 'ip -n pod-one -j link show dev net1')).toMatchObject([{ ifalias: vf().netdev }])
    for (const plugin of [selection, selection]) await runtime.del(ours(plugin), attachment(pod))
    await expectUnchanged()
  })
})
