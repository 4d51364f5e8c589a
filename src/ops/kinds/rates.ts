/** Operations on rate limits: shapers, redirects through an ifb, policers, rates of devlink ports. */
import type { Offload, Side } from './common.ts'

/** A rate limit. Rate in bytes/s; `burst`, what may go at once, in bytes. */
export interface RateSpec {
  readonly bytesPerSecond: number
  readonly burst: number
}

/** A tbf as the root qdisc of an interface: it queues what is over the rate, `limit` bytes at most. */
export interface ShaperSpec extends RateSpec {
  readonly side: Side
  readonly link: string
  /** Its number, where it is known: a name may change. */
  readonly ifindex?: number
  readonly limit: number
  /** Cookie of the limit, hex, which its handle is made from; absent in records of versions whose shapers bore nobody's mark. */
  readonly cookie?: string
}

/** A filter that sends everything that `link` receives through another interface of the same side, an ifb. */
export interface IfbRedirect {
  readonly side: Side
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly through: string
  /** TCA_ACT_COOKIE, hex. */
  readonly cookie: string
  /** matchall unless the kernel had none when it was made. */
  readonly classifier?: Classifier
}

/** TCA_KIND of a filter for every frame. */
export type Classifier = 'matchall' | 'flower' | 'u32' | 'basic'

/** A filter that drops what `link`, a host interface, receives over the rate. */
export interface PoliceSpec extends RateSpec {
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly cookie: string
}

/** A policer that filters share by its index. */
export interface SharedPolicer extends RateSpec {
  readonly index: number
  readonly cookie: string
}

/** A filter in the NIC that has frames to one MAC address pass a policer on their way from `link` to `out`. */
export interface MacPolicer {
  readonly link: string
  readonly ifindex: number
  readonly out: { readonly link: string; readonly ifindex: number }
  readonly mac: string
  /** VLAN id of the tag that frames come with, which is taken off. */
  readonly vlan?: number
  /** Untagged frames of this protocol alone. Without it and without a VLAN: all frames, whatever tags they have. */
  readonly family?: 4 | 6
  /** Index of the policer. */
  readonly limiter: number
  readonly cookie: string
}

/** Rates of a devlink port in bytes/s, 0 = none: what it may send at most, what is guaranteed to it. */
export interface PortRates {
  readonly max: number
  readonly share: number
}

/** An operation on a rate limit. */
export type RateOp =
  | { do: 'shaper.add' | 'shaper.del'; shaper: ShaperSpec }
  /** An ifb, set up: a frame that is sent to it takes its qdisc and goes on where it came from. MTU in bytes. */
  | { do: 'ifb.add' | 'ifb.del'; side: Side; name: string; mac: string; mtu: number }
  | { do: 'detour.add' | 'detour.del'; detour: IfbRedirect }
  | { do: 'police.add' | 'police.del'; police: PoliceSpec; offload: Offload }
  | { do: 'meter.add' | 'meter.del'; meter: MacPolicer }
  | { do: 'limiter.add' | 'limiter.del'; limiter: SharedPolicer; offload: Offload }
  /** Of a devlink port, `handle` as `pci/0000:3b:00.0/65539`. */
  | {
      do: 'devlink.rate.set'
      handle: string
      set: PortRates
      was: PortRates
      /** The rates when this is carried out, where they are not `was`. */
      now?: PortRates
    }
