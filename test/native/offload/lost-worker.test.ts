// An ADD of vf-offload that was killed at every step, and is then repeated as the shim does it for a worker that has died: all is there
// once, as after one ADD, and DEL leads back.
// needs: veth, bridge, nft
import { expect, test } from 'vitest'
import { attachToBridge, bridgeList, chained, podOf } from '../../../hack/lab/bed/bridge-bed.ts'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { type CniResult, cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import type { ExecResult } from '../../../hack/lab/lab.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'
import { repeated } from '../../support/lost-worker.ts'
import { handingOver } from '../../support/served-calls.ts'

let node: BridgeNode
useBridgeNode((made) => {
  node = made
})
useFreshPods(() => node, ['pod-one'])

const pod = 'pod-one'
const TRACE = '/run/points'
const limited = chained({
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 8_000_000,
  egressBurst: 800_000,
})

/** Everything that an ADD makes, without numbers that the kernel gives. */
async function effect(): Promise<string> {
  const text = await node.lab.must(`nft -s list ruleset
    for link in $(ls /sys/class/net); do echo "$link:"; tc qdisc show dev $link; tc filter show dev $link ingress; tc filter show dev $link egress; done
    ip netns exec ${pod} tc qdisc show; ip netns exec ${pod} nft -s list ruleset
    cd /var/lib/cni/vf-flower; ls offload; grep phase offload/*.json || true`)
  return text.replace(/\b(id|handle) \S+/g, '$1 N')
}

test('killed at each point, it is repeated with one effect', { timeout: 300_000 }, async () => {
  const prevResult = await attachToBridge(node.lab, node.runtime, pod)
  const shim = cniRuntime(
    handingOver(node.lab, (call) => repeated(node.lab, call)),
    pluginPath,
  )
  const call = (
    runtime: typeof shim,
    command: string,
    env: Record<string, string> = {},
  ): Promise<ExecResult> =>
    runtime.call(command, bridgeList(pod), limited, podOf(pod), { prevResult: prevResult as CniResult, env })
  const must = async (answer: Promise<ExecResult>) => {
    const { code, stdout, stderr } = await answer
    if (code !== 0) throw new Error(`${stdout}${stderr}`)
    return stdout
  }
  // The first ADD of a node makes things for all, which stay.
  await must(call(node.runtime, 'ADD'))
  await must(call(node.runtime, 'DEL'))
  const before = await effect()
  const stdout = await must(call(node.runtime, 'ADD', { VF_FLOWER_FAULT_TRACE: TRACE }))
  const once = await effect()
  expect(once).not.toBe(before)
  await must(call(node.runtime, 'DEL'))
  expect(await effect()).toBe(before)
  const points = (await node.lab.must(`cat ${TRACE}; rm ${TRACE}`)).trim().split('\n')
  expect(points.length).toBeGreaterThanOrEqual(16)
  for (const point of points) {
    const killed = await call(node.runtime, 'ADD', { VF_FLOWER_FAULT: `${point}:SIGKILL` })
    expect([point, killed.code === 0, killed.stdout]).toEqual([point, false, ''])
    expect([point, await must(call(shim, 'ADD'))]).toEqual([point, stdout])
    expect([point, await effect()]).toEqual([point, once])
    await must(call(shim, 'DEL'))
    expect([point, await effect()]).toEqual([point, before])
  }
})
