// STATUS of vf-offload where pods are behind bridges alone: what an ADD needs is taken away, one thing at a time, and STATUS names
// it, as an error only where every ADD of the config needs it. Modules of the kernel, VFs and cards are in test/lab.
// needs: veth, nft, tbf
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod, vethWire } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { withoutNft } from '../../support/without-nft.ts'

let lab: Lab
let runtime: Runtime

beforeAll(async () => {
  lab = await sharedLab()
  runtime = cniRuntime(lab, pluginPath)
  await vethWire(lab)
})
afterAll(() => lab.must('ip link del up0'))

const status = (config: Record<string, unknown> = {}) => {
  const plugin = { type: 'vf-offload', capabilities: { portMappings: true }, ...config }
  return runtime.call('STATUS', { ...listOf(plugin), cniVersion: '1.1.0' }, plugin, attachment(''))
}

/** Network namespaces that anything keeps alive. */
const namespaces = async () => Number(await lab.must('lsns -n -t net | wc -l'))

test('STATUS says nothing and leaves nothing where all is there that pods behind bridges need', async () => {
  const [before, count] = [await snapshot(lab), await namespaces()]
  expect(await status()).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  expect(await namespaces()).toBe(count)
})

test.each([
  ['device', { deviceID: '0000:99:00.1' }, /no pod can have deviceID "0000:99:00\.1"/],
  ['uplink', { uplink: 'nowhere0' }, /the host has no uplink "nowhere0"/],
  ['link of the uplink', { uplink: 'up0' }, /uplink "up0" is down/],
] as const)(
  '%s missing, which only a pod that asks for ports would notice: said on stderr',
  async (_, config, words) => {
    expect(await status(config)).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(words) })
  },
)

test('STATUS tells of a node without the program nft where pods need it, and a pod without ports is served there', async () => {
  const words =
    /an ADD would fail: the program nft, for port mappings of VFs, NICs and macvlans[^;]*"nft" is not installed/
  const pod = await newPod(lab, 'plain')
  const plugin = { type: 'vf-offload', capabilities: { portMappings: true, bandwidth: true } }
  const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'lo', sandbox: pod }] }
  const [asked, ofNic, behindBridge, plain] = await withoutNft(lab, async () => [
    await status({ ...plugin, uplink: 'up0' }),
    await status({ ...plugin, uplink: 'up0', nat: 'nic' }),
    await status(plugin),
    await runtime.call('ADD', { ...listOf(plugin), cniVersion: '1.1.0' }, plugin, attachment(pod), {
      prevResult,
    }),
  ])
  await deletePod(lab, 'plain')
  expect(asked).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(words) })
  // The NIC translates, or nobody.
  expect(ofNic).toMatchObject({ code: 0, stderr: expect.not.stringContaining('nft,') })
  expect(behindBridge).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(plain).toMatchObject({ code: 0, stderr: '' })
})

test('STATUS is code 50 where a need of every ADD is missing', async () => {
  await lab.must('mkdir -p /var/lib/cni; touch /var/lib/cni/file')
  const { code, msg } = errorOf(await status({ stateDir: '/var/lib/cni/file' }))
  expect(msg).toMatch(/ENOTDIR|EEXIST/)
  expect(code).toBe(50)
  const limit = { ingressRate: 8000, ingressBurst: 80 }
  expect(errorOf(await status({ ...limit, deviceID: '0000:99:00.1' }))).toMatchObject({
    code: 50,
    msg: expect.stringContaining('no pod can have deviceID "0000:99:00.1"'),
  })
  expect(await status(limit)).toMatchObject({ code: 0, stdout: '', stderr: '' })
})
