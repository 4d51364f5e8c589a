/** Operations on filters of tc for port mappings, and on the qdisc that filters hang on. */
import type { Offload, Proto, Side } from './common.ts'

/**
 * A filter for frames to (or with `side`, from) one address and port. The frames get new MACs, with `to` another address and
 * port instead (stateless translation), and go out of an interface. Without a port: all frames of the address.
 */
export interface FlowFilter {
  /** The interface it is attached to (clsact ingress); its number, where known, saves asking for it. */
  readonly link: string
  readonly ifindex?: number
  /** The way out; absent = by `link` again, behind which the NIC's own switch delivers the frame. */
  readonly out?: { readonly link: string; readonly ifindex: number }
  readonly prio: number
  /** Matched address, protocol and port: the frame's destination, or its source where `side` says so. Absent = any. */
  readonly address: string
  readonly proto?: Proto
  readonly port?: number
  readonly side?: 'src'
  /**
   * `none`: only frames that are no part of a datagram in fragments; `only`: only those that are. Absent = both. Where ports
   * are read from the first fragment, a filter with a port and without this takes that one and misses the others.
   */
  readonly fragments?: 'none' | 'only'
  /** The other end of the frame must be in this network (CIDR). */
  readonly peer?: string
  /** The frame must be for this MAC. */
  readonly mac?: string
  /** VLAN id that the frame must carry; absent = untagged. It keeps its tag, unless `pop` is set. */
  readonly vlan?: number
  readonly pop?: boolean
  /** VLAN id of the tag that the frame gets. */
  readonly push?: number
  /** New destination (the VF) and source (the uplink) MAC; absent = as it was. */
  readonly dstMac?: string
  readonly srcMac?: string
  /** Index of the policer that the frame must pass; what it drops goes nowhere. */
  readonly limiter?: number
  /** New address and port in place of the matched ones. */
  readonly to?: { readonly address: string; readonly port: number }
  /** Instead of a way out: the frame goes on as if there were no filter, or goes nowhere. */
  readonly verdict?: 'pass' | 'drop'
  /** TCA_ACT_COOKIE of every action, hex. */
  readonly cookie: string
}

/** An operation on a filter or its qdisc. */
export type FilterOp =
  | { do: 'clsact.add' | 'clsact.del'; side: Side; link: string; ifindex?: number }
  /** `handle`: the number of a filter that is there, where it is known. */
  | { do: 'steer.add' | 'steer.del'; rule: FlowFilter; offload: Offload; handle?: number }
  /** The filter of a host interface that drops packets from and to 127.0.0.0/8 (ops/marks/loopback-guard.ts). */
  | { do: 'guard.add' | 'guard.del'; link: string; ifindex: number; isBridge: boolean }
