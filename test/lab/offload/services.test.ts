// A port of a service is not taken from it by a filter on the PF (igb, legacy mode): kube-proxy's in mode iptables and in mode
// IPVS, which only this machine's kernel has. Taken all the same where the config says so, every client gets the pod, which is
// what the refusal is for. Other modes and programs are in test/native.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { iptablesMode, ipvsMode, type Service } from '../../../hack/lab/bed/kube-proxy.ts'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  offloadConfig,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  linkIsReady,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { ask, type Server, serve } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const pod = 'pod-one'
/** The service's backend: a namespace behind a veth of the node. */
const backend = { name: 'backend', address: '10.244.0.2', gateway: '10.244.0.1' } as const
const web: Service = {
  ...{ name: 'shop/web', proto: 'tcp', clusterIP: '172.30.0.7', port: 80, nodePort: 30_080 },
  endpoint: { address: backend.address, port: 8080 },
}
let lab: Lab
let runtime: Runtime
let topology: Topology
let prevResult: CniResult
const servers: Server[] = []

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  topology = await buildTopology(lab, await loadIgb(lab), 1)
  await newPod(lab, pod)
  prevResult = await runtime.add(listOf(mainPlugin()), of())
  await linkIsReady(lab, pod)
  const { name, address, gateway } = backend
  await lab.must(`ip netns add ${name} && ip link add be0 type veth peer name eth0 netns ${name}
    ip addr add ${gateway}/24 dev be0; ip link set be0 up; ip -n ${name} link set lo up; ip -n ${name} link set eth0 up
    ip -n ${name} addr add ${address}/24 dev eth0; ip -n ${name} route add default via ${gateway}
    sysctl -qw net.ipv4.ip_forward=1`)
  servers.push(await serve(lab, name, [{ name: 'service', protocol: 'http', port: 8080 }]))
  servers.push(await serve(lab, pod, [{ name: pod, protocol: 'http', port: 80 }]))
})
afterAll(async () => {
  for (const server of servers) await server.stop()
  await runtime.del(listOf(mainPlugin(), offloadConfig(device())), of())
  await deletePod(lab, pod)
  await lab.must(`ip link del be0; ip netns del ${backend.name}; nft flush ruleset`)
  if (topology !== undefined) await tearDown(lab, topology)
})

const device = () => topology.vfs[0]?.pci ?? ''
const mainPlugin = () =>
  attachConfig(device(), {
    ipam: { ...staticIpam('10.1.0.5/24', 'fd00:1::5/64'), routes: [{ dst: '0.0.0.0/0' }] },
  })
const of = (hostPort = 30_080) =>
  attachment(`/run/netns/${pod}`, {
    ...{
      containerID: pod,
      capabilityArgs: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
    },
  })
const call = (command: string, hostPort = 30_080, config: Record<string, unknown> = {}) => {
  const plugin = offloadConfig(device(), config)
  return runtime.call(command, listOf(mainPlugin(), plugin), plugin, of(hostPort), { prevResult })
}
const lookAtState = () => lab.must(stateScript(topology.pf, [{ name: pod }]))
const who = async () => {
  const [answer] = await ask(lab, CLIENT_A.namespace, [{ protocol: 'http', address: HOST.v4, port: 30_080 }])
  return answer?.server
}
const load = async (program: string, text: string) => {
  await lab.writeFile('/run/rules', text, 0o600)
  await lab.must(`${program} </run/rules && rm /run/rules`)
}

describe.each([
  {
    mode: 'iptables',
    make: () => load('iptables-nft-restore --noflush', iptablesMode([web])),
    words: /table ip nat chain KUBE-NODEPORTS: .*dport 30080 .*ends in dnat to 10\.244\.0\.2:8080/,
    sign: 'chain KUBE-NODEPORTS',
    undo: 'nft flush ruleset',
  },
  {
    mode: 'IPVS',
    make: async () => {
      const { sets, rules, services } = ipvsMode([web], [HOST.v4])
      await lab.must(`modprobe -a ip_vs ip_vs_rr ip_set dummy
        ip link add kube-ipvs0 type dummy && ip addr add ${web.clusterIP}/32 dev kube-ipvs0; sysctl -qw net.ipv4.vs.conntrack=1`)
      await load('ipset restore', sets)
      await load('iptables-nft-restore --noflush', rules)
      await load('ipvsadm --restore', services)
    },
    words: /IPVS service tcp 10\.1\.0\.1:30080 rr/,
    sign: 'interface kube-ipvs0',
    undo: 'ipvsadm --clear; nft flush ruleset; ipset destroy; ip link del kube-ipvs0; rmmod ip_vs_rr ip_vs',
  },
])('mode $mode', ({ make, words, sign, undo }) => {
  beforeAll(make)
  afterAll(() => lab.must(`${undo}; true`))

  test('a node port of a service is refused before any change, and goes on', async () => {
    expect(await who()).toBe('service')
    const state = await lookAtState()
    const error = errorOf(await call('ADD'))
    expect(error).toMatchObject({ code: 100, msg: expect.stringMatching(words) })
    expect(stateDifferences(state, await lookAtState())).toEqual([])
    expect(await who()).toBe('service')
  })

  test('a port that kube-proxy may give to a service is refused, others are free', async () => {
    expect(errorOf(await call('ADD', 31_000))).toMatchObject({
      code: 100,
      msg: expect.stringContaining(`kube-proxy (${sign}) may give 30000-32767 to services`),
    })
    expect(await call('ADD', 8080)).toMatchObject({ code: 0 })
    await call('DEL', 8080)
  })

  test('a port of a service that is mapped all the same serves the pod, and CHECK names the service', async () => {
    const config = { allowServicePorts: true }
    expect(await call('ADD', 30_080, config)).toMatchObject({ code: 0 })
    expect(await who()).toBe(pod)
    expect(await call('CHECK', 30_080, config)).toMatchObject({ code: 0 })
    expect(errorOf(await call('CHECK'))).toMatchObject({ code: 104, msg: expect.stringMatching(words) })
    await call('DEL')
    expect(await who()).toBe('service')
  })
})
