// The calls of Multus, CRI-O, podman and cnitool, as they were recorded (test/fixtures/conf), do their work on a real pod: only paths, the
// device and the result of the plugin before are those of the node.
// needs: veth, bridge, clsact, tbf, nft, conntrack
// packages: containernetworking-plugins/sid
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  newPod,
  tearDown,
  vethWire,
} from '../../../hack/lab/bed/topology.ts'
import { ask, serve } from '../../../hack/lab/bed/traffic.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { unpackedPackage } from '../../../hack/lab/packages.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { confFixture } from '../../support/run-verb.ts'
import { DEVICES, expectNothingLeft } from '../../support/runtime/bed.ts'

const RECORDED_NETNS = '/var/run/netns/cni-8f6d2f0c-5a3e-4a7b-9c1d-0e2f4a6b8c0d'
type Plugin = 'vf-attach' | 'vf-offload'
let lab: Lab
let folder: string

beforeAll(async () => {
  lab = await sharedLab()
  await buildTopology(lab, await vethWire(lab), 0)
  await lab.must(`${DEVICES}
    ip address add 10.56.217.1/24 dev far-nic0`)
  folder = `${unpackedPackage('containernetworking-plugins/sid').folder}/usr/lib/cni`
})
afterAll(() => tearDown(lab, { pf: 'up0', wire: 'far0' }))
beforeEach(() => newPod(lab, 'pod').then(() => undefined))
afterEach(() => deletePod(lab, 'pod'))

/** A recorded call, made on the node. */
async function replay(name: string, plugin: Plugin, prevResult?: unknown): Promise<ExecResult> {
  const { env, stdin } = confFixture(`${name}-${plugin}`)
  // The ids of Multus are those of a card: test/cni/request.test.ts has them.
  const { deviceID: _, pciBusID: __, ...config } = JSON.parse(stdin) as Record<string, unknown>
  return lab.exec([`${pluginPath[0]}/${plugin}`], {
    cleanEnv: true,
    env: {
      ...env,
      CNI_NETNS: (env.CNI_NETNS ?? '').replace(RECORDED_NETNS, '/run/netns/pod'),
      CNI_PATH: (env.CNI_PATH ?? '').replace(/[^:]*$/, folder),
    },
    stdin: JSON.stringify({
      ...config,
      ...(plugin === 'vf-attach' ? { device: 'nic0' } : {}),
      ...(config.prevResult === undefined ? {} : { prevResult }),
    }),
  })
}

async function good(call: Promise<ExecResult>): Promise<string> {
  const { code, stdout, stderr } = await call
  expect({ code, failed: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, failed: '' })
  return stdout
}

/** ADD of both; the last result. */
async function add(runtime: string): Promise<unknown> {
  const attached: unknown = JSON.parse(await good(replay(`${runtime}-add`, 'vf-attach')))
  return JSON.parse(await good(replay(`${runtime}-add`, 'vf-offload', attached)))
}

/** The same verb of both plugins, in the order that libcni has for it. */
async function both(call: string, result?: unknown): Promise<void> {
  const plugins: readonly Plugin[] = ['vf-attach', 'vf-offload']
  for (const plugin of call.endsWith('-del') ? plugins.toReversed() : plugins)
    expect(await good(replay(call, plugin, result))).toBe('')
}

async function expectPort(): Promise<void> {
  // The recorded config has no routes.
  await lab.must('ip -n pod route add default via 10.56.217.1')
  const server = await serve(lab, 'pod', [{ name: 'pod', protocol: 'tcp', port: 80 }])
  const [answer] = await ask(lab, CLIENT_A.namespace, [{ protocol: 'tcp', address: HOST.v4, port: 8080 }])
  expect(answer?.server).toBe('pod')
  await server.stop()
}

test('Multus 4: arguments twice, two folders of plugins', async () => {
  await both('multus4-status')
  const result = await add('multus4')
  expect(await lab.must('ip -n pod -br address show net1')).toMatch(/UP +10\.56\.217\.\d+\/24/)
  await expectPort()
  expect(await lab.must('tc qdisc show dev far-nic0')).toMatch(/tbf .* rate 100Mbit/)
  await both('multus4-check', result)
  await both('multus4-del', result)
  await expectNothingLeft(lab)
})

test('CRI-O: GC with null when nothing is there, CHECK behind ADD, no ports', async () => {
  await both('crio-status')
  await both('crio-gc')
  const result = await add('crio')
  await both('crio-check', result)
  expect(await lab.must('nft list ruleset')).not.toContain('8080')
  await both('crio-del', result)
  await both('crio-gc')
  await expectNothingLeft(lab)
})

test('podman 4: version 0.4.0 of the protocol', async () => {
  const result = await add('podman4')
  await expectPort()
  await both('podman4-del', result)
  await expectNothingLeft(lab)
})

test('cnitool: no arguments, GC without a list of valid attachments', async () => {
  await both('cnitool-status')
  await both('cnitool-gc')
  const result = await add('cnitool')
  await expectPort()
  await both('cnitool-check', result)
  await both('cnitool-del', result)
  await expectNothingLeft(lab)
})
