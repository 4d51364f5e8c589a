// Each operation is printed as the command line that does the same.
import { spawnSync } from 'node:child_process'
import { expect, describe as group, test } from 'vitest'
import { commandLine, flowFilterLine } from '../../src/ops/command-line.ts'
import type { Op } from '../../src/ops/op.ts'
import { everyOp, examples, steer } from './examples.ts'

const cookie = steer.cookie
const macs = `action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe cookie ${cookie}`
const redirect = `action mirred egress redirect dev pf0 cookie ${cookie}`

const lines: Readonly<Record<Op['do'], string>> = {
  'vf.set':
    'ip link set dev pf0 vf 3 mac 02:00:00:00:00:05 vlan 100 qos 3 proto 802.1ad max_tx_rate 100 min_tx_rate 10 spoofchk on trust off state enable',
  'link.move': 'ip link set dev pf0v3 netns pod name net1',
  'link.set':
    "pod:ip link set dev net1 address 02:00:00:00:00:05 mtu 9000 txqueuelen 500 promisc on allmulticast off master br0 up alias 'pod'\\''s own'",
  'altname.add': 'ip link property add dev pf0 altname net1',
  'altname.del': 'ip link property del dev pf0 altname net1',
  'addr.add': 'pod:ip address add 10.1.0.5/24 dev net1',
  'addr.del': 'pod:ip address del 10.1.0.5/24 dev net1',
  'route.add':
    'pod:ip route add 10.9.0.0/16 via 10.1.0.254 dev net1 table 100 metric 50 scope 0 src 10.1.0.5 mtu 1400 advmss 1360',
  'route.del':
    'pod:ip route del 10.9.0.0/16 via 10.1.0.254 dev net1 table 100 metric 50 scope 0 src 10.1.0.5 mtu 1400 advmss 1360',
  'rule.add': 'pod:ip rule add from 10.1.0.5 lookup 100 priority 30000',
  'rule.del': 'pod:ip rule del from 10.1.0.5 lookup 100 priority 30000',
  'sysctl.set': 'pod:sysctl -w net/ipv6/conf/net1/optimistic_dad=1',
  'bridge.vlan.add': 'bridge vlan add dev pf0vf3 vid 100 pvid untagged',
  'bridge.vlan.del': 'bridge vlan del dev pf0vf3 vid 100 pvid untagged',
  'carried.give': 'ip address add 192.0.2.5/24 noprefixroute dev pf0',
  'driver.rebind':
    'echo 0000:3b:02.3 | tee /sys/bus/pci/drivers/igbvf/unbind /sys/bus/pci/drivers/igbvf/bind',
  'function.reset': 'echo 1 > /sys/bus/pci/devices/0000:3b:02.3/reset',
  'clsact.add': 'tc qdisc add dev pf0 clsact',
  'clsact.del': 'tc qdisc del dev pf0 clsact',
  'steer.add': `tc filter add dev pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 skip_sw ${macs} ${redirect}`,
  'steer.del': 'tc filter del dev pf0 ingress prio 10 handle ? flower # tcp 10.1.0.1 port 8080',
  'shaper.add':
    'pod:tc qdisc add dev net1 root handle 7666: tbf rate 100000000bit burst 250000b limit 562500b',
  'shaper.del': 'pod:tc qdisc del dev net1 root handle 7666:',
  'ifb.add': 'ip link add vfr0123456789ab address 76:66:01:02:03:04 mtu 9000 up type ifb',
  'ifb.del': 'ip link del vfr0123456789ab',
  'detour.add':
    'tc filter add dev veth1 ingress prio 60000 matchall skip_hw action mirred egress redirect dev vfr0123456789ab cookie 76660102aabbccdd0011223344556677',
  'detour.del': 'tc filter del dev veth1 ingress prio 60000 matchall',
  'police.add':
    'tc filter add dev pf0vf3 ingress prio 1 matchall skip_sw action police rate 100000000bit burst 250000b mtu 65535 conform-exceed drop/continue cookie 76660102aabbccdd0011223344556677',
  'police.del': 'tc filter del dev pf0vf3 ingress prio 1 matchall',
  'guard.add':
    'tc filter add dev cni0 ingress protocol all prio 1 handle 0x76660001 bpf direct-action # vf_loopback: drops 127.0.0.0/8',
  'guard.del':
    'tc filter del dev cni0 ingress protocol all prio 1 handle 0x76660001 bpf # vf_loopback: drops 127.0.0.0/8',
  'limiter.add':
    'tc actions add action police rate 100000000bit burst 250000b mtu 65535 conform-exceed drop/pipe index 1879052852 skip_sw cookie 76660102aabbccdd0011223344556677',
  'limiter.del': 'tc actions del action police index 1879052852',
  'meter.add':
    'tc filter add dev pf0 ingress protocol 802.1Q prio 16 flower vlan_id 100 dst_mac 02:00:00:00:00:05 skip_sw action vlan pop pipe cookie 76660102aabbccdd0011223344556677 action police index 1879052852 action mirred egress redirect dev pf0vf3 cookie 76660102aabbccdd0011223344556677',
  'meter.del': 'tc filter del dev pf0 ingress prio 16 handle ? flower # 02:00:00:00:00:05',
  'devlink.rate.set':
    'devlink port function rate set pci/0000:3b:00.0/65539 tx_share 0Bps tx_max 12500000Bps',
  'ports.reserve': 'nft create element 10.1.0.1:8080/tcp, 2001:db8::1:8080/udp',
  'ports.release': 'nft delete element 10.1.0.1:8080/tcp, 2001:db8::1:8080/udp',
  'localports.reserve':
    'sysctl -w net.ipv4.ip_local_reserved_ports="8080,50050-50051,$(sysctl -n net.ipv4.ip_local_reserved_ports)"',
  'localports.release':
    'sysctl -w net.ipv4.ip_local_reserved_ports="$(sysctl -n net.ipv4.ip_local_reserved_ports)" # without 50050-50051',
  'nft.load': 'pod:nft add table inet vf-flower-aabb',
  'nft.drop': 'pod:nft delete table inet vf-flower-aabb',
  'program.detach': 'pod:ip link set dev net1 xdpgeneric off # program 17',
  'link.del': 'pod:ip link del dev mv0',
  'link.flick': 'ip link set dev pf0 up; ip link set dev pf0 down',
  'ethtool.set': 'ethtool -L pf0 # channels 00000001, not 00000002',
  'netdev.set': 'echo 1 > /sys/class/net/pf0/queues/rx-0/rps_cpus',
  'neigh.use': 'pod:ip neigh replace 10.1.0.5 dev net1 nud none use',
  announce: 'pod:arping -U -c 2 -I net1 10.1.0.5 2001:db8::5',
}

group('describe', () => {
  test.each(everyOp.map((op) => [op.do, op] as const))('%s', (kind, op) => {
    expect(commandLine(op)).toBe(lines[kind])
  })

  test('names only what is set', () => {
    const link = examples['link.set']
    expect(commandLine({ ...link, side: 'host', set: { up: false } })).toBe('ip link set dev net1 down')
    const vf = examples['vf.set']
    expect(commandLine({ ...vf, set: { vlan: { id: 0, qos: 0, proto: 0x8100 } } })).toBe(
      'ip link set dev pf0 vf 3 vlan 0',
    )
    const plain = { dst: '10.9.0.0/16', link: 'net1' }
    expect(commandLine({ ...examples['route.add'], route: plain })).toBe(
      'pod:ip route add 10.9.0.0/16 dev net1',
    )
  })

  test('a filter in a VLAN names the tag and what is below it', () => {
    expect(
      flowFilterLine({ ...steer, prio: 12, vlan: 100, proto: 'udp', address: '2001:db8::1' }, 'skip_hw'),
    ).toBe(
      `tc filter add dev pf0 ingress protocol 802.1Q prio 12 flower vlan_id 100 vlan_ethtype ipv6 ip_proto udp dst_ip 2001:db8::1 dst_port 8080 skip_hw ${macs} ${redirect}`,
    )
  })

  test('a filter whose number is known is deleted by it', () => {
    expect(commandLine({ ...examples['steer.del'], handle: 26 })).toBe(
      'tc filter del dev pf0 ingress prio 10 handle 0x1a flower # tcp 10.1.0.1 port 8080',
    )
  })

  test('`off` shows as skip_hw', () => {
    expect(commandLine({ ...examples['steer.add'], offload: 'off' })).toContain(' skip_hw ')
    expect(commandLine({ ...examples['steer.add'], offload: 'require' })).toContain(' skip_sw ')
  })
})

// The exit code of iproute2 for the lines: 0, or 2 where the kernel refuses; a line that it can't parse is 1 or 255.
const setup = [
  'ip link add pf0 type veth peer name net1 && ip link add pf0v3 type veth peer name x && tc qdisc add dev pf0 clsact',
  'ip link add br0 type bridge && ip link add pf0vf3 type dummy && ip link set pf0vf3 master br0',
].join(' && ')
const inNamespace = (script: string) =>
  spawnSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8', env: process.env })
const canTry = inNamespace(setup).status === 0
const typed: readonly (readonly [string, string])[] = [
  ...everyOp.filter(({ do: kind }) => /^(vf|link|altname|addr|route|rule|bridge|clsact|steer)\./.test(kind)),
  { ...examples['steer.add'], rule: { ...steer, vlan: 100, address: '2001:db8::1', prio: 12 } } satisfies Op,
]
  .filter((op) => op.do !== 'link.move' && op.do !== 'steer.del')
  .map((op) => [op.do, commandLine(op).replace(/^pod:/, '')])

group.each(canTry ? [['iproute2']] : [])('%s', () => {
  test.each(typed)('takes the line of %s: %s', (_, line) => {
    const { status, stderr } = inNamespace(`${setup} && ${line}`)
    expect([0, 2], stderr).toContain(status)
  })

  const refused = [
    ['ip link set dev pf0 vf 3 frobnicate on'],
    ['tc filter add dev pf0 ingress flower nonsense'],
    [commandLine(examples['steer.del'])],
  ]
  test.each(refused)('refuses %s', (line) => {
    expect([0, 2]).not.toContain(inNamespace(`${setup} && ${line}`).status)
  })
})

test.each([
  ['flower', 'flower skip_hw'],
  ['u32', 'u32 match u32 0 0 skip_hw'],
  ['basic', 'basic'],
] as const)('a detour by classifier %s', (classifier, words) => {
  const { 'detour.add': add } = examples
  if (add.do !== 'detour.add') throw new TypeError('no detour')
  const detour = { ...add.detour, classifier }
  expect(commandLine({ do: 'detour.add', detour })).toContain(`ingress prio 60000 ${words} action mirred`)
  expect(commandLine({ do: 'detour.del', detour })).toBe(
    `tc filter del dev veth1 ingress prio 60000 ${classifier}`,
  )
})
