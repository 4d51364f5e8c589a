// Settings that a pod gives its interface: flags, names, limits, features, sysctls, rules of its own. In: nothing. Out:
// actions.
import { type Action, HARDWARE, IN_MACHINE } from './action.ts'

const flags: readonly Omit<Action, 'group'>[] = [
  { name: 'down', script: 'ip link set net1 down', check: /down/, races: true },
  { name: 'arp off', script: 'ip link set net1 arp off', check: /ARP/, races: true },
  { name: 'multicast off', script: 'ip link set net1 multicast off', check: /multicast/ },
  { name: 'promiscuous', script: 'ip link set net1 promisc on', check: 'passes', races: true },
  { name: 'all multicast', script: 'ip link set net1 allmulticast on', check: 'passes' },
  { name: 'a packet socket hears all', script: 'held promisc net1', check: 'passes' },
  { name: 'dynamic', script: 'ip link set net1 dynamic on', check: 'passes' },
  { name: 'trailers off', script: 'ip link set net1 trailers off', check: 'passes' },
  { name: 'dormant', script: 'ip link set net1 mode dormant', check: /mode/ },
  { name: 'group', script: 'ip link set net1 group 77', check: 'passes' },
  { name: 'alias', script: 'ip link set net1 alias "$OTHER"', check: 'passes' },
  {
    name: 'alias of control characters',
    script: 'ip link set net1 alias "$(printf \'\\033]0;x\\007\')"',
    check: 'passes',
  },
  { name: 'queue of one packet', script: 'ip link set net1 txqlen 1', check: 'passes' },
  { name: 'MTU', script: 'ip link set net1 mtu 576', check: /MTU/, races: true },
  { name: 'MAC', script: 'ip link set net1 address 02:aa:aa:aa:aa:aa', check: /MAC/, races: true },
  { name: 'broadcast address', script: 'ip link set net1 broadcast 02:00:00:00:00:01', check: 'either' },
  {
    name: 'renamed',
    script: 'ip link set net1 down; ip link set net1 name mine; ip link set mine up',
    check: /net1/,
  },
  {
    name: 'renamed to bytes that are no text',
    script: 'ip link set net1 down; ip link set net1 name "$(printf \'\\377\\376x\')"',
    check: /net1/,
  },
  {
    name: 'renamed and given back all the time',
    script:
      'ip link set net1 down; ip link set net1 name mine; ip link set mine name net1; ip link set net1 up',
    check: 'either',
    races: true,
  },
  {
    name: 'carrier off',
    script: 'ip link set net1 carrier off',
    check: 'either',
    kinds: ['dummy'],
  },
  { name: 'no link-local address', script: 'ip link set net1 addrgenmode none', check: 'either' },
]

const features: readonly Omit<Action, 'group'>[] = [
  {
    name: 'segments of one byte',
    script:
      'ip link set net1 gso_max_size 2000 gso_max_segs 1 gro_max_size 2000 gso_ipv4_max_size 2000 gro_ipv4_max_size 2000',
    check: 'passes',
  },
  {
    name: 'offloads off',
    script: 'ethtool -K net1 tx off gso off gro off || [ $? = 1 ]; ethtool -K net1 gro off',
    check: 'passes',
    races: true,
  },
  {
    name: 'offloads that forward',
    script: 'ethtool -K net1 rx-gro-list on rx-udp-gro-forwarding on',
    check: 'passes',
  },
  {
    name: 'channels',
    script: 'ethtool -L net1 rx 2 tx 2 || ethtool -L net1 rx 2',
    check: 'passes',
    kinds: ['veth'],
  },
  { name: 'rings', script: 'ethtool -G net1 rx 512 tx 512', check: 'passes', kinds: ['igb'] },
  { name: 'interrupts', script: 'ethtool -C net1 rx-usecs 99', check: 'passes', kinds: ['igb'] },
  {
    name: 'threads for its queues',
    script: 'echo 1 >/sys/class/net/net1/threaded',
    check: 'passes',
    kinds: ['igb'],
  },
  {
    name: 'packets steered to a processor',
    script: 'cd /sys/class/net/net1/queues/rx-0; echo 1 >rps_cpus; echo 4096 >rps_flow_cnt',
    check: 'passes',
  },
  {
    name: 'late interrupts',
    script: 'cd /sys/class/net/net1; echo 200000 >gro_flush_timeout; echo 7 >napi_defer_hard_irqs',
    check: 'passes',
  },
  { name: 'message level', script: 'ethtool -s net1 msglvl 1', check: 'passes', kinds: ['igb'] },
]

const rules: readonly Omit<Action, 'group'>[] = [
  {
    name: 'a filter that sends all to lo',
    script: `tc qdisc add dev net1 clsact
      tc filter add dev net1 ingress protocol all u32 match u32 0 0 action mirred egress redirect dev lo`,
    check: 'passes',
  },
  {
    name: 'a block of filters',
    script: 'tc qdisc add dev net1 ingress_block 5 egress_block 6 clsact',
    check: 'passes',
  },
  {
    name: 'a slow queue',
    script: 'tc qdisc add dev net1 root tbf rate 8kbit burst 2000 limit 3000',
    check: 'passes',
    races: true,
  },
  {
    name: 'classes of a queue',
    script: `tc qdisc replace dev net1 root handle 9: htb default 1
      tc class add dev net1 parent 9: classid 9:1 htb rate 8kbit`,
    check: 'passes',
  },
  { name: 'an old ingress queue', script: 'tc qdisc add dev net1 handle ffff: ingress', check: 'passes' },
  {
    name: 'nftables drops what comes in',
    script: `nft -f - <<'END'
table netdev t {
  chain c {
    type filter hook ingress device net1 priority 0; policy drop;
  }
}
END`,
    check: 'passes',
  },
  {
    name: 'nftables drops what goes out',
    script: `nft -f - <<'END'
table netdev t {
  chain c {
    type filter hook egress device net1 priority 0; policy drop;
  }
}
END`,
    check: 'passes',
  },
  {
    name: 'a flow table',
    script: `nft -f - <<'END'
table inet t {
  flowtable f {
    hook ingress priority 0; devices = { net1 }
  }
}
END`,
    check: 'passes',
    kinds: IN_MACHINE,
  },
  {
    name: 'its tables flushed',
    script: 'nft flush ruleset; nft add table inet vf-flower',
    check: 'passes',
  },
]

const sysctls: readonly Omit<Action, 'group'>[] = [
  {
    name: 'IPv4 settings',
    script: `cd /proc/sys/net/ipv4/conf/net1
      for name in route_localnet forwarding proxy_arp accept_local arp_filter; do echo 1 >$name; done; echo 2 >rp_filter`,
    check: 'passes',
  },
  {
    name: 'IPv6 settings',
    script: `cd /proc/sys/net/ipv6/conf/net1
      for name in proxy_ndp accept_source_route forwarding; do echo 1 >$name; done; echo 1300 >mtu; echo 1 >disable_ipv6`,
    check: 'either',
  },
  {
    name: 'neighbour settings',
    script:
      'cd /proc/sys/net/ipv4/neigh/net1; echo 1 >app_solicit; echo 1 >gc_stale_time; echo 999 >unres_qlen',
    check: 'passes',
  },
  {
    name: 'neighbours, groups and bridge entries',
    script: `ip neigh replace 10.1.0.10 lladdr 02:ee:ee:ee:ee:ee dev net1
      ip maddr add 33:33:33:33:33:33 dev net1
      bridge fdb add 02:de:ad:00:00:01 dev net1 self permanent || true`,
    check: 'either',
  },
  {
    name: 'addresses and routes flushed',
    script: 'ip addr flush dev net1; ip route flush table main',
    check: /address|10\.1\.0/,
    races: true,
  },
  {
    name: 'an address and a route of its own',
    script: 'ip addr add 10.98.0.1/24 dev net1; ip route add 10.99.0.0/24 dev net1',
    check: 'passes',
  },
  {
    name: 'an endpoint of MPTCP',
    script: 'ip mptcp endpoint add 10.1.0.50 dev net1 subflow || true',
    check: 'passes',
  },
  {
    name: 'flags of the port of a PF',
    script: 'ip link set net1 vf 0 spoofchk off 2>/dev/null || true',
    check: 'passes',
    kinds: HARDWARE,
  },
]

/** All these actions, by group. */
export const settings: readonly Action[] = [
  ...flags.map((one) => ({ ...one, group: 'flags' as const })),
  ...features.map((one) => ({ ...one, group: 'features' as const })),
  ...rules.map((one) => ({ ...one, group: 'tc and nft' as const })),
  ...sysctls.map((one) => ({ ...one, group: 'sysctls' as const })),
]
