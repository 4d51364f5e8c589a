import { loopbackGuard } from '../marks/loopback-guard.ts'
import type { FilterOp, FlowFilter, Offload, OpOf } from '../op.ts'
import { joined, type Kinds, sideOf, verb } from './kind.ts'

/** Filters for port mappings, and the qdisc that filters hang on. */
export const filterKinds: Kinds<FilterOp['do']> = {
  'clsact.add': { side: sideOf, line: clsactLine, undo: 'clsact.del' },
  'clsact.del': { side: sideOf, line: clsactLine, undo: 'clsact.add' },
  'steer.add': {
    side: 'host',
    line: (op) => flowFilterLine(op.rule, flagOf(op.offload)),
    undo: 'steer.del',
  },
  'steer.del': {
    side: 'host',
    // Without a handle tc would delete every filter of this priority, those of other pods too.
    line: ({ rule, handle }) =>
      `tc filter del dev ${rule.link} ingress prio ${rule.prio} handle ${numberWord(handle)} flower # ${portWords(rule)}`,
    undo: 'steer.add',
  },
  'guard.add': { side: 'host', line: guardLine, undo: 'guard.del' },
  'guard.del': { side: 'host', line: guardLine, undo: 'guard.add' },
}

function clsactLine(op: OpOf<'clsact.add'>): string {
  return `tc qdisc ${verb(op.do)} dev ${op.link} clsact`
}

/** tc takes a program from a file alone: the line says the program's name. */
function guardLine(op: OpOf<'guard.add'>): string {
  const { priority, handle, name } = loopbackGuard
  const how = op.do === 'guard.add' ? 'bpf direct-action' : 'bpf'
  return `tc filter ${verb(op.do)} dev ${op.link} ingress protocol all prio ${priority} handle ${numberWord(handle)} ${how} # ${name}: drops 127.0.0.0/8`
}

/** A filter of a port mapping as the `tc` command that makes it. `flag` is skip_sw, skip_hw or empty. */
export function flowFilterLine(rule: FlowFilter, flag: string): string {
  const family = rule.address.includes(':') ? 'ipv6' : 'ip'
  const [own, other] = rule.side === 'src' ? ['src', 'dst'] : ['dst', 'src']
  const match =
    rule.vlan === undefined
      ? `protocol ${family} prio ${rule.prio} flower`
      : `protocol 802.1Q prio ${rule.prio} flower vlan_id ${rule.vlan} vlan_ethtype ${family}`
  const cookie = `cookie ${rule.cookie}`
  const rewrite = rewriteWords(rule, own)
  return joined([
    `tc filter add dev ${rule.link} ingress ${match}`,
    rule.mac === undefined ? '' : `dst_mac ${rule.mac}`,
    rule.proto === undefined ? '' : `ip_proto ${rule.proto}`,
    `${own}_ip ${rule.address}`,
    rule.port === undefined ? '' : `${own}_port ${rule.port}`,
    rule.peer === undefined ? '' : `${other}_ip ${rule.peer}`,
    rule.fragments === undefined ? '' : `ip_flags ${fragmentWords[rule.fragments]}`,
    flag,
    rule.pop === true ? `action vlan pop pipe ${cookie}` : '',
    rewrite === '' ? '' : `action pedit ex ${rewrite} pipe ${cookie}`,
    rule.to === undefined
      ? ''
      : `action csum ${family === 'ip' ? 'ip4h and ' : ''}${rule.proto} pipe ${cookie}`,
    rule.limiter === undefined ? '' : `action police index ${rule.limiter}`,
    rule.push === undefined ? '' : `action vlan push id ${rule.push} pipe ${cookie}`,
    rule.verdict === undefined
      ? `action mirred egress redirect dev ${rule.out?.link ?? rule.link} ${cookie}`
      : `action ${rule.verdict} ${cookie}`,
  ])
}

/** tc's words of TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT. */
const fragmentWords = { none: 'nofrag', only: 'frag' } as const

function rewriteWords({ dstMac, srcMac, to, address, proto }: FlowFilter, own: string | undefined): string {
  return joined([
    dstMac === undefined ? '' : `munge eth dst set ${dstMac}`,
    srcMac === undefined ? '' : `munge eth src set ${srcMac}`,
    to === undefined ? '' : `munge ${address.includes(':') ? 'ip6' : 'ip'} ${own} set ${to.address}`,
    to === undefined ? '' : `munge ${proto} ${own === 'src' ? 's' : 'd'}port set ${to.port}`,
  ])
}

function portWords({ proto, side, address, port, peer, mac }: FlowFilter): string {
  const from = side === 'src' ? 'from ' : ''
  const other = port === undefined ? (mac ?? peer) : undefined
  return joined([
    `${proto ?? 'ip'} ${from}${address}`,
    port === undefined ? '' : `port ${port}`,
    other === undefined ? '' : `${side === 'src' ? 'to' : 'from'} ${other}`,
  ])
}

/** tc's word for the place of a filter. */
export function flagOf(offload: Offload): string {
  return offload === 'off' ? 'skip_hw' : 'skip_sw'
}

function numberWord(handle: number | undefined): string {
  return handle === undefined ? '?' : `0x${handle.toString(16)}`
}
