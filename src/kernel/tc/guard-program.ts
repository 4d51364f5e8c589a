/**
 * Assembles the BPF program of the loopback guard. The program drops packets from and to 127.0.0.0/8 that would reach the IP layer
 * of its interface, and passes all others to the next filter. For IPv6 it drops ::ffff:127.0.0.0/104: sockets of both families show
 * these addresses as 127.0.0.0/8, and kernels accept them as a source from any interface.
 *
 * __netif_receive_skb_core() of the kernel decides which packets reach the IP layer: packets without a VLAN tag, and packets with
 * any number of tags that all have VLAN 0 (priority tags). A tag with another VLAN leads to another interface, or nowhere. The
 * kernel has removed the outermost tag before the program runs.
 *
 * A bridge needs more. Where br_netfilter makes bridges call the hooks of the IP layer (kubelet turns this on), connection
 * tracking has run before the program, and a pod's reply to a host program has 127.0.0.1 as its destination. The program
 * tells such a reply from a forged packet by a socket lookup. A forged packet finds a socket that listens, or that accepts
 * datagrams from every address. A reply finds none, because its socket is connected to another address than the reply's present
 * source. The program drops packets that find a socket, and packets that open a connection. A passed packet belongs to a tracked
 * connection, or reaches no socket.
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

/** Registers: helper calls keep 6 to 9, and 10 is the end of the stack. */
const [packet, protocol, header] = [6, 7, 8]
/** Places on the stack: loaded headers, and the key of a socket lookup (struct bpf_sock_tuple). */
const [buffer, tuple] = [-40, -56]

/** An instruction (code, destination, source, offset or label of a jump, constant), or a label. */
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

/** Loads a header to the stack. Pulls the packet into its linear part first if needed. Drops a packet that is too short. */
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

/** Jumps to `drop` when the IPv6 address at `at` bytes of the buffer is in ::ffff:127.0.0.0/104. */
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

/** Drops a packet that finds a socket. The ports of the lookup are the first 4 bytes of the loaded header. */
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

/** The socket lookup on a bridge, for a packet to 127.0.0.0/8 whose IPv4 header is loaded. Only a first fragment has the ports. */
const closerLook = (): readonly Line[] => [
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
  // "Destination unreachable" passes: the kernel gives it only to the socket that has sent the quoted packet.
  ...loadHeader(1, 'icmp loaded'),
  loadByte(1, 10, buffer),
  jumpIf(1, 3, 'next'),
  jump('drop'),
  'tcp',
  ...loadHeader(14, 'tcp loaded'),
  // SYN without ACK opens a connection.
  loadByte(1, 10, buffer + 13),
  and(1, 0x12),
  jumpIf(1, 0x02, 'drop'),
  ...dropIfHeard(helper.sk_lookup_tcp),
  'udp',
  ...loadHeader(8, 'udp loaded'),
  ...dropIfHeard(helper.sk_lookup_udp),
  'sctp',
  // The chunk INIT opens an association. Only SCTP's first chunk is tested, because INIT stands alone.
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
  // A tag behind the outermost one: its VLAN, then the EtherType that follows.
  'tag',
  ...loadHeader(4, 'tag loaded'),
  loadHalf(1, 10, buffer),
  and(1, 0xff0f),
  jumpUnless(1, 0, 'next'),
  loadHalf(protocol, 10, buffer + 2),
  add(header, 4),
  // Three tags with VLAN 0 in the second are no real traffic, but an attempt to pass the guard.
  jumpIf(protocol, etherType.vlan, 'drop'),
  jumpIf(protocol, etherType.serviceVlan, 'drop'),
  jumpIf(protocol, etherType.ip6, 'ip6'),
  jumpUnless(protocol, etherType.ip, 'next'),
  'ip',
  ...loadHeader(20, 'ip loaded'),
  // The first byte of the source, then of the destination.
  loadByte(1, 10, buffer + 12),
  jumpIf(1, 127, 'drop'),
  loadByte(1, 10, buffer + 16),
  jumpUnless(1, 127, 'next'),
  ...(isBridge ? closerLook() : []),
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
    // The offset of a jump counts from the next instruction.
    code.setInt16(8 * at + 2, typeof off === 'string' ? (labels.get(off) ?? 0) - at - 1 : off, true)
    code.setInt32(8 * at + 4, imm, true)
    at++
  }
  return new Uint8Array(code.buffer)
}
