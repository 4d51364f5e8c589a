// No port of a service is taken: ports of kube-proxy in each mode that this kernel has, of docker, portmap and netavark
// are refused with the rule's text before anything is changed, and CHECK names a service that comes after the ADD. Pods
// are on a bridge; test/lab/offload/services.test.ts has VFs, whose filters would take a port.
// needs: veth, bridge, nft, nft-fib, iptables, iptables-legacy
import { describe, expect, test } from 'vitest'
import { bridgeList, mainOnly, offload, PODS, podOf, tryOffload } from '../../../hack/lab/bed/bridge-bed.ts'
import { iptablesMode, manyServices, nftablesMode, type Service } from '../../../hack/lab/bed/kube-proxy.ts'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { HOST } from '../../../hack/lab/bed/topology.ts'
import type { CniResult } from '../../../hack/lab/cni-runtime.ts'
import { chain, web } from '../../support/services-bed.ts'
import {
  add,
  answering,
  forget,
  lab,
  load,
  makers,
  POLICY,
  port,
  prevResult,
  runtime,
  useServicesNode,
} from '../../support/services-node.ts'

useServicesNode()

describe('is refused with the rule’s text, before any change, and the service goes on', () => {
  test.each(makers)('%s', async (_, make, hostPort, words) => {
    await make()
    const before = await snapshot(lab)
    const error = errorOf(await add(port(hostPort)))
    expect(error).toMatchObject({ code: 100, msg: expect.stringMatching(words) })
    expect(error.msg).toMatch(new RegExp(`^Cannot map tcp \\S+ port ${hostPort}: table `))
    expect(error.msg).toMatch(/; allowServicePorts true maps it all the same$/)
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
    // Others are free, and by the key this one is too.
    expect(await add(port(9090))).toMatchObject({ code: 0, stderr: '' })
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(await add({ ...port(hostPort), config: { allowServicePorts: true } })).toMatchObject({ code: 0 })
  })
})

test.each([
  ['iptables-nft', 'iptables-nft-restore --noflush', iptablesMode],
  ['iptables-legacy', 'iptables-legacy-restore --noflush', iptablesMode],
  ['nftables', 'nft -f -', nftablesMode],
] as const)('one service of many is told from the others: %s', async (_, program, rules) => {
  // More rules than a datagram of a dump has.
  await load(
    program,
    rules([...manyServices(200, [30_150]), { ...web, clusterIP: '172.31.0.7', nodePort: 40_000 }]),
  )
  for (const hostPort of [30_000, 30_199, 40_000]) {
    const { code, msg } = errorOf(await add(port(hostPort, { hostIP: HOST.v4 })))
    expect([code, msg]).toEqual([100, expect.stringMatching(/: table ip .*, which ends in dnat to 10\./)])
  }
  expect(errorOf(await add(port(30_150))).msg).toContain('kube-proxy (')
  expect(await add(port(40_001))).toMatchObject({ code: 0, stderr: '' })
})

test('rules of IPv6 are read by themselves', async () => {
  const to = { address: PODS['pod-two'].v6, port: 8080 }
  const six: Service = { ...web, clusterIP: 'fd00:30::7', endpoint: to }
  const makes: readonly (readonly [string, string])[] = [
    ['ip6tables-nft-restore --noflush', iptablesMode([six], 6)],
    ['ip6tables-legacy-restore --noflush', iptablesMode([six], 6)],
    ['nft -f -', nftablesMode([six], { family: 6 })],
  ]
  for (const [program, text] of makes) {
    await load(program, text)
    const { code, msg } = errorOf(await add(port(30_080, { hostIP: HOST.v6 })))
    expect([program, code]).toEqual([program, 100])
    expect(msg).toMatch(
      /^Cannot map tcp fd00:1::1 port 30080: table ip6 .*which ends in dnat to \[fd00:88::6\]:8080; /,
    )
    // kube-proxy gives out node ports in both families.
    const other = errorOf(await add(port(30_080, { hostIP: HOST.v4 })))
    expect(other.msg).toMatch(/^Cannot map tcp 10\.1\.0\.1 port 30080: kube-proxy/)
    await lab.must(forget)
  }
})

test('a service of kube-proxy keeps its client', async () => {
  await load('iptables-nft-restore --noflush', iptablesMode([web]))
  expect(await answering(30_080)).toBe('service')
  expect((await add(port(30_080))).code).toBe(1)
  expect(await answering(30_080)).toBe('service')
})

test('the rules of portmap and of netavark themselves are refused', async () => {
  const portmap = { type: 'portmap', snat: true, capabilities: { portMappings: true } }
  const list = mainOnly(bridgeList('pod-two'))
  const theirs = podOf('pod-two', [{ hostPort: 8085, containerPort: 8080, protocol: 'tcp' }])
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const result = await attachAgain()
  const made = await runtime.call('ADD', list, portmap, theirs, { prevResult: result, env })
  expect(made).toMatchObject({ code: 0 })
  expect(errorOf(await add(port(8085)))).toMatchObject({
    code: 100,
    msg: expect.stringMatching(
      /table ip nat chain CNI-HOSTPORT-DNAT: .*multiport dports 8085 .*jump CNI-DN-\w+, which ends in dnat to 10\.88\.0\.6:8080/,
    ),
  })
  await expectChecked(8085)
  await runtime.call('DEL', list, portmap, theirs, { prevResult: result, env })
  await lab.must(`echo 0 >/proc/sys/net/ipv4/conf/cni0/route_localnet; ${forget}`)

  const network = {
    ...{ name: 'podman', id: '53ce'.repeat(16), driver: 'bridge', network_interface: 'podman0' },
    ...{ subnets: [{ subnet: '10.89.0.0/24', gateway: '10.89.0.1' }], ipv6_enabled: false, internal: false },
    ...{ dns_enabled: false, ipam_options: { driver: 'host-local' } },
  }
  const container = {
    ...{ container_id: 'their-container', container_name: 'web' },
    networks: { podman: { static_ips: ['10.89.0.5'], interface_name: 'eth7' } },
    network_info: { podman: network },
    port_mappings: [{ host_ip: '', container_port: 80, host_port: 8086, range: 1, protocol: 'tcp' }],
  }
  await lab.writeFile('/run/container', JSON.stringify(container), 0o600)
  const netavark = (command: string) =>
    lab.must(`mkdir -p /run/netavark; ip netns add theirs 2>/dev/null
      /usr/lib/podman/netavark --config /run/netavark ${command} /run/netns/theirs </run/container`)
  await netavark('setup')
  expect(errorOf(await add(port(8086)))).toMatchObject({
    code: 100,
    msg: expect.stringMatching(
      /table inet netavark chain NETAVARK-HOSTPORT-DNAT: .*dport 8086 jump nv_\w+_dnat, which ends in dnat to 10\.89\.0\.5:80/,
    ),
  })
  await expectChecked(8086)
  await netavark('teardown')
  await lab.must('ip netns del theirs; rm -rf /run/netavark /run/container')
})

/** Maps a port that somebody has all the same, and CHECK names who. */
async function expectChecked(hostPort: number): Promise<void> {
  expect(await add({ ...port(hostPort), config: { allowServicePorts: true } })).toMatchObject({ code: 0 })
  expect(errorOf(await tryOffload(runtime, 'CHECK', 'pod-one', port(hostPort)))).toMatchObject({ code: 104 })
  await offload(runtime, 'DEL', 'pod-one', { prevResult })
}

/** The result of the other pod's attachment, as the runtime would hand it on. */
async function attachAgain(): Promise<CniResult> {
  return {
    ...prevResult,
    ips: [{ address: `${PODS['pod-two'].v4}/16`, gateway: '10.88.0.1', interface: 2 }],
  } as CniResult
}

describe('is none of the port’s', () => {
  test.each([
    ['another port', 'tcp dport 8081 dnat to 10.88.0.6:8080'],
    ['another protocol', 'udp dport 8080 dnat to 10.88.0.6:8080'],
    ['another address', 'ip daddr 192.0.2.1 tcp dport 8080 dnat to 10.88.0.6:8080'],
    ['what is in transit', 'fib daddr type != local dnat to 10.88.0.6'],
    ['an earlier rule that lets go', 'tcp dport 8080 accept; tcp dport 8080 dnat to 10.88.0.6:8080'],
    ['ports beyond', 'tcp dport 8090-8099 dnat to 10.88.0.6:8080'],
    ['a set without it', 'tcp dport { 1-79, 443, 9000-9999 } dnat to 10.88.0.6:8080'],
    ['all but this one', 'tcp dport != 8080 dnat to 10.88.0.6:8080'],
  ])('%s', async (_, rule) => {
    await load('nft -f -', chain(rule))
    expect(await add(port(8080))).toMatchObject({ code: 0, stderr: '' })
  })
})

test('what can’t be read is refused where it names the port, else told', async () => {
  const rule = (more: string) =>
    lab.must(`iptables-nft -t nat -F PREROUTING
      iptables-nft -t nat -A PREROUTING -p tcp -m string --algo bm --string x ${more} -j DNAT --to-destination 10.88.0.6:8080`)
  await rule('-m tcp --dport 8080')
  expect(errorOf(await add(port(8080)))).toMatchObject({
    code: 100,
    msg: expect.stringMatching(/chain PREROUTING: .*string … .*dport 8080.*dnat to 10\.88\.0\.6:8080/),
  })
  await rule('')
  const passed = await add(port(8080))
  expect(passed.code).toBe(0)
  expect(passed.stderr).toMatch(
    /a rule of others can't be read, and is passed over: table ip nat chain PREROUTING/,
  )
})

describe('ports that kube-proxy may give to services', () => {
  const policy = (content: unknown) => lab.writeFile(POLICY, JSON.stringify(content), 0o644)

  test.each([
    [
      'mode iptables',
      () => load('iptables-nft-restore --noflush', iptablesMode([web])),
      'chain KUBE-NODEPORTS',
    ],
    [
      'iptables-legacy',
      () => load('iptables-legacy-restore --noflush', iptablesMode([web])),
      'chain KUBE-NODEPORTS',
    ],
    ['mode nftables', () => load('nft -f -', nftablesMode([web])), 'table kube-proxy'],
  ])('%s are refused while no service has them', async (_, make, sign) => {
    expect(await add(port(31_000))).toMatchObject({ code: 0 })
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    await make()
    expect(errorOf(await add(port(31_000)))).toMatchObject({
      code: 100,
      msg: `Cannot map tcp 10.1.0.1 port 31000: kube-proxy (${sign}) may give 30000-32767 to services; allowServicePorts true maps it all the same`,
    })
    await policy({ nodePortRange: '20000-21000' })
    expect(await add(port(31_000))).toMatchObject({ code: 0 })
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    expect(errorOf(await add(port(20_500)))).toMatchObject({ code: 100 })
    await policy({ nodePortRange: [] })
    expect(await add(port(20_500))).toMatchObject({ code: 0 })
  })

  test('the policy is the bound of what a config allows', async () => {
    await load('nft -f -', nftablesMode([web]))
    await policy({ allowServicePorts: false })
    for (const hostPort of [30_080, 31_000]) {
      expect(errorOf(await add({ ...port(hostPort), config: { allowServicePorts: true } }))).toMatchObject({
        code: 100,
        msg: expect.stringMatching(
          new RegExp(`; allowServicePorts of ${POLICY} forbids to map it all the same$`),
        ),
      })
    }
  })
})

test('a service that comes after the ADD is named by CHECK, by the rule', async () => {
  expect(await add(port(30_080))).toMatchObject({ code: 0 })
  const check = (config = {}) => tryOffload(runtime, 'CHECK', 'pod-one', { ...port(30_080), config })
  expect(await check()).toMatchObject({ code: 0, stdout: '' })
  await load('nft -f -', nftablesMode([]))
  expect(await check()).toMatchObject({ code: 0, stdout: '' })
  await lab.must('nft delete table ip kube-proxy')
  await load('nft -f -', nftablesMode([web]))
  const named = await check()
  expect(named.code).toBe(1)
  expect(errorOf(named)).toMatchObject({
    code: 104,
    msg: expect.stringMatching(
      /tcp 10\.1\.0\.1 port 30080 is taken by table ip kube-proxy chain services: .*\(goto external-\w+-shop\/web/,
    ),
  })
  expect(await check({ allowServicePorts: true })).toMatchObject({ code: 0 })
})
