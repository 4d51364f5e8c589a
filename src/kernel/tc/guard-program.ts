/**
 * The BPF program that drops packets from and to 127.0.0.0/8 which would reach the IP layer of the interface that it is on, and lets
 * all else go on to the next filter. In IPv6 it is ::ffff:127.0.0.0/104, which sockets of both families show as the same, and which
 * kernels deliver as a source from anywhere. What that layer takes is decided in __netif_receive_skb_core() of the kernel: packets
 * without a VLAN tag, and those whose tags all have VLAN 0 (priority tags), however many there are; a tag with another VLAN leads to another
 * interface, or nowhere. The kernel has taken the outermost tag off by then.
 *
 * A bridge needs a closer look. Where br_netfilter has bridges call the IP layer's hooks (kubelet wants it so) connection tracking has
 * already given replies of a pod to a program at 127.0.0.1 that address as their destination, when they come by here. What comes by
 * with such an address of its own is for a socket that listens, or takes datagrams from everybody; a reply is for one that is
 * connected, to another address than the packet's source as it is now. So what would find a socket as it is is dropped, and so is what
 * opens a connection. What is let go on finds a connection that is tracked, or nobody.
 *
 * Pure. The instruction set is RFC 9669.
 */

/** Offsets of struct __sk_buff, linux/bpf.h. */
const skb = { len: 0, protocol: 16, vlan_present: 20, vlan_tci: 24 } as const
/** BPF_FUNC_* of linux/bpf.h. */
const helper = {
  ...{ skb_pull_data: 39, skb_load_bytes_relative: 68 },
  ...{ sk_lookup_tcp: 84, sk_lookup_udp: 85, sk_release: 86 },
} as const
/** BPF_F_CURRENT_NETNS */
const currentNetns = -1
/** IPPROTO_* */
const transport = { icmp: 1, tcp: 6, udp: 17, sctp: 132 } as const
/** BPF_HDR_START_NET */
const fromNetworkHeader = 1
/** EtherTypes as a load of 16 or 32 bits gives them on a little-endian machine. */
const etherType = { ip: 0x0008, ip6: 0xdd86, vlan: 0x0081, serviceVlan: 0xa888 } as const
/** TC_ACT_UNSPEC: the next filter is asked. TC_ACT_SHOT: dropped. */
const [goOn, drop] = [-1, 2]

/** Registers: 6 to 9 outlive a call of a helper, 10 is the stack's end. */
const [packet, protocol, header] = [6, 7, 8]
/** Where on the stack headers are loaded to, and where what a socket is looked for by lies (struct bpf_sock_tuple). */
const [buffer, tuple] = [-40, -56]

/** An instruction: code, destination, source, offset or the label to jump to, constant. A text by itself is a label. */
type Line = string | readonly [code: number, dst: number, src: number, off: number | string, imm: number]

const loadWord = (dst: number, src: number, off: number): Line => [0x61, dst, src, off, 0]
const loadHalf = (dst: number, src: number, off: number): Line => [0x69, dst, src, off, 0]
const loadByte = (dst: number, src: number, off: number): Line => [0x71, dst, src, off, 0]
const set = (dst: number, imm: number): Line => [0xb7, dst, 0, 0, imm]
const copy = (dst: number, src: number): Line => [0xbf, dst, src, 0, 0]
const add = (dst: number, imm: number): Line => [0x07, dst, 0, 0, imm]
const and = (dst: number, imm: number): Line => [0x57, dst, 0, 0, imm]
const store = (off: number, src: number): Line => [0x63, 10, src, off, 0]
const addRegister = (dst: number, src: number): Line => [0x0f, dst, src, 0, 0]
const shiftLeft = (dst: number, imm: number): Line => [0x67, dst, 0, 0, imm]
const call = (function_: number): Line => [0x85, 0, 0, 0, function_]
const jump = (label: string): Line => [0x05, 0, 0, label, 0]
const jumpIf = (dst: number, imm: number, label: string): Line => [0x15, dst, 0, label, imm]
const jumpUnless = (dst: number, imm: number, label: string): Line => [0x55, dst, 0, label, imm]
const exit: Line = [0x95, 0, 0, 0, 0]

/** Loads a header. What of a packet lies elsewhere than in its first piece is brought there first; one that is too short goes. */
function loadHeader(bytes: number, name: string): Line[] {
  const load: readonly Line[] = [
    copy(1, packet),
    copy(2, header),
    copy(3, 10),
    add(3, buffer),
    set(4, bytes),
    set(5, fromNetworkHeader),
    call(helper.skb_load_bytes_relative),
  ]
  return [
    ...load,
    jumpIf(0, 0, name),
    copy(1, packet),
    loadWord(2, packet, skb.len),
    call(helper.skb_pull_data),
    jumpUnless(0, 0, 'drop'),
    ...load,
    jumpUnless(0, 0, 'drop'),
    name,
  ]
}

/** Goes to `drop` for an address of 16 bytes in ::ffff:127.0.0.0/104, which lies so far behind the buffer's beginning. */
function dropMapped(at: number, name: string): Line[] {
  return [
    loadWord(1, 10, buffer + at),
    jumpUnless(1, 0, name),
    loadWord(1, 10, buffer + at + 4),
    jumpUnless(1, 0, name),
    loadHalf(1, 10, buffer + at + 8),
    jumpUnless(1, 0, name),
    loadHalf(1, 10, buffer + at + 10),
    jumpUnless(1, 0xffff, name),
    loadByte(1, 10, buffer + at + 12),
    jumpIf(1, 127, 'drop'),
    name,
  ]
}

/** Drops what is for a socket, which is looked for by the ports at the beginning of the header that was loaded. */
function dropIfHeard(lookup: number): Line[] {
  return [
    loadWord(1, 10, buffer),
    store(tuple + 8, 1),
    copy(1, packet),
    copy(2, 10),
    add(2, tuple),
    set(3, 12),
    set(4, currentNetns),
    set(5, 0),
    call(lookup),
    jumpIf(0, 0, 'next'),
    copy(1, 0),
    call(helper.sk_release),
    set(0, drop),
    exit,
  ]
}

/** Of a packet to 127.0.0.0/8 on a bridge, whose IPv4 header was loaded. Only the first of its fragments says for whom it is. */
const closerLook: readonly Line[] = [
  loadHalf(1, 10, buffer + 6),
  and(1, 0xff1f),
  jumpUnless(1, 0, 'next'),
  loadWord(1, 10, buffer + 12),
  store(tuple, 1),
  loadWord(1, 10, buffer + 16),
  store(tuple + 4, 1),
  loadByte(protocol, 10, buffer + 9),
  loadByte(1, 10, buffer),
  and(1, 0x0f),
  shiftLeft(1, 2),
  addRegister(header, 1),
  jumpIf(protocol, transport.tcp, 'tcp'),
  jumpIf(protocol, transport.udp, 'udp'),
  jumpIf(protocol, transport.sctp, 'sctp'),
  jumpUnless(protocol, transport.icmp, 'drop'),
  // The kernel takes "destination unreachable" for a socket that has sent what is quoted in it.
  ...loadHeader(1, 'icmp loaded'),
  loadByte(1, 10, buffer),
  jumpIf(1, 3, 'next'),
  jump('drop'),
  'tcp',
  ...loadHeader(14, 'tcp loaded'),
  // SYN without ACK.
  loadByte(1, 10, buffer + 13),
  and(1, 0x12),
  jumpIf(1, 0x02, 'drop'),
  ...dropIfHeard(helper.sk_lookup_tcp),
  'udp',
  ...loadHeader(8, 'udp loaded'),
  ...dropIfHeard(helper.sk_lookup_udp),
  'sctp',
  // A packet that begins with the chunk INIT.
  ...loadHeader(13, 'sctp loaded'),
  loadByte(1, 10, buffer + 12),
  jumpUnless(1, 1, 'next'),
]

const linesFor = (isBridge: boolean): readonly Line[] => [
  copy(packet, 1),
  loadWord(protocol, packet, skb.protocol),
  set(header, 0),
  loadWord(1, packet, skb.vlan_present),
  jumpIf(1, 0, 'type'),
  loadWord(1, packet, skb.vlan_tci),
  and(1, 0x0fff),
  jumpUnless(1, 0, 'next'),
  'type',
  jumpIf(protocol, etherType.ip, 'ip'),
  jumpIf(protocol, etherType.ip6, 'ip6'),
  jumpIf(protocol, etherType.vlan, 'tag'),
  jumpUnless(protocol, etherType.serviceVlan, 'next'),
  // A tag behind the outermost one: its VLAN, and what follows.
  'tag',
  ...loadHeader(4, 'tag loaded'),
  loadHalf(1, 10, buffer),
  and(1, 0xff0f),
  jumpUnless(1, 0, 'next'),
  loadHalf(protocol, 10, buffer + 2),
  add(header, 4),
  // Nobody sends three tags, the second of which has no VLAN, but who wants to get past this.
  jumpIf(protocol, etherType.vlan, 'drop'),
  jumpIf(protocol, etherType.serviceVlan, 'drop'),
  jumpIf(protocol, etherType.ip6, 'ip6'),
  jumpUnless(protocol, etherType.ip, 'next'),
  'ip',
  ...loadHeader(20, 'ip loaded'),
  // The first bytes of source and destination.
  loadByte(1, 10, buffer + 12),
  jumpIf(1, 127, 'drop'),
  loadByte(1, 10, buffer + 16),
  jumpUnless(1, 127, 'next'),
  ...(isBridge ? closerLook : []),
  'drop',
  set(0, drop),
  exit,
  'ip6',
  ...loadHeader(40, 'ip6 loaded'),
  ...dropMapped(8, 'source'),
  ...dropMapped(24, 'next'),
  set(0, goOn),
  exit,
]

/** The program for an interface as struct bpf_insn, 8 bytes each. */
export function guardProgram(isBridge: boolean): Uint8Array {
  const lines = linesFor(isBridge)
  const labels = new Map<string, number>()
  let at = 0
  for (const line of lines) {
    if (typeof line === 'string') labels.set(line, at)
    else at++
  }
  const code = new DataView(new ArrayBuffer(8 * at))
  at = 0
  for (const line of lines) {
    if (typeof line === 'string') continue
    const [op, dst, src, off, imm] = line
    code.setUint8(8 * at, op)
    code.setUint8(8 * at + 1, dst | (src << 4))
    // A jump counts from the next instruction.
    code.setInt16(8 * at + 2, typeof off === 'string' ? (labels.get(off) ?? 0) - at - 1 : off, true)
    code.setInt32(8 * at + 4, imm, true)
    at++
  }
  return new Uint8Array(code.buffer)
}
