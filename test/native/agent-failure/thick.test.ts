// Calls as the daemon of Multus 4.1 and newer makes them: in a mount namespace of its own, the node's root bound at /hostroot, after chroot
// without chdir, so that the working directory lies outside of the root. Each verb of both plugins gets through, warm and standalone.
// needs: veth, nft
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listOf } from '../../../hack/lab/bed/plugins.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AgentBed, makeAgentBed } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { answered, startAgent } from '../../support/warm-agent.ts'

const thick = fileURLToPath(new URL('../../support/multus-thick.pl', import.meta.url))
/** The mount namespace goes with the program. */
const MULTUS = ['/usr/bin/unshare', '--mount', '--propagation', 'private', '/usr/bin/perl', thick] as const

let lab: Lab
let bed: AgentBed

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, 1, { front: MULTUS })
})
afterAll(() => bed?.end())

/** ADD, CHECK and DEL of both plugins; then GC of both, which finds nobody. STATUS and VERSION are about no pod. */
async function everyVerb(): Promise<void> {
  const [pod = expect.fail('the bed has no pod')] = bed.pods
  await bed.cycle(pod)
  await bed.add(pod)
  const nobody = { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [], gcLive: true }
  for (const plugin of ['vf-offload', 'vf-attach'] as const) {
    // host-local of 1.1.1 knows no GC.
    const { code, stdout } = await bed.call('GC', pod, plugin, { config: { ...nobody, ipam: {} } })
    expect({ plugin, code, stdout }).toEqual({ plugin, code: 0, stdout: '' })
    const status = await bed.call('STATUS', pod, plugin, { config: { cniVersion: '1.1.0', ipam: {} } })
    expect({ plugin, code: status.code, stdout: status.stdout }).toEqual({ plugin, code: 0, stdout: '' })
    const version = await bed.call('VERSION', pod, plugin)
    expect(JSON.parse(version.stdout)).toMatchObject({ cniVersion: '1.1.0' })
  }
  await lab.must(`rm -rf /var/lib/cni/networks/${listOf().name}; rmdir /run/multus`)
  await bed.expectClean()
}

test('standalone', everyVerb)

test('warm', async () => {
  const agent = await startAgent(lab)
  await everyVerb()
  const status = await agent.status()
  // Two cycles' ADDs, CHECKs and DELs, GC and STATUS of both plugins; VERSION never asks.
  expect({ answered: answered(status), refusals: status.refusals, fallbacks: status.fallbacks }).toEqual({
    ...{ answered: 12, refusals: {}, fallbacks: {} },
  })
  await agent.kill()
})
