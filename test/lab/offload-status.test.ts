// STATUS of vf-offload: kernel modules that an ADD needs are taken away, and STATUS names each; it leaves nothing of what it
// tries out. On igb, and on a card in switchdev mode (simnic, from source, not hardware). What needs no NIC is in test/native.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cniRuntime, type Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab } from '../support/lab.ts'
import { attachment, errorOf, listOf, pluginPath } from '../support/plugins.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../support/simnic.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

let vm: Lab
let runtime: Runtime
let igb: Topology
let card: Card

beforeAll(async () => {
  vm = await lab()
  // Also installed as `bandwidth`, as an operator does it who has no other plugin of the name.
  await vm.must(`mkdir -p /run/names && ln -sf ${pluginPath[0]}/vf-offload /run/names/bandwidth`)
  runtime = cniRuntime(vm, ['/run/names', ...pluginPath])
  igb = await makeVfs(vm, 1)
})
afterAll(async () => {
  if (igb !== undefined) await removeVfs(vm, igb)
  await unloadSimnic(vm)
  await vm.must('rm -r /run/names')
})

const status = (config: Record<string, unknown> = {}) => {
  const plugin = { type: 'vf-offload', ...config }
  const list = { ...listOf(plugin), cniVersion: '1.1.0' }
  return runtime.call('STATUS', list, plugin, attachment(''))
}

/** Network namespaces that anything keeps alive. */
const namespaces = async () => Number(await vm.must('lsns -n -t net | wc -l'))

test('all is there: it says nothing and leaves nothing', async () => {
  const [before, count] = [await snapshot(vm), await namespaces()]
  expect(await status({ deviceID: igb.vfs[0]?.pci })).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
  expect(await namespaces()).toBe(count)
})

/** Takes modules away so that nothing can load them, and how to give them back. */
const modules = (...names: string[]) => [
  names
    .map((name) => `rmmod ${name} 2>/dev/null; echo install ${name} /bin/false >>/etc/modprobe.d/none.conf`)
    .join('\n'),
  'rm /etc/modprobe.d/none.conf',
]

const limits = { capabilities: { bandwidth: true } }

test('what only limits need is asked for where limits can be: by the capability, the name or a key', async () => {
  const [take = '', give = ''] = modules('sch_tbf', 'ifb', 'cls_matchall')
  await vm.must(take)
  const codes: number[] = []
  for (const config of [
    {},
    { capabilities: { portMappings: true } },
    limits,
    { ingressRate: 8000, ingressBurst: 80 },
    { type: 'bandwidth' },
  ])
    codes.push((await status(config)).code)
  await vm.must(give)
  expect(codes).toEqual([0, 0, 1, 1, 1])
})

test('in legacy mode the pod translates and tags stay: what neither needs may be missing', async () => {
  const [take = '', give = ''] = modules('act_csum', 'act_vlan', 'cls_matchall', 'act_police')
  await vm.must(take)
  const result = await status({ deviceID: igb.vfs[0]?.pci })
  await vm.must(give)
  expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' })
})

test('classifiers, actions, the shaper and the interface of limits missing: code 50, and all are named at once', async () => {
  const [take = '', give = ''] = modules('act_pedit', 'act_mirred', 'sch_tbf', 'ifb', 'cls_matchall')
  const forPorts = { capabilities: { portMappings: true } }
  await vm.must(take)
  const results = [await status(forPorts), await status(limits)]
  // Without the classifier nobody can be asked for its actions.
  await vm.must(modules('cls_flower')[0] ?? '')
  results.push(await status(forPorts))
  await vm.must(give)
  const words = results.map(errorOf)
  expect(words.map(({ code }) => code)).toEqual([50, 50, 50])
  expect(words[0]?.msg).toMatch(
    /action mirred \(act_mirred\), for port [^;]*: ENOENT[^;]*; action pedit \(act_pedit\), for port/,
  )
  expect(words[0]?.msg).not.toContain('for limits')
  expect(words[2]?.msg).toMatch(
    /classifier flower \(cls_flower\), for port mappings of VFs and NICs: RTM_NEWTFILTER: ENOENT/,
  )
  for (const one of [
    /qdisc tbf \(sch_tbf\), for limits: RTM_NEWQDISC: ENOENT/,
    /interface of kind ifb \(ifb\), for limits: RTM_NEWLINK: EOPNOTSUPP/,
    /classifier matchall \(cls_matchall\), for limits: RTM_NEWTFILTER: ENOENT/,
  ])
    expect(words[1]?.msg).toMatch(one)
})

test('a device that is no VF: code 50; a VF whose uplink is down: code 51', async () => {
  const pf = errorOf(await status({ deviceID: igb.pfPci }))
  expect(pf).toMatchObject({ code: 50, msg: expect.stringContaining('is no virtual function') })
  await vm.must(`ip link set ${igb.pf} down`)
  const down = errorOf(await status({ deviceID: igb.vfs[0]?.pci }))
  await vm.must(`ip link set ${igb.pf} up`)
  expect(down).toMatchObject({ code: 51, msg: expect.stringContaining(`uplink "${igb.pf}" is down`) })
})

test('rules must be in the NIC: legacy mode and hw-tc-offload off are code 51', async () => {
  const legacy = errorOf(await status({ offload: 'require', deviceID: igb.vfs[0]?.pci }))
  expect(legacy).toMatchObject({ code: 51, msg: expect.stringContaining(`"${igb.pf}" is in legacy mode`) })
  ;[card] = (await loadSimnic(vm)) as [Card]
  await setVfs(vm, card, 1)
  // Without a device any NIC with VFs may be meant.
  const every = errorOf(await status({ nat: 'nic' }))
  expect(every.msg).toMatch(
    new RegExp(`nat "nic": .*"${igb.pf}" is in legacy mode.*"${card.pf}" is in legacy mode`),
  )
  await setMode(vm, card, 'switchdev')
  await vm.must(`ip link set ${card.pf} up`)
  const vf = (await vm.must(`basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)).trim()
  expect(await status({ offload: 'require', deviceID: vf })).toMatchObject({ code: 0, stdout: '' })
  expect(await status({ offload: 'require' })).toMatchObject({ code: 0, stdout: '' })
  // Only the NIC's translation needs checksums, and only VLANs tags.
  const inVlan = `ip link add link ${card.pf} name vlan20 type vlan id 20; ip address add 192.0.2.1/24 dev vlan20`
  const asked: [string, number, string][] = []
  for (const [module, action, config] of [
    ['act_csum', 'true', {}],
    ['act_csum', 'true', { nat: 'nic' }],
    ['act_vlan', 'true', {}],
    ['act_vlan', inVlan, {}],
  ] as const) {
    const [away = '', back = ''] = modules(module)
    await vm.must(`${action}\n${away}`)
    const { code, stdout } = await status({ deviceID: vf, ...config })
    await vm.must(back)
    asked.push([module, code, stdout])
  }
  await vm.must('ip link del vlan20')
  expect(asked).toEqual([
    ['act_csum', 0, ''],
    [
      'act_csum',
      1,
      expect.stringContaining('action csum (act_csum), for port mappings that the NIC translates'),
    ],
    ['act_vlan', 0, ''],
    [
      'act_vlan',
      1,
      expect.stringContaining('action vlan (act_vlan), for port mappings on addresses in a VLAN'),
    ],
  ])
  // A limit outside the pod can only be a policer there.
  const outside = { ...limits, bandwidth: { require: 'outside' }, deviceID: vf }
  const [take = '', give = ''] = modules('act_police')
  await vm.must(take)
  const [police, inPod] = [errorOf(await status(outside)), await status({ ...limits, deviceID: vf })]
  await vm.must(give)
  expect(police).toMatchObject({
    code: 50,
    msg: expect.stringContaining(
      'action police (act_police), for limits outside the pod: RTM_NEWTFILTER: ENOENT',
    ),
  })
  expect(inPod).toMatchObject({ code: 0, stdout: '' })
  await vm.must(`ethtool -K ${card.pf} hw-tc-offload off`)
  const off = errorOf(await status({ offload: 'require', deviceID: vf }))
  await vm.must(`ethtool -K ${card.pf} hw-tc-offload on`)
  expect(off).toMatchObject({
    code: 51,
    msg: expect.stringContaining(`hw-tc-offload of "${card.pf}" is off`),
  })
  await setMode(vm, card, 'legacy')
})
