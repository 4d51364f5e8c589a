// The captures of hack/capture.ts: command lines, and their preparations.

/** One capture: a command line, and the message to take. */
export interface Case {
  /** The fixture's file name. */
  readonly name: string
  /** Shell lines to run first; in the lab $PF is the device of a PF with four VFs. */
  readonly setup?: string
  readonly command: string
  /** The request's type, which finds the request among those of the command. */
  readonly type: string
  /** Number of the request among several of that type, from 1 on. */
  readonly nth?: number
  /** Capture the kernel's answer to that request instead of the request. */
  readonly answer?: true
  /** Runs in the lab's machine. */
  readonly lab?: true
}

/** Makes four VFs of the PF, with the name and the address of the commands. */
export const labSetup = `
modprobe -a igb 8021q dummy veth cls_flower cls_matchall act_mirred act_pedit act_police sch_tbf
pf=$(ls -d /sys/bus/pci/drivers/igb/*/net/* | head -n 1)
ip link set "$(basename "$pf")" down
ip link set "$(basename "$pf")" name pf0
ip link set pf0 address 02:00:00:00:00:f0 up
echo 4 >"/sys/class/net/pf0/device/sriov_numvfs"
until [ "$(ip -o link show dev pf0 | grep -c LOWER_UP)" = 1 ]; do sleep 0.1; done
`

const mac = '02:00:00:00:00:01'
const flower = (name: string, rest: string): Case => ({
  name: `flower-${name}`,
  command: `tc filter add dev lo ${rest}`,
  type: 'RTM_NEWTFILTER',
})
const link = (name: string, command: string, type = 'RTM_NEWLINK'): Case => ({
  name: `link-${name}`,
  command,
  type,
})
const addr = (name: string, rest: string): Case => ({
  name: `addr-${name}`,
  command: `ip address ${rest}`,
  type: rest.startsWith('del') ? 'RTM_DELADDR' : 'RTM_NEWADDR',
})
const route = (name: string, rest: string): Case => ({
  name: `route-${name}`,
  command: `ip ${rest}`,
  type: / del /.test(rest) ? 'RTM_DELROUTE' : 'RTM_NEWROUTE',
})

const links: readonly Case[] = [
  link('get', 'ip link show dev lo', 'RTM_GETLINK'),
  link('get-altname', 'ip link show dev a-name-of-more-than-15-bytes', 'RTM_GETLINK'),
  link('dump', 'ip -d link show', 'RTM_GETLINK'),
  link('up', 'ip link set dev lo up'),
  link(
    'move-rename',
    'ip link set dev lo netns $$ name net1 address 02:00:00:00:00:01 mtu 1400 alias vf-of-pod up',
  ),
  link('move-fd', 'ip link set dev lo netns /proc/self/ns/net'),
  link('master', 'ip link set dev lo master lo'),
  link('txqueuelen-group', 'ip link set dev lo txqueuelen 500 group 7'),
  link('alias-promisc', 'ip link set dev lo alias "VF of pod" promisc on allmulticast off'),
  link('alias-none', 'ip link set dev lo alias ""'),
  link('altname-add', 'ip link property add dev lo altname enp1s0f0v3 altname vf3', 'RTM_NEWLINKPROP'),
  link('altname-del', 'ip link property del dev lo altname vf3', 'RTM_DELLINKPROP'),
  link('add-veth', 'ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 mtu 1400'),
  link('add-vlan', 'ip link add link lo name lo.100 type vlan protocol 802.1ad id 100'),
  link('add-bridge', 'ip link add br0 type bridge vlan_filtering 1 stp_state 0'),
  link('add-ifb', 'ip link add rate0 mtu 9000 txqueuelen 100 type ifb'),
  link('add-dummy-in-netns', 'ip link add d0 netns $$ type dummy'),
  link('del', 'ip link delete dev lo', 'RTM_DELLINK'),
  link('vf-mac', `ip link set dev lo vf 3 mac ${mac}`),
  link(
    'vf-mac-infiniband',
    'ip link set dev lo vf 3 node_guid 00:11:22:33:44:55:66:77 port_guid 00:11:22:33:44:55:66:78',
  ),
  link('vf-vlan', 'ip link set dev lo vf 3 vlan 100 qos 5'),
  link('vf-vlan-ad', 'ip link set dev lo vf 3 vlan 100 qos 5 proto 802.1ad'),
  link('vf-rate', 'ip link set dev lo vf 3 min_tx_rate 100 max_tx_rate 1000'),
  link('vf-tx-rate', 'ip link set dev lo vf 3 rate 200'),
  link(
    'vf-all',
    `ip link set dev lo vf 3 mac ${mac} vlan 7 qos 1 max_tx_rate 300 min_tx_rate 0 spoofchk on state enable query_rss off trust on`,
  ),
]

const port = `modprobe bridge
ip link add br0 type bridge vlan_filtering 1
ip link add d1 master br0 type dummy
bridge vlan add dev d1 vid 10-14
bridge vlan add dev d1 vid 100 pvid untagged`
const dumpVlans = { command: 'bridge -compressvlans vlan show', type: 'RTM_GETLINK', nth: 2 }
const bridges: readonly Case[] = [
  { name: 'bridge-vlan-add', command: 'bridge vlan add dev lo vid 100 pvid untagged', type: 'RTM_SETLINK' },
  { name: 'bridge-vlan-del', command: 'bridge vlan del dev lo vid 100', type: 'RTM_DELLINK' },
  { name: 'bridge-vlan-dump', ...dumpVlans },
  { name: 'answer-bridge-vlan-dump', setup: port, ...dumpVlans, answer: true, lab: true },
]

const addresses: readonly Case[] = [
  addr('v4', 'add 10.1.0.5/24 dev lo'),
  addr('v4-broadcast', 'add 10.1.0.5/24 broadcast + label lo:1 scope link dev lo'),
  addr('v4-peer', 'add 10.1.0.5 peer 10.1.0.6/32 dev lo'),
  addr('v6', 'add fd00::5/64 nodad noprefixroute dev lo'),
  addr('v6-lifetimes', 'add fd00::5/64 valid_lft 600 preferred_lft 300 metric 50 proto 0x10 dev lo'),
  addr('del', 'del 10.1.0.5/24 dev lo'),
  { name: 'addr-dump', command: 'ip address show dev lo', type: 'RTM_GETADDR' },
]

const routes: readonly Case[] = [
  route('default', 'route add default via 10.1.0.1 dev lo'),
  route('onlink-src', 'route add 10.2.0.0/16 via 10.1.0.1 dev lo onlink src 10.1.0.5 proto static'),
  route('table', 'route add default via 10.1.0.1 dev lo table 1000 metric 50'),
  route('metrics', 'route add 10.2.0.0/16 dev lo mtu lock 1400 advmss 1360 initcwnd 20 congctl cubic'),
  route('v6', 'route add fd01::/64 via fe80::1 dev lo pref high'),
  route('via-v6', 'route add 10.2.0.0/16 via inet6 fe80::1 dev lo'),
  route(
    'multipath',
    'route add 10.2.0.0/16 nexthop via 10.1.0.1 dev lo weight 2 nexthop via 10.1.0.2 dev lo onlink',
  ),
  route('blackhole', 'route add blackhole 10.3.0.0/16'),
  route('scope-link', 'route add 10.4.0.0/16 dev lo scope link'),
  route('del', 'route del 10.2.0.0/16 table 1000'),
  { name: 'route-get', command: 'ip route get 127.0.0.1', type: 'RTM_GETROUTE' },
  { name: 'route-dump', command: 'ip route show table 1000', type: 'RTM_GETROUTE' },
]

const rules: readonly Case[] = [
  { name: 'rule-from', command: 'ip rule add from 10.1.0.5 lookup 1000 priority 900', type: 'RTM_NEWRULE' },
  { name: 'rule-v6', command: 'ip -6 rule add from fd00::5/128 lookup 100', type: 'RTM_NEWRULE' },
  {
    name: 'rule-many',
    command:
      'ip rule add to 10.0.0.0/8 iif lo oif lo fwmark 1/0xff ipproto tcp sport 1-9 dport 80 uidrange 5-6 tos 0x10 protocol 77 lookup main suppress_prefixlength 0',
    type: 'RTM_NEWRULE',
  },
  {
    name: 'rule-goto',
    command: 'ip rule add not from 10.1.0.0/16 goto 32766 priority 5',
    type: 'RTM_NEWRULE',
  },
  { name: 'rule-del', command: 'ip rule del from 10.1.0.5 lookup 1000', type: 'RTM_DELRULE' },
  {
    name: 'neigh-add',
    command: 'ip neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 nud permanent dev lo',
    type: 'RTM_NEWNEIGH',
  },
  { name: 'neigh-proxy', command: 'ip -6 neigh add proxy fd00::5 dev lo', type: 'RTM_NEWNEIGH' },
  {
    name: 'neigh-fdb',
    command: 'bridge fdb add 02:00:00:00:00:01 dev lo self permanent vlan 5',
    type: 'RTM_NEWNEIGH',
  },
]

const tcp = 'ingress protocol ip prio 1 flower ip_proto tcp dst_ip 10.0.0.1 dst_port 8080'
const filters: readonly Case[] = [
  { name: 'qdisc-clsact', command: 'tc qdisc add dev lo clsact', type: 'RTM_NEWQDISC' },
  {
    name: 'qdisc-clsact-blocks',
    command: 'tc qdisc add dev lo ingress_block 7 egress_block 8 clsact',
    type: 'RTM_NEWQDISC',
  },
  { name: 'qdisc-ingress', command: 'tc qdisc add dev lo ingress', type: 'RTM_NEWQDISC' },
  {
    name: 'qdisc-tbf',
    command: 'tc qdisc add dev lo root handle 7666: tbf rate 100mbit burst 128k limit 400k',
    type: 'RTM_NEWQDISC',
  },
  {
    name: 'qdisc-tbf-rate64',
    command: 'tc qdisc add dev lo root handle 7666: tbf rate 400gbit burst 50m limit 100m',
    type: 'RTM_NEWQDISC',
  },
  {
    name: 'qdisc-del-root',
    command: 'tc qdisc del dev lo root handle 7666:',
    type: 'RTM_DELQDISC',
  },
  { name: 'qdisc-del', command: 'tc qdisc del dev lo clsact', type: 'RTM_DELQDISC' },
  flower(
    'steer',
    `${tcp} skip_sw action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev lo cookie 00112233445566778899aabbccddeeff`,
  ),
  flower(
    'nat',
    `${tcp} action pedit ex munge ip dst set 10.1.0.5 munge ip ttl set 63 munge tcp dport set 80 pipe action csum ip and tcp pipe action mirred egress redirect dev lo`,
  ),
  flower(
    'nat-v6-udp',
    'ingress protocol ipv6 prio 2 flower ip_proto udp src_ip fd00::5 src_port 53 action pedit ex munge ip6 src set fd00::1 munge udp sport set 5353 munge ip6 hoplimit set 63 pipe action csum udp pipe action mirred egress redirect dev lo',
  ),
  flower('minimal', 'egress protocol all prio 3 flower action drop'),
  flower(
    'masks',
    'ingress protocol ip prio 1 handle 0x12345 chain 5 flower dst_mac 02:00:00:00:00:01 src_mac 02:00:00:00:00:00/ff:ff:ff:00:00:00 src_ip 10.0.0.0/8 dst_ip 10.0.0.1 ip_tos 0x10/0xfc ip_ttl 64 skip_hw action ok',
  ),
  flower(
    'nofrag',
    'ingress protocol ip prio 1 flower ip_flags nofrag ip_proto udp dst_port 53 verbose action pass',
  ),
  flower(
    'port-range',
    'ingress protocol ip prio 1 flower ip_proto tcp dst_port 8000-8010 src_port 1024-65535 action pass',
  ),
  flower('tcp-flags', 'ingress protocol ip prio 1 flower ip_proto tcp tcp_flags 0x2/0x12 action pass'),
  flower('icmp', 'ingress protocol ip prio 1 flower ip_proto icmp type 3 code 4 classid 1:5 action pass'),
  flower(
    'vlan',
    'ingress protocol 802.1Q prio 1 flower vlan_id 100 vlan_prio 5 vlan_ethtype ip ip_proto tcp dst_port 80 action vlan pop pipe action mirred egress redirect dev lo',
  ),
  flower(
    'qinq',
    'ingress protocol 802.1ad prio 1 flower vlan_id 100 vlan_ethtype 802.1q cvlan_id 5 cvlan_ethtype ipv6 ip_proto udp dst_port 53 action pass',
  ),
  flower(
    'vlan-push',
    'ingress protocol ip prio 1 flower dst_mac 02:00:00:00:00:01 action vlan push id 100 protocol 802.1ad priority 3 pipe action vlan modify id 7 pipe action mirred egress mirror dev lo pipe action goto chain 3',
  ),
  flower(
    'ct-state',
    'ingress protocol ip prio 1 flower ct_state +trk+est-rpl ct_zone 5 ct_mark 1/0xff action pass',
  ),
  flower(
    'arp',
    'ingress protocol arp prio 1 flower arp_op request arp_tip 10.0.0.1 arp_sha 02:00:00:00:00:01 action pass',
  ),
  {
    name: 'flower-block',
    command: 'tc filter add block 7 protocol ip prio 1 flower dst_ip 10.0.0.1 action drop',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'matchall',
    command: 'tc filter add dev lo ingress prio 1 matchall skip_sw action gact ok random determ drop 3',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'matchall-police',
    command:
      'tc filter add dev lo ingress prio 1 matchall skip_sw action police rate 100mbit burst 2m mtu 65535 conform-exceed drop/continue cookie 0102',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'u32',
    command:
      'tc filter add dev lo ingress protocol all prio 60000 u32 match u32 0 0 skip_hw action mirred egress redirect dev lo cookie 0102',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'u32-keys',
    command:
      'tc filter add dev lo ingress protocol ip prio 2 u32 match ip dst 10.0.0.0/8 match u16 0x50 0xffff at nexthdr+2 classid 1:5',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'basic',
    command:
      'tc filter add dev lo ingress protocol all prio 60000 basic action mirred egress redirect dev lo cookie 0102',
    type: 'RTM_NEWTFILTER',
  },
  flower(
    'police-index',
    'ingress protocol all prio 4 flower dst_mac 02:00:00:00:00:05 action police index 9 pipe action mirred egress redirect dev lo',
  ),
  {
    name: 'filter-replace',
    command:
      'tc filter replace dev lo ingress protocol ip prio 1 handle 1 flower dst_ip 10.0.0.1 action drop index 5',
    type: 'RTM_NEWTFILTER',
  },
  {
    name: 'filter-del',
    command: 'tc filter del dev lo ingress protocol ip prio 1 handle 0x12345 chain 5 flower',
    type: 'RTM_DELTFILTER',
  },
  {
    name: 'filter-get',
    command: 'tc filter get dev lo ingress protocol ip prio 1 handle 0x12345 flower',
    type: 'RTM_GETTFILTER',
  },
  { name: 'filter-dump', command: 'tc -br filter show dev lo ingress chain 5', type: 'RTM_GETTFILTER' },
  {
    name: 'action-add',
    command: 'tc actions add action mirred egress redirect dev lo index 9 cookie 0102 no_percpu',
    type: 'RTM_NEWACTION',
  },
  {
    name: 'action-add-police',
    command:
      'tc actions add action police rate 400gbit burst 1g mtu 65535 conform-exceed drop/pipe index 9 cookie 0102',
    type: 'RTM_NEWACTION',
  },
  { name: 'action-del', command: 'tc actions del action police index 9', type: 'RTM_DELACTION' },
  { name: 'action-get', command: 'tc actions get action police index 9', type: 'RTM_GETACTION' },
  { name: 'action-dump', command: 'tc actions list action police', type: 'RTM_GETACTION' },
]

const here: readonly Case[] = [
  {
    name: 'answer-u32-dump',
    setup:
      'ip link add v0 type veth peer name v1\ntc qdisc add dev v0 clsact\ntc filter add dev v0 ingress protocol all prio 60000 u32 match u32 0 0 skip_hw action mirred egress redirect dev v1 cookie 0102',
    command: 'tc -s filter show dev v0 ingress',
    type: 'RTM_GETTFILTER',
    answer: true,
  },
  {
    name: 'answer-link-dump',
    setup:
      'ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02\nip link set v1 alias peer\nip link property add dev v1 altname other',
    command: 'ip link show',
    type: 'RTM_GETLINK',
    answer: true,
  },
  {
    name: 'answer-addr-dump',
    setup: 'ip link set lo up\nip address add fd00::5/64 dev lo nodad',
    command: 'ip address show',
    type: 'RTM_GETADDR',
    answer: true,
  },
  {
    name: 'answer-route-dump',
    setup: 'ip link set lo up\nip route add 10.2.0.0/16 dev lo table 1000 mtu 1400',
    command: 'ip route show table all',
    type: 'RTM_GETROUTE',
    answer: true,
  },
  {
    name: 'answer-rule-dump',
    setup: 'ip rule add from 10.1.0.5 lookup 1000 priority 900',
    command: 'ip rule show',
    type: 'RTM_GETRULE',
    answer: true,
  },
  {
    name: 'answer-refused',
    command: 'ip route add 10.0.0.0/8 via 192.0.2.1',
    type: 'RTM_NEWROUTE',
    answer: true,
  },
  { name: 'answer-done', command: 'ip neigh show', type: 'RTM_GETNEIGH', answer: true },
]

const dummy =
  'ip link delete d0 2>/dev/null\nip link add d0 address 02:00:00:00:00:d0 type dummy\nip link set d0 up\ntc qdisc add dev d0 clsact'
const steer = `${tcp} action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev d0 cookie 00112233445566778899aabbccddeeff`
const inLab = (name: string, setup: string, command: string, type: string): Case => ({
  name: `answer-${name}`,
  setup,
  command,
  type,
  answer: true,
  lab: true,
})
const lab: readonly Case[] = [
  inLab(
    'vf-list',
    'ip link set pf0 vf 1 mac 02:00:00:00:00:11\nip link set pf0 vf 1 vlan 100 qos 3\nip link set pf0 vf 2 max_tx_rate 100 trust on spoofchk off',
    'ip link show dev pf0',
    'RTM_GETLINK',
  ),
  inLab(
    'link-vlan',
    'ip link add link pf0 name pf0.100 type vlan id 100',
    'ip -d link show dev pf0.100',
    'RTM_GETLINK',
  ),
  inLab(
    'neigh-dump',
    'ip address add 10.1.0.1/24 dev pf0\nip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:09 nud permanent dev pf0',
    'ip neigh show dev pf0 nud permanent',
    'RTM_GETNEIGH',
  ),
  inLab('qdisc-dump', dummy, 'tc qdisc show', 'RTM_GETQDISC'),
  inLab(
    'filter-dump',
    `${dummy}\ntc filter add dev d0 ${steer}`,
    'tc -s filter show dev d0 ingress',
    'RTM_GETTFILTER',
  ),
  inLab(
    'filter-dump-terse',
    `${dummy}\ntc filter add dev d0 ${steer}`,
    'tc -br filter show dev d0 ingress',
    'RTM_GETTFILTER',
  ),
  inLab(
    'filter-get',
    `${dummy}\ntc filter add dev d0 ingress protocol 802.1Q prio 2 handle 7 flower vlan_id 100 vlan_ethtype ip ip_flags nofrag ip_proto tcp dst_port 80 action vlan pop pipe action csum ip tcp pipe action drop`,
    'tc filter get dev d0 ingress protocol 802.1Q prio 2 handle 7 flower',
    'RTM_GETTFILTER',
  ),
  inLab(
    'filter-refused',
    'ip link set pf0 up\ntc qdisc add dev pf0 clsact',
    `tc filter add dev pf0 ${tcp} skip_sw action drop`,
    'RTM_NEWTFILTER',
  ),
  inLab(
    'filter-verbose',
    'tc qdisc add dev pf0 clsact',
    `tc filter add dev pf0 ${tcp} verbose action drop`,
    'RTM_NEWTFILTER',
  ),
  inLab(
    'matchall-dump',
    `${dummy}\ntc filter add dev d0 egress prio 1 matchall action mirred egress mirror dev d0 pipe action ok`,
    'tc -s filter show dev d0 egress',
    'RTM_GETTFILTER',
  ),
  inLab(
    'action-dump',
    'tc actions flush action gact\ntc actions add action drop index 5 cookie 0102',
    'tc -s actions show action gact',
    'RTM_GETACTION',
  ),
  inLab(
    'tbf-dump',
    'ip link delete d0 2>/dev/null\nip link add d0 address 02:00:00:00:00:d0 type dummy\nip link set d0 up\ntc qdisc add dev d0 root handle 7666: tbf rate 40gbit burst 8m limit 100m',
    'tc -s qdisc show dev d0',
    'RTM_GETQDISC',
  ),
  inLab(
    'police-dump',
    'tc actions flush action police\ntc actions add action police rate 100mbit burst 2m mtu 65535 conform-exceed drop/pipe index 9 cookie 0102',
    'tc -s actions show action police',
    'RTM_GETACTION',
  ),
  inLab(
    'police-filter-dump',
    `${dummy}\ntc filter add dev d0 ingress prio 1 matchall action police rate 100mbit burst 2m mtu 65535 conform-exceed drop/continue`,
    'tc -s filter show dev d0 ingress',
    'RTM_GETTFILTER',
  ),
  inLab(
    'route-dump',
    'ip address replace 10.1.0.1/24 dev pf0\nip route replace 10.2.0.0/16 nexthop via 10.1.0.2 weight 2 nexthop via 10.1.0.3\nip route replace 10.3.0.0/16 via inet6 fe80::1 dev pf0',
    'ip route show',
    'RTM_GETROUTE',
  ),
]

/** All captures. */
export const cases: readonly Case[] = [
  ...links,
  ...bridges,
  ...addresses,
  ...routes,
  ...rules,
  ...filters,
  ...here,
  ...lab,
]
