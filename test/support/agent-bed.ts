// Pods with an interface and a mapped port each, on a node with or without an agent. In: a lab, how many. Out: calls of both plugins as a
// runtime makes them, with their effects looked at by other programs.
import { expect } from 'vitest'
import { listOf, pluginPath } from '../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import type { CallExtra, CniResult, ConfigList } from '../../hack/lab/cni-runtime.ts'
import { cniRuntime } from '../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab, LabProcess } from '../../hack/lab/lab.ts'
import { agentLog } from './warm-agent.ts'

/** A pod of the bed: its namespace and container ID have one name. */
export interface WarmPod {
  readonly name: string
  readonly index: number
  /** Its interface on the host, whose other end stays there. */
  readonly nic: string
  /** The node's port that leads to port 80 of the pod. */
  readonly port: number
}

/** The bed that {@link makeAgentBed} made. */
export interface AgentBed {
  readonly lab: Lab
  readonly pods: readonly WarmPod[]
  /** One call of one plugin, without a judgement. */
  call(verb: Verb, pod: WarmPod, plugin?: PluginName, extra?: CallExtra): Promise<ExecResult>
  /** The same, started and not waited for. */
  start(verb: Verb, pod: WarmPod, plugin?: PluginName, extra?: CallExtra): Promise<LabProcess>
  /** ADD of both plugins, CHECK, DEL; each with the right answer and the right effect. */
  cycle(pod: WarmPod): Promise<void>
  /** ADD of both, with its effects. Returns the result. */
  add(pod: WarmPod): Promise<CniResult>
  check(pod: WarmPod, result: CniResult): Promise<void>
  del(pod: WarmPod, result?: CniResult): Promise<void>
  /** The pod has an interface, one address of IPAM and one port: once each. */
  expectAttached(pod: WarmPod): Promise<void>
  /** No rule has the pod's port, and vf-offload has no record of it. */
  expectUnmapped(pod: WarmPod): Promise<void>
  /** DEL of all, after a test that failed. */
  reset(): Promise<void>
  /** The host is as before the first ADD: devices, rules, records, addresses. */
  expectClean(): Promise<void>
  end(): Promise<void>
}

/** A verb of CNI. */
export type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'STATUS' | 'VERSION'
/** A plugin of the chain. */
export type PluginName = 'vf-attach' | 'vf-offload'

const ADDRESSES = '/var/lib/cni/networks/lab-net'
const RECORDS = '/var/lib/cni/vf-flower'

/** The chain of a pod; the address comes from host-local. */
function chainOf({ nic }: WarmPod): ConfigList {
  return listOf(
    {
      ...{ type: 'vf-attach', device: nic },
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.1.8.0/22', rangeStart: '10.1.9.1', gateway: '10.1.8.1' }]],
      },
    },
    { type: 'vf-offload', capabilities: { portMappings: true } },
  )
}

/** Makes `count` pods, with NICs that are down. `front` are words before each call's program. */
export async function makeAgentBed(
  lab: Lab,
  count: number,
  { front = [] }: { readonly front?: readonly string[] } = {},
): Promise<AgentBed> {
  const runtime = cniRuntime(lab, pluginPath, front)
  const pods = Array.from({ length: count }, (_, index): WarmPod => {
    const name = `warm-${index}`
    return { name, index, nic: `warm${index}`, port: 8000 + index }
  })
  await lab.must(`ip -batch - <<END
link add warm-up type veth peer name warm-end
link set warm-end up
address add 10.1.8.1/22 dev warm-up
link set warm-up up
${pods.map(({ name }) => `netns add ${name}`).join('\n')}
${pods.map(({ nic, index }) => `link add ${nic} type veth peer name peer${index}\nlink set peer${index} up`).join('\n')}
END`)
  // The look ends up equal only once the kernel has given new interfaces their addresses.
  await lab.must(`echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6`)
  const look = () => snapshot(lab)
  const before: Snapshot = await look()
  const attachmentOf = ({ name, port }: WarmPod) => ({
    ...{ containerID: name, netns: `/run/netns/${name}`, ifname: 'net1' },
    capabilityArgs: { portMappings: [{ hostPort: port, containerPort: 80, protocol: 'tcp' }] },
  })
  const filesOf = async (folder: string, text: string) =>
    (await lab.must(`grep -rlF '${text}' ${folder} 2>/dev/null || true`)).split('\n').filter(Boolean)
  const pluginOf = (pod: WarmPod, name: PluginName) =>
    chainOf(pod).plugins.find(({ type }) => type === name) ?? expect.fail(`no ${name} in the chain`)
  const bed: AgentBed = {
    ...{ lab, pods },
    call: (verb, pod, name = 'vf-attach', extra = {}) =>
      runtime.call(verb, chainOf(pod), pluginOf(pod, name), attachmentOf(pod), extra),
    start: (verb, pod, name = 'vf-attach', extra = {}) =>
      runtime.start(verb, chainOf(pod), pluginOf(pod, name), attachmentOf(pod), extra),
    cycle: async (pod) => {
      const result = await bed.add(pod)
      await bed.check(pod, result)
      await bed.del(pod, result)
    },
    add: async (pod) => {
      const result = await runtime.add(chainOf(pod), attachmentOf(pod))
      await bed.expectAttached(pod)
      return result
    },
    check: (pod, result) => runtime.check(chainOf(pod), attachmentOf(pod), result),
    del: async (pod, result) => {
      await runtime.del(chainOf(pod), attachmentOf(pod), result)
      expect(await filesOf(ADDRESSES, pod.name)).toEqual([])
      expect(await filesOf(RECORDS, pod.name)).toEqual([])
    },
    expectAttached: async (pod) => {
      const links = JSON.parse(await lab.must(`ip -n ${pod.name} -4 -j address show dev net1`)) as {
        addr_info: { local: string }[]
      }[]
      expect(links).toHaveLength(1)
      const addresses = await filesOf(ADDRESSES, pod.name)
      expect(links[0]?.addr_info.map(({ local }) => local)).toEqual(
        addresses.map((file) => file.slice(ADDRESSES.length + 1)),
      )
      expect(addresses).toHaveLength(1)
      const rules = await lab.must('nft list ruleset')
      expect(rules.match(new RegExp(`\\b${pod.port}\\b`, 'g'))?.length ?? 0).toBeGreaterThanOrEqual(1)
    },
    expectUnmapped: async (pod) => {
      expect(await filesOf(`${RECORDS}/offload`, pod.name)).toEqual([])
      expect(await lab.must('nft list ruleset')).not.toMatch(new RegExp(`\\b${pod.port}\\b`))
    },
    reset: async () => {
      for (const pod of pods)
        for (const plugin of ['vf-offload', 'vf-attach'] as const) await bed.call('DEL', pod, plugin)
    },
    expectClean: async () => {
      const own = (line: string) => !/agent|^link peer\d+\.operstate/.test(line)
      expect(diffSnapshot(before, await look()).filter(own)).toEqual([])
    },
    end: async () => {
      await lab.must(`for pod in ${pods.map(({ name }) => name).join(' ')}; do ip netns del $pod; done
        for n in $(seq 0 ${count - 1}); do ip link del warm$n 2>/dev/null; done
        ip link del warm-up; rm -rf ${ADDRESSES} ${RECORDS} ${agentLog}; true`)
    },
  }
  return bed
}
