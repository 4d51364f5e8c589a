import { meterPriority, policeMtu, ratePriority, shaperMark } from '../marks/rate-numbers.ts'
import type { Classifier, RateOp, RateSpec, ShaperSpec } from '../op.ts'
import { flagOf } from './filters.ts'
import { type Kinds, sideOf } from './kind.ts'

/** Rate limits. */
export const rateKinds: Kinds<RateOp['do']> = {
  'shaper.add': {
    side: ({ shaper }) => shaper.side,
    line: ({ shaper }) =>
      `tc qdisc add dev ${shaper.link} root handle ${handleOf(shaper)} tbf ${rateWords(shaper)} limit ${shaper.limit}b`,
    undo: 'shaper.del',
  },
  'shaper.del': {
    side: ({ shaper }) => shaper.side,
    line: ({ shaper }) => `tc qdisc del dev ${shaper.link} root handle ${handleOf(shaper)}`,
    undo: 'shaper.add',
  },
  'ifb.add': {
    side: sideOf,
    line: (op) => `ip link add ${op.name} address ${op.mac} mtu ${op.mtu} up type ifb`,
    undo: 'ifb.del',
  },
  'ifb.del': { side: sideOf, line: (op) => `ip link del ${op.name}`, undo: 'ifb.add' },
  'detour.add': {
    side: ({ detour }) => detour.side,
    line: ({ detour: { link, through, cookie, classifier = 'matchall' } }) =>
      `tc filter add dev ${link} ingress prio ${ratePriority.detour} ${everyFrame[classifier]} action mirred egress redirect dev ${through} cookie ${cookie}`,
    undo: 'detour.del',
  },
  'detour.del': {
    side: ({ detour }) => detour.side,
    line: ({ detour: { link, classifier = 'matchall' } }) =>
      `tc filter del dev ${link} ingress prio ${ratePriority.detour} ${classifier}`,
    undo: 'detour.add',
  },
  'police.add': {
    side: 'host',
    line: ({ police, offload }) =>
      `tc filter add dev ${police.link} ingress prio ${ratePriority.police} matchall ${flagOf(offload)} action police ${policeWords(police, 'continue')} cookie ${police.cookie}`,
    undo: 'police.del',
  },
  'police.del': {
    side: 'host',
    line: ({ police }) => `tc filter del dev ${police.link} ingress prio ${ratePriority.police} matchall`,
    undo: 'police.add',
  },
  'limiter.add': {
    side: 'host',
    line: ({ limiter, offload }) =>
      `tc actions add action police ${policeWords(limiter, 'pipe')} index ${limiter.index} ${flagOf(offload)} cookie ${limiter.cookie}`,
    undo: 'limiter.del',
  },
  'limiter.del': {
    side: 'host',
    line: (op) => `tc actions del action police index ${op.limiter.index}`,
    undo: 'limiter.add',
  },
  'meter.add': {
    side: 'host',
    line: ({ meter }) => {
      const { link, out, mac, vlan, family, limiter, cookie } = meter
      const untagged = family === undefined ? 'all' : family === 4 ? 'ip' : 'ipv6'
      const name = vlan === undefined ? untagged : '802.1Q'
      const match = vlan === undefined ? '' : `vlan_id ${vlan} `
      const pop = vlan === undefined ? '' : `action vlan pop pipe cookie ${cookie} `
      return `tc filter add dev ${link} ingress protocol ${name} prio ${meterPriority(meter)} flower ${match}dst_mac ${mac} skip_sw ${pop}action police index ${limiter} action mirred egress redirect dev ${out.link} cookie ${cookie}`
    },
    undo: 'meter.del',
  },
  'meter.del': {
    side: 'host',
    line: ({ meter }) =>
      `tc filter del dev ${meter.link} ingress prio ${meterPriority(meter)} handle ? flower # ${meter.mac}`,
    undo: 'meter.add',
  },
  'devlink.rate.set': {
    side: 'host',
    line: ({ handle, set }) =>
      `devlink port function rate set ${handle} tx_share ${set.share}Bps tx_max ${set.max}Bps`,
    undo: ({ handle, set, was }) => ({ do: 'devlink.rate.set', handle, set: was, was: set }),
  },
}

/** A filter for every frame, in software. */
const everyFrame: Readonly<Record<Classifier, string>> = {
  matchall: 'matchall skip_hw',
  flower: 'flower skip_hw',
  u32: 'u32 match u32 0 0 skip_hw',
  basic: 'basic',
}

/** tc's own unit for bits per second has no suffix to get wrong: `bit`; sizes are `b` for bytes. */
function rateWords({ bytesPerSecond, burst }: RateSpec): string {
  return `rate ${bytesPerSecond * 8}bit burst ${burst}b`
}

function policeWords(spec: RateSpec, conform: string): string {
  return `${rateWords(spec)} mtu ${policeMtu} conform-exceed drop/${conform}`
}

/** A qdisc's handle as tc has it. */
function handleOf({ cookie }: Pick<ShaperSpec, 'cookie'>): string {
  return `${(shaperMark(cookie).handle >>> 16).toString(16)}:`
}
