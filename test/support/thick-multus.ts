// Calls as the daemon of Multus 4.1 and newer makes them: in a mount namespace of its own, the node's root bound at /hostroot, after chroot
// without chdir, so that the working directory lies outside of the root. In: a bed with a pod. Out: each verb, with its effects looked at.
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { listOf } from '../../hack/lab/bed/plugins.ts'
import type { AgentBed } from './agent-bed.ts'

const thick = fileURLToPath(new URL('multus-thick.pl', import.meta.url))

/** Words before a program that run it so. The mount namespace goes with the program. */
export const MULTUS = [
  '/usr/bin/unshare',
  '--mount',
  '--propagation',
  'private',
  '/usr/bin/perl',
  thick,
] as const

/** Calls of {@link everyVerb} that ask an agent: ADD, CHECK and DEL of both plugins, ADD, GC and STATUS of both. VERSION never asks. */
export const ASKING_CALLS = 12

/** ADD, CHECK and DEL of both plugins; then GC of both, which finds nobody. STATUS and VERSION are about no pod. */
export async function everyVerb(bed: AgentBed): Promise<void> {
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
  await bed.lab.must(`rm -rf /var/lib/cni/networks/${listOf().name}; rmdir /run/multus`)
  await bed.expectClean()
}
