// One process that serves every verb of both plugins, twice and by turns, answers as a new process for each call does: log, faults,
// settings and errors of one call do not reach the next one, and nothing stays open. Two processes with the same PID can write one file.
// needs: veth, bridge, nft
import { expect, test } from 'vitest'
import { attachToBridge, bridgeList, chained, podOf } from '../../../hack/lab/bed/bridge-bed.ts'
import { listOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import {
  type CniResult,
  type ConfigList,
  cniRuntime,
  type PluginConfig,
} from '../../../hack/lab/cni-runtime.ts'
import { drive, probe } from '../../../hack/lab/driver/client.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'
import {
  ended,
  handingOver,
  type ServedAnswer,
  type ServedCall,
  serveAll,
} from '../../support/served-calls.ts'

let node: BridgeNode
useBridgeNode((made) => {
  node = made
})
useFreshPods(() => node, ['pod-one'])

const pod = 'pod-one'
const bare: PluginConfig = { type: 'vf-attach', device: 'nic0', mtu: 1400 }
const nic: PluginConfig = {
  ...bare,
  ipam: { type: 'static', addresses: [{ address: '10.9.0.5/24' }] },
}
const limited = chained({ ingressRate: 8_000_000, ingressBurst: 800_000 })
const valid = {
  'cni.dev/valid-attachments': [
    { containerID: pod, ifname: 'net1' },
    { containerID: pod, ifname: 'eth0' },
  ],
}

/** The call as a runtime would send it. */
async function callOf(
  command: string,
  list: ConfigList,
  plugin: PluginConfig,
  more: { prevResult?: CniResult; env?: Record<string, string>; config?: Record<string, unknown> } = {},
): Promise<ServedCall> {
  let seen: ServedCall | undefined
  const recorder = handingOver(node.lab, async (call) => {
    seen = call
    return ended(0, '', '')
  })
  const attachment = { ...podOf(pod), ...(plugin.type === 'vf-attach' ? { ifname: 'net1' } : {}) }
  // The distribution's IPAM plugins speak 1.0.0.
  const cniVersion = command === 'GC' || command === 'STATUS' ? '1.1.0' : '1.0.0'
  await cniRuntime(recorder, pluginPath).call(command, { ...list, cniVersion }, plugin, attachment, more)
  if (seen === undefined) throw new Error('Nothing was called')
  return seen
}

/** The answer of a new process. */
async function fresh({ name, env, stdin }: ServedCall): Promise<ServedAnswer> {
  const file = `${pluginPath[0]}/${name}`
  const { code, stdout, stderr } = await node.lab.exec([file], { env, cleanEnv: true, stdin })
  return { exitCode: code ?? -1, stdout, stderr, asked: 0, waits: [], left: [], isAtHome: true }
}

/** An answer without what differs between two processes at different times. */
function comparable({ exitCode, stdout, stderr, left, isAtHome }: ServedAnswer): unknown {
  const lines = stderr.split('\n').map((line) => {
    if (!line.startsWith('{')) return line
    const text = (key: string, value: unknown) =>
      ['time', 'pid', 'ms', 'handle'].includes(key) ? undefined : value
    return JSON.parse(line, text)
  })
  return { exitCode, stdout, lines, left, isAtHome }
}

test('every verb of both plugins, twice and by turns, as in processes of their own', {
  timeout: 120_000,
}, async () => {
  await node.lab.must('ip link add nic0 address 02:00:00:00:00:77 type veth peer name nic0-peer')
  const bridged = await attachToBridge(node.lab, node.runtime, pod)
  const [attachList, offloadList] = [listOf(nic), bridgeList(pod)]
  const attach = (command: string, more = {}) =>
    callOf(command, attachList, command === 'GC' || command === 'STATUS' ? bare : nic, more)
  const offload = (command: string, more = {}) => callOf(command, offloadList, limited, more)
  const added = await fresh(await attach('ADD'))
  expect(added).toMatchObject({ exitCode: 0 })
  await fresh(await attach('DEL'))
  const [own, result] = [{ prevResult: JSON.parse(added.stdout) as CniResult }, { prevResult: bridged }]
  const debug = { env: { VF_FLOWER_LOG_LEVEL: 'debug' } }
  const faulty = { env: { VF_FLOWER_FAULT: 'op:2:before:EBUSY' } }
  const calls = await Promise.all([
    attach('ADD', faulty),
    offload('ADD', { ...result, ...faulty }),
    attach('ADD', debug),
    offload('ADD', result),
    attach('ADD'),
    offload('ADD', { ...result, config: { portMappings: 7 } }),
    attach('CHECK', own),
    offload('CHECK', { ...result, ...debug }),
    attach('STATUS'),
    offload('STATUS'),
    attach('GC', { config: valid }),
    offload('GC', { config: valid }),
    attach('CHECK', result),
    attach('ADD', { config: { vlan: 5000 } }),
    offload('DEL', { ...result, ...debug }),
    attach('DEL'),
    offload('DEL', result),
    attach('DEL', { env: { CNI_NETNS: '' } }),
    attach('NONE'),
  ])
  const apart: ServedAnswer[] = []
  for (const call of calls) apart.push(await fresh(call))
  // The list is worth something: calls of each outcome, and log lines.
  expect(apart.map(({ exitCode }) => exitCode)).toEqual([
    1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1,
  ])
  expect(apart.filter(({ stderr }) => stderr.startsWith('{')).length).toBe(3)
  const together = await serveAll(node.lab, [...calls, ...calls])
  const expected = apart.map(comparable)
  for (const [at, answer] of together.entries())
    expect([at, comparable(answer)]).toEqual([at, expected[at % calls.length]])
  expect(
    await node.lab.must(
      'ls -A /var/lib/cni/vf-flower/attach /var/lib/cni/vf-flower/offload | grep json || true',
    ),
  ).toBe('')
  await node.lab.must('ip link del nic0')
})

test('processes with one PID write one file at the same time', async () => {
  const path = '/run/same-pid'
  const text = (one: string) => one.repeat(60_000)
  const writer = (one: string) =>
    drive(
      node.lab,
      Array.from({ length: 200 }, () => probe('replaceFile', path, text(one))),
      {
        under: ['unshare', '--pid', '--fork', '--kill-child'],
      },
    )
  await Promise.all([writer('a'), writer('b')])
  expect([text('a'), text('b')]).toContain(await node.lab.must(`cat ${path}`))
  expect(await node.lab.must("ls -A /run | grep '[.]tmp' || true")).toBe('')
  await node.lab.must(`rm ${path}`)
})
