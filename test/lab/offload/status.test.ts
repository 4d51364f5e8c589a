// STATUS of vf-offload: kernel modules that an ADD needs are taken away, and STATUS names each, as an error where every ADD needs it; it leaves nothing of what it
// tries out. On igb, and on a card in switchdev mode (simnic, from source, not hardware). What needs no NIC is in test/native.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setMode, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod, type Topology, WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'
import { withoutNft } from '../../support/without-nft.ts'

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

test('STATUS says nothing and leaves nothing where all is there', async () => {
  const [before, count] = [await snapshot(vm), await namespaces()]
  const both = { capabilities: { portMappings: true, bandwidth: true } }
  expect(await status({ ...both, deviceID: igb.vfs[0]?.pci })).toMatchObject({
    code: 0,
    stdout: '',
    stderr: '',
  })
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
const forPorts = { capabilities: { portMappings: true } }
/** One of them is enough for limits. */
const classifiers = ['cls_matchall', 'cls_flower', 'cls_u32', 'cls_basic']

test('STATUS tries the needs of limits where limits can be, and misses them with an error where every pod is limited', async () => {
  const [take = '', give = ''] = modules('sch_tbf', 'ifb', ...classifiers)
  const limit = { ingressRate: 8000, ingressBurst: 80 }
  await vm.must(take)
  const results: [number, boolean][] = []
  for (const config of [
    {},
    { capabilities: { portMappings: true } },
    limits,
    { type: 'bandwidth', ...limits },
    // A limit of what a VF in legacy mode sends is its PF's.
    { egressRate: 8000, egressBurst: 80 },
    limit,
  ]) {
    const { code, stderr } = await status(config)
    results.push([code, stderr.includes('tbf')])
  }
  const every = errorOf(await status(limit))
  await vm.must(give)
  expect(results).toEqual([
    [0, false],
    [0, false],
    [0, true],
    [0, true],
    [0, true],
    [1, false],
  ])
  expect(every).toMatchObject({
    code: 50,
    msg: expect.stringMatching(/tbf \(sch_tbf\), for limits: .*ENOENT/),
  })
})

test('STATUS misses nothing in legacy mode that only translation in the NIC and tags need', async () => {
  const [take = '', give = ''] = modules('act_csum', 'act_vlan', 'cls_matchall', 'act_police')
  await vm.must(take)
  const result = await status({ ...forPorts, deviceID: igb.vfs[0]?.pci })
  await vm.must(give)
  expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' })
})

test('STATUS names what of nf_tables the kernel lacks, and the program nft beside it', async () => {
  const [take = '', give = ''] = modules('nft_fib_inet')
  // The table of ports of an earlier test uses the module, until the kernel has freed what was deleted.
  await vm.must(`${WAIT_UNTIL}
    nft flush ruleset
    is_gone() { rmmod nft_fib_inet; ! grep -q '^nft_fib_inet ' /proc/modules; }
    wait_until is_gone
    ${take}`)
  const without = await status(forPorts)
  await vm.must(give)
  const other = await withoutNft(vm, () => status(forPorts))
  expect(without.stderr).toMatch(/nf_tables of the kernel, for port mappings: NFT_MSG_NEWRULE[^;]*ENOENT/)
  expect(without.stderr).not.toContain('the program nft')
  expect(other.stderr).toMatch(/the program nft, for port mappings of VFs.*"nft" is not installed/)
  expect(other.stderr).not.toContain('nf_tables')
})

test('without the program nft the ADD of a VF with ports fails with its name, and takes the VF back', async () => {
  const ipam = { type: 'static', addresses: [{ address: '10.1.0.9/22' }] }
  const plugins = [
    { type: 'vf-attach', deviceID: igb.vfs[0]?.pci, ipam },
    { type: 'vf-offload', ...forPorts },
  ]
  const list = { cniVersion: '1.0.0', name: 'without', plugins }
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
  await vm.must(`ip address add 10.1.0.1/22 dev ${igb.pf}`)
  const pod = attachment(await newPod(vm, 'without'), { capabilityArgs: { portMappings: ports } })
  await withoutNft(vm, () =>
    expect(runtime.add(list, pod)).rejects.toMatchObject({
      ...{ plugin: 'vf-offload', code: 102 },
      msg: expect.stringContaining('the program "nft" is not installed'),
    }),
  )
  await runtime.del(list, pod)
  await deletePod(vm, 'without')
  await vm.must(`ip address del 10.1.0.1/22 dev ${igb.pf}`)
})

test('STATUS names classifiers, actions, the shaper and the interface of limits at once when they are missing, without an error', async () => {
  const [take = '', give = ''] = modules('act_pedit', 'act_mirred', 'sch_tbf', 'ifb', 'cls_matchall')
  await vm.must(take)
  const results = [await status(forPorts), await status(limits)]
  // Without the classifier nobody can be asked for its actions.
  await vm.must(modules('cls_flower', 'cls_u32', 'cls_basic')[0] ?? '')
  results.push(await status(forPorts), await status(limits))
  await vm.must(give)
  expect(results.map(({ code, stdout }) => [code, stdout])).toEqual(results.map(() => [0, '']))
  const words = results.map(({ stderr }) => stderr)
  expect(words[0]).toMatch(
    /action mirred \(act_mirred\), for port [^;]*: ENOENT[^;]*action pedit \(act_pedit\), for port/,
  )
  expect(words[0]).not.toContain('for limits')
  for (const one of [
    /qdisc tbf \(sch_tbf\), for limits: RTM_NEWQDISC: ENOENT/,
    /interface of kind ifb \(ifb\), for limits: RTM_NEWLINK: EOPNOTSUPP/,
    /action mirred \(act_mirred\), for limits: RTM_NEWTFILTER: ENOENT/,
  ])
    expect(words[1]).toMatch(one)
  expect(words[1]).not.toContain('classifier')
  expect(words[2]).toMatch(
    /classifier flower \(cls_flower\), for port mappings of VFs and NICs: RTM_NEWTFILTER: ENOENT/,
  )
  expect(words[3]).toMatch(/one of matchall, flower, u32, basic: classifier matchall .*classifier basic/)
})

test("STATUS says on stderr that a device is no VF, and that a VF's uplink is down", async () => {
  const pf = await status({ ...forPorts, deviceID: igb.pfPci })
  expect(pf).toMatchObject({ code: 0, stderr: expect.stringContaining('is no virtual function') })
  await vm.must(`ip link set ${igb.pf} down`)
  const down = await status({ ...forPorts, deviceID: igb.vfs[0]?.pci })
  await vm.must(`ip link set ${igb.pf} up`)
  expect(down).toMatchObject({ code: 0, stderr: expect.stringContaining(`uplink "${igb.pf}" is down`) })
})

test('STATUS says on stderr that legacy mode or hw-tc-offload off keeps filters out of the NIC where they must be there', async () => {
  const legacy = await status({ ...forPorts, offload: 'require', deviceID: igb.vfs[0]?.pci })
  expect(legacy).toMatchObject({ code: 0, stderr: expect.stringContaining(`"${igb.pf}" is in legacy mode`) })
  ;[card] = (await loadSimnic(vm)) as [Card]
  await setVfs(vm, card, 1)
  // Without a device any NIC with VFs may be meant.
  const every = await status({ ...forPorts, nat: 'nic' })
  expect(every.stderr).toMatch(
    new RegExp(`nat "nic" would fail: .*"${igb.pf}" is in legacy mode.*"${card.pf}" is in legacy mode`),
  )
  await setMode(vm, card, 'switchdev')
  await vm.must(`ip link set ${card.pf} up`)
  const vf = (await vm.must(`basename $(readlink /sys/class/net/${card.pf}/device/virtfn0)`)).trim()
  expect(await status({ ...forPorts, offload: 'require', deviceID: vf })).toMatchObject({
    code: 0,
    stderr: '',
  })
  expect(await status({ ...forPorts, offload: 'require' })).toMatchObject({ code: 0, stderr: '' })
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
    const { code, stderr } = await status({ ...forPorts, deviceID: vf, ...config })
    await vm.must(back)
    asked.push([module, code, stderr])
  }
  await vm.must('ip link del vlan20')
  expect(asked).toEqual([
    ['act_csum', 0, ''],
    [
      'act_csum',
      0,
      expect.stringContaining('action csum (act_csum), for port mappings that the NIC translates'),
    ],
    ['act_vlan', 0, ''],
    [
      'act_vlan',
      0,
      expect.stringContaining('action vlan (act_vlan), for port mappings on addresses in a VLAN'),
    ],
  ])
  // A limit outside the pod can only be a policer there.
  const outside = { ...limits, bandwidth: { require: 'outside' }, deviceID: vf }
  const [take = '', give = ''] = modules('act_police')
  await vm.must(take)
  const [police, inPod] = [await status(outside), await status({ ...limits, deviceID: vf })]
  await vm.must(give)
  expect(police).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(
      'action police (act_police), for limits outside the pod: RTM_NEWTFILTER: ENOENT',
    ),
  })
  expect(inPod).toMatchObject({ code: 0, stdout: '' })
  await vm.must(`ethtool -K ${card.pf} hw-tc-offload off`)
  const off = await status({ ...forPorts, offload: 'require', deviceID: vf })
  await vm.must(`ethtool -K ${card.pf} hw-tc-offload on`)
  expect(off).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`hw-tc-offload of "${card.pf}" is off`),
  })
  await setMode(vm, card, 'legacy')
})
