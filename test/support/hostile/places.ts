// Things that a pod puts on its interface, places where it takes it, and things that it puts in its place. In: nothing.
// Out: actions.
import { type Action, IN_CHILD, IN_MACHINE } from './action.ts'

const programs: readonly Omit<Action, 'group'>[] = [
  { name: 'XDP', script: 'pl xdp skb set net1 drop', check: 'passes', races: true },
  { name: 'XDP that lets all pass', script: 'pl xdp skb set net1 pass', check: 'passes' },
  { name: 'XDP in the driver', script: 'pl xdp drv set net1 drop', check: 'passes', kinds: ['veth'] },
  { name: 'XDP that a process holds', script: 'held xdp skb hold net1 drop', check: 'passes' },
  {
    name: 'XDP in the driver that a process holds',
    script: 'held xdp drv hold net1 drop',
    check: 'passes',
    kinds: ['veth'],
  },
  {
    name: 'XDP that an outliving process holds',
    script: `outlive perl $POD_PL xdp skb hold net1 drop
      until ip link show dev net1 | grep -q xdp; do sleep 0.02; done`,
    check: 'passes',
    outlives: true,
  },
  { name: 'a program for what comes in', script: 'held tcx ingress net1', check: 'passes' },
  { name: 'a program for what goes out', script: 'held tcx egress net1', check: 'passes' },
]

const uppers: readonly Omit<Action, 'group'>[] = [
  ...(['bridge', 'vepa', 'private', 'passthru'] as const).map((mode) => ({
    name: `macvlan ${mode}`,
    script: `ip link add mv0 link net1 type macvlan mode ${mode}; ip link set mv0 up`,
    check: 'passes' as const,
    ...(mode === 'private' ? { races: true as const } : {}),
  })),
  {
    name: 'macvlan with the MAC of the device',
    script: `ip link set net1 address 02:bb:bb:bb:bb:bb
      ip link add mv0 link net1 address $MAC type macvlan mode private; ip link set mv0 up`,
    check: /MAC/,
  },
  {
    name: 'macvlan of sources',
    script:
      'ip link add mv0 link net1 type macvlan mode source macaddr set 02:11:22:33:44:55; ip link set mv0 up',
    check: 'passes',
  },
  {
    name: 'macvtap',
    script: 'ip link add mt0 link net1 type macvtap mode passthru; ip link set mt0 up',
    check: 'passes',
    kinds: IN_MACHINE,
  },
  {
    name: 'macvlan in a namespace of its own',
    script: `child; ip link add mv0 link net1 type macvlan mode passthru; ip link set mv0 netns $C
      ${IN_CHILD} ip link set mv0 up`,
    check: 'passes',
  },
  {
    name: 'macvlan in a namespace that outlives the pod',
    script: `child outlive; ip link add mv0 link net1 type macvlan mode private; ip link set mv0 netns $C
      ${IN_CHILD} ip link set mv0 up`,
    check: 'passes',
    outlives: true,
  },
  {
    name: 'vxlan',
    script: 'ip link add vx0 type vxlan id 7 dev net1 group 239.1.1.1 dstport 4789; ip link set vx0 up',
    check: 'passes',
    kinds: IN_MACHINE,
  },
  {
    name: 'port of a bridge',
    script: 'ip link add br0 up type bridge; ip link set net1 master br0',
    check: 'passes',
  },
  {
    name: 'port of a bridge that has its name and MAC',
    script: `ip link add br0 address $MAC type bridge; ip link set net1 down; ip link set net1 name old
      ip link set br0 name net1; ip link set old master net1; ip link set old up; ip link set net1 up`,
    check: /net1/,
  },
  {
    name: 'bridged with a tap',
    script: `ip tuntap add tp0 mode tap; ip link add br0 up type bridge
      ip link set tp0 master br0; ip link set net1 master br0`,
    check: 'passes',
  },
  ...(
    [
      ['vlan', 'ip link add up0 link net1 type vlan id 5'],
      ['ipvlan', 'ip link add up0 link net1 type ipvlan mode l2'],
      ['macsec', 'ip link add up0 link net1 type macsec'],
      ['port of a bond', 'ip link add up0 type bond; ip link set net1 down; ip link set net1 master up0'],
      ['port of a VRF', 'ip link add up0 type vrf table 7; ip link set net1 master up0'],
      ['port of a team', 'ip link add up0 type team; ip link set net1 down; ip link set net1 master up0'],
    ] as const
  ).map(([name, script]) => ({
    name,
    script: `${script}; ip link set up0 up; ip link set net1 up`,
    check: 'passes' as const,
    kinds: IN_MACHINE,
  })),
]

const altnames: readonly Omit<Action, 'group'>[] = [
  { name: 'altname', script: 'ip link property add dev net1 altname mine', check: 'passes', races: true },
  {
    name: 'altname of its home',
    script: 'ip link property add dev net1 altname "$HOME_NAME"',
    check: 'passes',
    races: true,
  },
  {
    name: 'altname of another device',
    script: 'ip link property add dev net1 altname "$OTHER"',
    check: 'passes',
    races: true,
  },
  {
    name: 'altname of bytes that are no text',
    script: 'ip link property add dev net1 altname "$(printf \'x\\377\\376\')"',
    check: 'passes',
  },
  {
    name: '400 altnames',
    script: "seq -f 'link property add dev net1 altname n%g' 400 | ip -b -",
    check: 'passes',
  },
  {
    name: 'altnames as fast as it can',
    script: `keep perl $POD_PL altnames net1 a0 a1 a2 a3 a4 a5 a6 a7
      until ip link show dev net1 | grep -q altname; do sleep 0.02; done`,
    check: 'passes',
  },
]

const numbers: readonly Omit<Action, 'group'>[] = [
  {
    name: 'a number of its choice',
    script: `child; ip link set net1 netns $C; ${IN_CHILD} perl $POD_PL renumber net1 $POD $FREE; ip link set net1 up`,
    check: 'either',
  },
  {
    name: 'the largest number',
    script: `child; ip link set net1 netns $C; ${IN_CHILD} perl $POD_PL renumber net1 $POD 2147483647; ip link set net1 up`,
    check: 'either',
  },
  {
    name: "another device's number",
    script: `child; ip link set net1 netns $C; ${IN_CHILD} perl $POD_PL renumber net1 $POD $OTHER_NUMBER; ip link set net1 up`,
    check: 'either',
  },
]

const hiding: readonly Omit<Action, 'group'>[] = [
  { name: 'hidden in a namespace of its own', script: 'child; ip link set net1 netns $C', check: /net1/ },
  {
    name: 'hidden two namespaces deep, under another name',
    script: `child; first=$C; ip link set net1 netns $C; child
      nsenter --net=$first ip link set net1 name deep netns $C`,
    check: /net1/,
  },
  {
    name: 'hidden in a namespace that outlives the pod',
    script: 'child outlive; ip link set net1 netns $C',
    check: /net1/,
    outlives: true,
  },
  {
    name: 'its namespace held by a process that outlives it',
    script: 'outlive sleep 1000',
    check: 'passes',
    outlives: true,
  },
  {
    name: 'its namespace held by a descriptor',
    script: 'outlive nsenter --net=/proc/1/ns/net perl $POD_PL hold $POD',
    check: 'passes',
    outlives: true,
  },
  {
    name: 'to and fro',
    script: `child; for turn in 1 2 3; do
        ip link set net1 netns $C; ${IN_CHILD} ip link set net1 netns $POD || ${IN_CHILD} ip link set net1 netns $POD_PID
      done; ip link set net1 up`,
    check: 'either',
    races: true,
  },
  {
    name: 'to and fro as fast as it can',
    script: `child; keep perl $POD_PL bounce net1 $POD $C
      until [ -e /tmp/hostile/bounced ]; do sleep 0.02; done`,
    check: 'either',
  },
  {
    name: 'deleted',
    script: 'ip link del net1',
    check: /net1/,
    kinds: ['veth', 'dummy'],
  },
]

const VETH = 'ip link add net1 type veth peer name evil; ip link set net1 up; ip link set evil up'
const lookAlikes: readonly Omit<Action, 'group'>[] = [
  {
    name: 'a veth of its name',
    script: `ip link set net1 down; ip link set net1 name real; ${VETH}`,
    check: /net1/,
  },
  {
    name: 'a veth of its name and MAC, and it hidden',
    script: `child; ip link set net1 netns $C; ip link add net1 address $MAC type veth peer name evil
      ip link set net1 up; ip link set evil up; ip addr add 10.1.0.50/24 dev net1`,
    check: /net1/,
  },
  {
    name: 'a veth of its name, MAC and number, and it hidden',
    script: `child; ip link set net1 netns $C; ip link add net1 index $NUMBER address $MAC type veth peer name evil
      ip link set net1 up; ip link set evil up; ip addr add 10.1.0.50/24 dev net1`,
    check: /net1/,
  },
  {
    name: 'lo of its name',
    script: `ip link set net1 down; ip link set net1 name real; ip link set lo down; ip link set lo name net1
      ip link set net1 up; ip addr add 10.1.0.50/24 dev net1`,
    check: /net1/,
  },
  {
    name: 'an ifb of its name, MAC and number, and it hidden',
    script: `child; ip link set net1 netns $C; ip link add net1 index $NUMBER address $MAC type ifb; ip link set net1 up`,
    check: /net1/,
  },
  {
    name: 'a macvlan on it of its name and MAC',
    script: `ip link set net1 down; ip link set net1 name real address 02:bb:bb:bb:bb:bb; ip link set real up
      ip link add net1 link real address $MAC type macvlan mode private; ip link set net1 up`,
    check: /net1/,
  },
  {
    name: 'a dummy of its name, MAC and number, and it hidden',
    script: `child; ip link set net1 netns $C; ip link add net1 index $NUMBER address $MAC type dummy; ip link set net1 up
      ip addr add 10.1.0.50/24 dev net1`,
    check: /net1/,
    kinds: IN_MACHINE,
  },
]

const crowding: readonly Omit<Action, 'group'>[] = [
  {
    name: '2,000 routes',
    script:
      'seq -f \'route add 172.16.%g.0/24 dev lo table 5\' 0 255 >r; for n in 1 2 3 4 5 6 7; do seq -f "route add 172.2$n.%g.0/24 dev lo" 0 255; done >>r; ip -b r',
    check: 'passes',
  },
  {
    name: '1,000 addresses',
    script: 'for n in 0 1 2 3; do seq -f "addr add 10.10$n.1.%g/32 dev net1" 1 250; done | ip -b -',
    check: 'passes',
  },
  {
    name: '150 links',
    script: "seq -f 'link add x%g type ifb' 150 | ip -b -",
    check: 'passes',
  },
  {
    name: 'links that come and go',
    script: "seq -f 'link add y%g type ifb' 20 | ip -b -; seq -f 'link del y%g' 20 | ip -b -",
    check: 'either',
    races: true,
  },
]

/** All these actions, by group. */
export const places: readonly Action[] = [
  ...programs.map((one) => ({ ...one, group: 'programs' as const })),
  ...uppers.map((one) => ({ ...one, group: 'uppers' as const })),
  ...altnames.map((one) => ({ ...one, group: 'altnames' as const })),
  ...numbers.map((one) => ({ ...one, group: 'numbers' as const })),
  ...hiding.map((one) => ({ ...one, group: 'hiding' as const })),
  ...lookAlikes.map((one) => ({ ...one, group: 'look-alikes' as const })),
  ...crowding.map((one) => ({ ...one, group: 'crowding' as const })),
]
