/** Translates a flow filter to the kernel's form (place, keys, actions), and compares a stored filter with it. Pure. */
import { fromHex, toHex } from '../../lib/hex.ts'
import { type Cidr, ipFamily, networkOf, parseCidr, parseIp } from '../../lib/ip.ts'
import {
  type Action,
  actionList,
  limitByIndex,
  popVlan,
  pushVlan,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../netlink/tc/actions/action.ts'
import { TCA_CSUM_UPDATE_FLAG } from '../../netlink/tc/actions/csum.ts'
import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { peditRewrite, type Rewrite } from '../../netlink/tc/actions/pedit.ts'
import { compareEcho } from '../../netlink/tc/compare.ts'
import { actionsOf, type FilterPlace, isInHardware } from '../../netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS, TCA_FLOWER_KEY_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import { CLSACT_INGRESS, filterInfo, type Tc } from '../../netlink/tc/msg.ts'
import { ETH_P, IPPROTO } from '../../netlink/tc/validate.ts'
import type { FlowFilter, Proto } from '../../ops/op.ts'

/** The place of the filter of `spec`: interface, priority, protocol and, if known, its handle. */
export function flowFilterPlace(ifindex: number, spec: FlowFilter, handle?: number): FilterPlace {
  const place = { ifindex, priority: spec.prio, protocol: etherTypeOf(spec) }
  return handle === undefined ? place : { ...place, handle }
}

/** The differences of a stored filter from `spec`, or `options` if they are made already: keys, actions with every byte of a rewrite, cookies, flags. */
export function flowFilterDifferences(
  ifindex: number,
  spec: FlowFilter,
  inHardware: boolean,
  stored: Tc,
  options = flowFilterOptions(ifindex, spec, inHardware),
): string[] {
  const asked = {
    tcm_ifindex: ifindex,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(spec.prio, etherTypeOf(spec)),
    TCA_KIND: 'flower',
    TCA_OPTIONS: options,
  }
  const differences = compareEcho(asked, stored)
  if (inHardware && !isInHardware(stored)) differences.push('in_hw: missing')
  return differences
}

/** Keys, actions and flags of the filter of `spec`. */
export function flowFilterOptions(ifindex: number, spec: FlowFilter, inHardware: boolean): Flower {
  const { TCA_CLS_FLAGS_SKIP_HW: skipHw, TCA_CLS_FLAGS_SKIP_SW: skipSw } = TCA_CLS_FLAGS
  return {
    ...flowFilterKey(spec),
    TCA_FLOWER_ACT: actionList(actionsFor(spec, ifindex)),
    TCA_FLOWER_FLAGS: inHardware ? skipSw : skipHw,
  }
}

/** The actions in the order that drivers accept: pop tag, rewrite, checksums, policer, push tag, redirect or verdict. */
function actionsFor(spec: FlowFilter, ifindex: number): Action[] {
  const cookie = fromHex(spec.cookie)
  const actions: Action[] = []
  if (spec.pop === true) actions.push(popVlan(cookie))
  const { dstMac, srcMac, to } = spec
  const proto = spec.proto === 'tcp' ? 6 : 17
  const ports =
    spec.side === 'src'
      ? { ipSrc: to?.address, portSrc: to?.port }
      : { ipDst: to?.address, portDst: to?.port }
  if (dstMac !== undefined || srcMac !== undefined || to !== undefined) {
    const words: Rewrite = {
      ...(dstMac === undefined ? {} : { ethDst: dstMac }),
      ...(srcMac === undefined ? {} : { ethSrc: srcMac }),
      ...(to === undefined ? {} : ({ ...ports, proto } as Rewrite)),
    }
    actions.push(rewrite(peditRewrite(words, TC_ACT.TC_ACT_PIPE), cookie))
  }
  if (to !== undefined) {
    const { TCA_CSUM_UPDATE_FLAG_IPV4HDR: header, ...flags } = TCA_CSUM_UPDATE_FLAG
    const transport = spec.proto === 'tcp' ? flags.TCA_CSUM_UPDATE_FLAG_TCP : flags.TCA_CSUM_UPDATE_FLAG_UDP
    actions.push(updateChecksums(ipFamily(spec.address) === 4 ? header | transport : transport, cookie))
  }
  // The shared policer gets no cookie here: the kernel would set the cookie on the policer itself.
  if (spec.limiter !== undefined) actions.push(limitByIndex(spec.limiter))
  if (spec.push !== undefined) actions.push(pushVlan(spec.push, cookie))
  actions.push(
    spec.verdict === undefined
      ? redirectTo(spec.out?.ifindex ?? ifindex, cookie)
      : verdict(verdicts[spec.verdict], cookie),
  )
  return actions
}

const verdicts = { pass: TC_ACT.TC_ACT_OK, drop: TC_ACT.TC_ACT_SHOT } as const

/**
 * The kernel refuses equal keys (EEXIST) only within one mask. Keys of one kind therefore keep the same mask in all versions of
 * the program. The exception are filters with and without the condition on fragments, which some NICs lack: the kernel accepts
 * one of each for the same port. The reservation of the host port (nftables/reservations.ts) comes before any filter and has no
 * masks, so a port never has two owners.
 */
export function flowFilterKey(spec: FlowFilter): Flower {
  const v4 = ipFamily(spec.address) === 4
  const network = v4 ? ETH_P.ETH_P_IP : ETH_P.ETH_P_IPV6
  const isSource = spec.side === 'src'
  const [own, other] = isSource ? (['SRC', 'DST'] as const) : (['DST', 'SRC'] as const)
  const family = v4 ? 'IPV4' : 'IPV6'
  const peer = spec.peer === undefined ? undefined : networkOf(parseCidr(spec.peer))
  const proto = spec.proto?.toUpperCase() as Uppercase<Proto> | undefined
  return {
    TCA_FLOWER_KEY_ETH_TYPE: etherTypeOf(spec),
    ...(spec.mac === undefined ? {} : { TCA_FLOWER_KEY_ETH_DST: spec.mac }),
    ...(spec.vlan === undefined
      ? {}
      : { TCA_FLOWER_KEY_VLAN_ID: spec.vlan, TCA_FLOWER_KEY_VLAN_ETH_TYPE: network }),
    ...(proto === undefined ? {} : { TCA_FLOWER_KEY_IP_PROTO: IPPROTO[`IPPROTO_${proto}`] }),
    [`TCA_FLOWER_KEY_${family}_${own}`]: spec.address,
    ...(peer === undefined
      ? {}
      : {
          [`TCA_FLOWER_KEY_${family}_${other}`]: peer.ip,
          [`TCA_FLOWER_KEY_${family}_${other}_MASK`]: maskOf(peer),
        }),
    ...(proto === undefined || spec.port === undefined
      ? {}
      : { [`TCA_FLOWER_KEY_${proto}_${own}`]: spec.port }),
    ...(spec.fragments === undefined ? {} : fragmentKeys[spec.fragments]),
  }
}

const { TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT: isFragment } = TCA_FLOWER_KEY_FLAGS
const fragmentKeys = {
  none: { TCA_FLOWER_KEY_FLAGS: 0, TCA_FLOWER_KEY_FLAGS_MASK: isFragment },
  only: { TCA_FLOWER_KEY_FLAGS: isFragment, TCA_FLOWER_KEY_FLAGS_MASK: isFragment },
} as const

function maskOf({ ip, prefix }: Cidr): string {
  const all = parseIp(ipFamily(ip) === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')
  return networkOf({ ip: all, prefix }).ip
}

function etherTypeOf(spec: FlowFilter): number {
  if (spec.vlan !== undefined) return ETH_P.ETH_P_8021Q
  return ipFamily(spec.address) === 4 ? ETH_P.ETH_P_IP : ETH_P.ETH_P_IPV6
}

/** The cookie of a filter, which names its owner; undefined for a filter without a cookie. */
export function cookieOf(filter: Tc): string | undefined {
  // The last cookie counts: a shared policer among the actions has a cookie of its own.
  const cookie = actionsOf(filter).findLast((action) => action.TCA_ACT_COOKIE !== undefined)?.TCA_ACT_COOKIE
  return cookie === undefined ? undefined : toHex(cookie)
}
