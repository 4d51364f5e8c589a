// STATUS of vf-offload where pods are behind bridges alone: what an ADD needs is taken away, one thing at a time, and STATUS names
// it. Modules of the kernel, VFs and cards are in test/lab.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cniRuntime, type Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { attachment, errorOf, listOf, pluginPath } from '../support/plugins.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import { vethWire } from '../support/topology.ts'

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

test('all that pods behind bridges need is there: it says nothing and leaves nothing', async () => {
  const [before, count] = [await snapshot(lab), await namespaces()]
  expect(await status()).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  expect(await namespaces()).toBe(count)
})

test.each([
  [
    'nft',
    'mv /usr/sbin/nft /usr/sbin/nft.away',
    'mv /usr/sbin/nft.away /usr/sbin/nft',
    /the program "nft" is not installed/,
  ],
  [
    'state folder',
    'mkdir -p /var/lib/cni; touch /var/lib/cni/file',
    'rm /var/lib/cni/file',
    /ENOTDIR|EEXIST/,
    { stateDir: '/var/lib/cni/file' },
  ],
  ['device', 'true', 'true', /no PCI device "0000:99:00\.1"/, { deviceID: '0000:99:00.1' }],
  ['uplink', 'true', 'true', /the host has no uplink "nowhere0"/, { uplink: 'nowhere0' }],
] as [string, string, string, RegExp, Record<string, unknown>?][])(
  '%s missing: code 50',
  async (_, take, give, words, config = {}) => {
    await lab.must(take)
    const result = await status(config)
    await lab.must(give)
    const error = errorOf(result)
    expect(error.msg).toMatch(words)
    expect(error.code).toBe(50)
  },
)

test('an uplink that is down: code 51', async () => {
  expect(errorOf(await status({ uplink: 'up0' }))).toMatchObject({
    code: 51,
    msg: expect.stringContaining('uplink "up0" is down'),
  })
})
