// containerd is killed in the middle of an ADD, beside pods that live, and with all of its containers: no port and no device stays taken,
// pods that live answer on, and the next pod works at its first try.
// needs: veth, bridge, nft, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'
import { callsAt, GATE, GATED_IPAM, openGate } from '../../../hack/lab/containerd/gate.ts'
import { leftovers } from '../../../hack/lab/containerd/leftovers.ts'
import { bridge, hostLocal, network, offload } from '../../../hack/lab/containerd/networks.ts'
import { endPod, knownPods, runPod, runSandbox } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { beginWay, expectAnswers, expectClosed, runtimeBed, WAYS } from '../../support/runtime/bed.ts'
import { endAll, killAt } from '../../support/runtime/harm.ts'

const networks = {
  bridge: network('bridge', bridge('cni0', hostLocal(1)), { type: 'before' }, offload, { type: 'behind' }),
  attach: network(
    'attach',
    { type: 'vf-attach', device: 'nic0', ipam: { ...hostLocal(2), type: 'gated-ipam' } },
    offload,
  ),
}
const ports = [{ host_port: 8080, container_port: 80 }]
let lab: Lab
let runtime: Containerd

beforeAll(async () => {
  lab = await sharedLab()
  runtime = await runtimeBed(lab, networks, { before: GATE, behind: GATE, 'gated-ipam': GATED_IPAM })
  // A busy machine.
}, 240_000)
afterAll(() => runtime?.end())

/**
 * Leftovers but for those that the silence of containerd 1.7 leaves: a sandbox whose ADD did not end gets no DEL, so host-local keeps the
 * address that the plugin bridge asked for, and libcni the result of its loopback.
 */
async function ours(): Promise<string[]> {
  const all = await leftovers(lab)
  return all.filter(
    (line) => !/^address .*\/networks\/bridge\/|^result .*\/cni-loopback-|^qdisc .* dev cni0 /.test(line),
  )
}

async function expectNextPod(name: string, network: string): Promise<void> {
  const pod = await runPod(runtime, { name, network, ports })
  await expectAnswers(lab, pod, 8080)
  await endPod(runtime, pod)
  await expectClosed(lab, 8080)
  expect(await ours()).toEqual([])
}

describe.each(WAYS)('%s', (way) => {
  let end: (() => Promise<void>) | undefined
  beforeAll(async () => {
    end = await beginWay(lab, way)
  })
  afterAll(() => end?.())
  // A test that has failed leaves a gate closed, no runtime, or pods.
  afterEach(async () => {
    for (const gate of ['before', 'behind', 'gated-ipam']) await openGate(lab, gate)
    await runtime.start()
    await endAll(runtime)
  })

  test.each(['before', 'behind'])('killed %s the ADD of vf-offload', async (gate) => {
    const sandbox = await killAt(lab, runtime, gate, { name: 'killed', network: 'bridge', ports })
    await openGate(lab, gate)
    await runtime.start()
    expect((await knownPods(runtime)).map(({ id, state }) => [id, state])).toEqual([[sandbox, 1]])
    await endAll(runtime)
    // containerd 1.7 has no DEL for it, so nobody but the next ADD can free what the killed one had.
    const ends = runtime.major >= 2 ? ['DEL', 'DEL'] : []
    expect(await callsAt(lab, 'before', sandbox)).toEqual(['ADD', ...ends])
    await expectClosed(lab, 8080)
    await expectNextPod('next', 'bridge')
  })

  test('killed in the ADD of vf-attach, which ends while the runtime is gone: the device comes home', async () => {
    await killAt(lab, runtime, 'gated-ipam', { name: 'killed', network: 'attach', ports })
    await openGate(lab, 'gated-ipam')
    await lab.must(`${WAIT_UNTIL}
      wait_until ip link show nic0`)
    await runtime.start()
    await endAll(runtime)
    await expectNextPod('next', 'attach')
  })

  test('killed beside pods that live: their ports answer, and their ends are DELs', async () => {
    const one = await runPod(runtime, { name: 'one', network: 'bridge', ports })
    const two = await runPod(runtime, {
      ...{ name: 'two', network: 'attach' },
      ports: [{ host_port: 8081, container_port: 80 }],
    })
    await runtime.kill()
    await expectAnswers(lab, one, 8080)
    await expectAnswers(lab, two, 8081)
    await runtime.start()
    expect((await knownPods(runtime)).map(({ state }) => state)).toEqual([0, 0])
    await expectAnswers(lab, one, 8080)
    await expectAnswers(lab, two, 8081)
    const three = runSandbox(runtime, { name: 'three', network: 'bridge', ports })
    await expect(three).rejects.toThrow(one.id)
    await endAll(runtime)
    await expectClosed(lab, 8080)
    await expectClosed(lab, 8081)
    expect(await ours()).toEqual([])
    await expectNextPod('next', 'bridge')
  })

  test('killed with all containers: the namespaces that are left are empty, and Stop frees the ports', async () => {
    const pod = await runPod(runtime, { name: 'dies', network: 'bridge', ports })
    await crash()
    expect(await lab.must(`nsenter --net='${pod.netns}' ip -br link show eth0`)).toContain('UP')
    await runtime.start()
    expect((await knownPods(runtime)).map(({ id, state }) => [id, state])).toEqual([[pod.id, 1]])
    await endAll(runtime)
    expect(await ours()).toEqual([])
    await expectNextPod('next', 'bridge')
  })

  test('killed with all containers, namespaces and its own /run: the next pod gets the port, DEL of the dead one succeeds', async () => {
    const pod = await runPod(runtime, { name: 'dies', network: 'bridge', ports })
    await crash()
    await lab.must(`set -e
      umount '${pod.netns}'; rm '${pod.netns}'
      sed -n 's|.* \\(/run/containerd/[^ ]*\\) .*|\\1|p' /proc/self/mountinfo | sort -r | xargs umount
      rm -r /run/containerd`)
    await runtime.start()
    // Before kubelet has ended the dead one.
    const next = await runPod(runtime, { name: 'next', network: 'bridge', ports })
    await expectAnswers(lab, next, 8080)
    await endPod(runtime, pod)
    await expectAnswers(lab, next, 8080)
    await endAll(runtime)
    expect(await ours()).toEqual([])
  })
})

/** Kills the runtime, the shims of its containers, and the containers. */
async function crash(): Promise<void> {
  await runtime.kill()
  await lab.must(`${WAIT_UNTIL}
    shims() { for exe in /proc/[0-9]*/exe; do case $(readlink $exe) in */containerd-shim-runc-v2) echo $exe | cut -d/ -f3 ;; esac; done; }
    for shim in $(shims); do kill -9 $shim $(cat /proc/$shim/task/*/children); done
    gone() { [ -z "$(shims)" ]; }
    wait_until gone`)
}
