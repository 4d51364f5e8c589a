// What drivers do otherwise than they are asked to (simnic, profiles nfp, bnxt and mlx5, from source, not hardware) is not asked
// of them: mapped ports answer all the same, the reason is said, and limits are kept where they can be.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { hardwareRules, knob, type SimnicOptions, setVfMacs } from '../../../hack/lab/bed/simnic.ts'
import {
  CLIENT_A,
  CLIENT_B,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  tellNeighbours,
} from '../../../hack/lab/bed/topology.ts'
import { ask, type Server, serve } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { makeRateBed, RATE_BRIDGE, type RateBed, recordedLimits } from '../../support/rate-bed.ts'

const POD = { v4: '10.1.0.5', v6: 'fd00:1::5' } as const
const pod = 'pod-one'
const tcp = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const portMappings = [tcp, { hostPort: 5353, containerPort: 53, protocol: 'udp' }]
const directSubnets = ['10.9.0.0/24']

let vm: Lab
let runtime: Runtime
let bed: RateBed | undefined
let list: ConfigList
let attached: CniResult
let server: Server | undefined
let there: string

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
})
afterEach(async () => {
  await call('DEL')
  await server?.stop()
  if (bed !== undefined) {
    await runtime.del(list, of({}))
    await deletePod(vm, pod)
    await bed.end()
  }
  bed = undefined
})
afterAll(() => bed?.end())

const vf = () => bed?.net.vfs[0]?.pci ?? ''
const pf = () => bed?.card.pf ?? ''
const of = (capabilityArgs: object) =>
  attachment(`/run/netns/${pod}`, { capabilityArgs: { ...capabilityArgs } })
const lookAtState = () => vm.must(stateScript(pf(), [{ name: pod }]))

/** A card of the driver, and a pod with a server on its first VF. */
async function onCard(driverName: string, profile: NonNullable<SimnicOptions['profile']>): Promise<void> {
  bed = await makeRateBed(vm, { driverName, profile })
  await setVfMacs(vm, bed.card)
  await newPod(vm, pod)
  const ipam = {
    ...staticIpam(`${POD.v4}/24`, `${POD.v6}/64`),
    routes: [
      { dst: '0.0.0.0/0', gw: '10.1.0.254' },
      { dst: '::/0', gw: 'fd00:1::fe' },
    ],
  }
  const main = attachConfig(vf(), { bridge: RATE_BRIDGE, ipam })
  list = listOf(main, offloadConfig(vf()))
  attached = await runtime.add(listOf(main), of({}))
  await linkIsReady(vm, pod)
  await tellNeighbours(vm, pod)
  server = await serve(vm, pod, [
    { name: 'pod', protocol: 'tcp', port: 80 },
    { name: 'pod', protocol: 'udp', port: 53 },
  ])
  there = await lookAtState()
}

const call = (command: string, config: Record<string, unknown> = {}, wishes: object = { portMappings }) => {
  const capabilities = { portMappings: true, bandwidth: true }
  const plugin = { ...offloadConfig(vf(), config), capabilities }
  return runtime.call(command, list, plugin, of(wishes), { prevResult: attached })
}

/** What an ADD says that must succeed. */
async function add(config: Record<string, unknown>, wishes: object = { portMappings }): Promise<string> {
  const { code, stdout, stderr } = await call('ADD', config, wishes)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return stderr
}

async function refused(config: Record<string, unknown>, words: RegExp): Promise<void> {
  expect(errorOf(await call('ADD', config))).toMatchObject({ code: 101, msg: expect.stringMatching(words) })
  expect(stateDifferences(there, await lookAtState())).toEqual([])
}

/** Both clients, both families, both protocols; nobody translates the client's address. */
async function portsAnswer(protocols: readonly string[] = ['tcp', 'udp']): Promise<void> {
  for (const client of [CLIENT_A, CLIENT_B]) {
    const asks = (['v4', 'v6'] as const)
      .flatMap((family) => [
        { protocol: 'tcp', address: HOST[family], port: 8080, timeoutMs: 60_000 } as const,
        { protocol: 'udp', address: HOST[family], port: 5353, timeoutMs: 60_000 } as const,
      ])
      .filter(({ protocol }) => protocols.includes(protocol))
    expect((await ask(vm, client.namespace, asks)).map(({ server }) => server)).toEqual(asks.map(() => 'pod'))
  }
}

/** The place of each mapping's rules, and whether they have the condition on fragments. */
async function places(): Promise<string[]> {
  const { journal } = JSON.parse(await vm.must('cat /var/lib/cni/vf-flower/offload/*.json')) as {
    journal: { rules: { mapping: string; where: string; rule: { fragments?: string; proto: string } }[] }
  }
  const rules = journal.rules.filter(({ mapping }) => mapping.includes('->'))
  return [
    ...new Set(rules.map(({ mapping, where, rule }) => `${mapping} ${where} ${rule.fragments ?? 'any'}`)),
  ].sort()
}

const counted = async () =>
  bed === undefined ? [] : (await hardwareRules(vm, bed.card)).map(({ packets }) => packets > 0)

async function delLeavesNothing(): Promise<void> {
  await silently(call('DEL'))
  expect(stateDifferences(there, await lookAtState())).toEqual([])
}

test('nfp: no translation in the NIC, where the order of filters would be open, and no policer of 40 Gbit/s', async () => {
  await onCard('nfp', 'nfp')
  const words = /driver "nfp" drops the priorities of filters: frames .*nfp_flower_add_offload\(\)/
  await refused({ nat: 'nic', directSubnets }, words)
  await refused({ nat: 'nic' }, words)
  // Of UDP nobody asks for a translation in the NIC with nat "auto".
  const wishes = { portMappings: [tcp], bandwidth: { ingressRate: 40e9, ingressBurst: 8e9 } }
  const said = await add({ directSubnets }, wishes)
  expect(said).toMatch(new RegExp(`not with nat "nic": ${words.source}`))
  expect(said).toMatch(/limited by ifb \(pod\); not by police: driver "nfp" keeps .* 5000000000 bytes\/s/)
  expect(await recordedLimits(vm)).toEqual([['toPod', 'pod', 'ifb']])
  expect(await places()).toEqual(['tcp 8080 -> 80 nic none'])
  await portsAnswer(['tcp'])
  expect(await counted()).toEqual(Array(4).fill(true))
  await silently(call('CHECK', { directSubnets }, wishes))
  await delLeavesNothing()
  // The last rate that fits is a policer's.
  await add({}, { portMappings, bandwidth: { ingressRate: 34e9, ingressBurst: 8e9 } })
  expect(await recordedLimits(vm)).toEqual([['toPod', 'nic', 'police']])
  await delLeavesNothing()
}, 600_000)

test('bnxt: TCP in the NIC without the condition on fragments, UDP in software, and never a translation in the NIC', async () => {
  await onCard('bnxt_en', 'bnxt')
  await refused({ nat: 'nic' }, /driver "bnxt_en" accepts and ignores action csum .*rewritten port/)
  await refused({ offload: 'require' }, /^Cannot map udp 5353 -> 53 in the NIC: driver "bnxt_en" refuses/)
  const said = await add({})
  expect(said).toMatch(
    /does not take "ip_flags nofrag" \(driver "bnxt_en" .* may be lost for tcp 8080 -> 80$/m,
  )
  expect(await places()).toEqual(['tcp 8080 -> 80 nic any', 'udp 5353 -> 53 host none'])
  await portsAnswer()
  expect(await counted()).toEqual(Array(4).fill(true))
  await silently(call('CHECK'))
  await delLeavesNothing()
}, 600_000)

test('mlx5 without meters: the limit is in the pod, and the reason names the cards that have them', async () => {
  await onCard('mlx5_core', 'mlx5')
  if (bed !== undefined) await knob(vm, bed.card, 'no_meters', 1)
  const wishes = { portMappings, bandwidth: { ingressRate: 1e8, ingressBurst: 16e6 } }
  expect(await add({}, wishes)).toMatch(
    /limited by ifb \(pod\); not by police: no flow meters \(ConnectX-6 Dx and newer have them\): the driver said "EINVAL: mlx5_core: Failed to get flow meter"/,
  )
  expect(await places()).toEqual(['tcp 8080 -> 80 nic none', 'udp 5353 -> 53 nic none'])
  await portsAnswer()
  await silently(call('CHECK', {}, wishes))
  await delLeavesNothing()
  if (bed !== undefined) await knob(vm, bed.card, 'no_meters', 0)
  const most = { portMappings, bandwidth: { ingressRate: 1e9, ingressBurst: 8 * 2 ** 31 } }
  expect(await add({}, most)).toMatch(
    /ingressBurst 17179869184: more than driver "mlx5_core" keeps .*meter\.c/,
  )
  expect(await recordedLimits(vm)).toEqual([['toPod', 'nic', 'police']])
  await silently(call('CHECK', {}, most))
  await delLeavesNothing()
}, 600_000)
