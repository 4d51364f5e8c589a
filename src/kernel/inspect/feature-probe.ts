/**
 * Tries whether the kernel has all that port maps and bandwidth need. The tries run in a new network namespace, which disappears
 * afterwards with everything in it. Kernel modules that a try loads stay loaded, as after an ADD.
 */
import { perCall } from '../../lib/call/call.ts'
import type { Request } from '../../netlink/message.ts'
import { NETLINK_NETFILTER } from '../../netlink/nf/nfnetlink.ts'
import { NetlinkError, NetlinkSocket } from '../../netlink/socket.ts'
import {
  type Action,
  actionList,
  limitRate,
  popVlan,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../../netlink/tc/actions/action.ts'
import { TCA_CSUM_UPDATE_FLAG } from '../../netlink/tc/actions/csum.ts'
import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { peditRewrite } from '../../netlink/tc/actions/pedit.ts'
import { newFilter } from '../../netlink/tc/filter.ts'
import { CLSACT_INGRESS, filterInfo } from '../../netlink/tc/msg.ts'
import { newClsact } from '../../netlink/tc/qdisc.ts'
import { ETH_P, IPPROTO } from '../../netlink/tc/validate.ts'
import type { Classifier } from '../../ops/op.ts'
import { SystemError } from '../../sys/errno.ts'
import { inNewNetns } from '../../sys/namespaces.ts'
import { openNetlink } from '../../sys/netlink.ts'
import type { Needs } from '../api/probe.ts'
import { loadTable, NftError, probeNft, type RunNft } from '../nftables/nft-program.ts'
import { reservePorts } from '../nftables/reservations.ts'
import { classifiers, everyFrameOptions } from '../tc/every-frame.ts'
import { addIfb, addShaper } from '../tc/shapers.ts'

/** The ifindex of `lo`, the only interface of a new namespace. */
const lo = 1

/** Host ports of both families, as an attachment reserves them: each part of nf_tables that the host's table has is in it. */
const reservation = {
  keys: [
    { address: '192.0.2.1', proto: 'tcp', port: 80, toAddress: '192.0.2.2', toPort: 80 },
    { address: '2001:db8::1', proto: 'udp', port: 80, toAddress: '2001:db8::2', toPort: 80 },
  ],
  masquerade: [
    { source: '0.0.0.0/0', address: '192.0.2.1', proto: 'tcp', port: 80 },
    { source: '2001:db8::/64', address: '2001:db8::1', proto: 'udp', port: 80 },
  ],
  owner: `${'0'.repeat(32)} probe`,
} as const

/** One table with all parts that the tables of an attachment in its pod use. */
const table = `table inet vf-flower-probe {
  map ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    dnat ip to ip daddr . tcp dport map { 192.0.2.1 . 80 : 192.0.2.2 . 80 }
    dnat ip6 to ip6 daddr . udp dport map { 2001:db8::1 . 80 : 2001:db8::2 . 80 }
  }
  chain output { type nat hook output priority -100; policy accept; }
}
`

/** The purpose of each need, for the line about a missing part. */
const purposes = {
  ports: 'port mappings',
  steering: 'port mappings of VFs and NICs',
  inPod: 'port mappings of VFs, NICs and macvlans, which it writes into the pod',
  translation: 'port mappings that the NIC translates',
  tags: 'port mappings on addresses in a VLAN',
  rates: 'limits',
  shapers: 'limits',
  police: 'limits outside the pod',
} as const satisfies Readonly<Record<keyof Needs, string>>

/** One line for each missing part, with the reason of the kernel or of the program nft; none when an ADD can work. */
export function missingNeeds(wanted: Needs, nft: RunNft): string[] {
  if (!wanted.ports && !wanted.rates && !wanted.shapers) return []
  return inNewNetns(() => {
    const socket = new NetlinkSocket(openNetlink(0))
    try {
      return [
        ...(wanted.steering || wanted.rates ? missingOnClsact(socket, wanted) : []),
        ...(wanted.shapers ? missingShaper(socket) : []),
        ...(wanted.rates ? missingIfb(socket) : []),
        ...(wanted.ports ? missingForPorts(wanted, nft) : []),
      ]
    } finally {
      socket.close()
    }
  })
}

/** Runs `action`. Returns a line when the kernel or nft refuses it. */
function missing(what: string, purpose: keyof Needs, action: () => void): string[] {
  try {
    action()
    return []
  } catch (error) {
    if (!(error instanceof NetlinkError || error instanceof NftError || error instanceof SystemError))
      throw error
    return [`${what}, for ${purposes[purpose]}: ${error.message}`]
  }
}

/** The host's table is made by netlink; the program is needed where a pod gets a table of its own. */
function missingForPorts({ steering, inPod }: Needs, nft: RunNft): string[] {
  const inKernel = missing('nf_tables of the kernel', 'ports', () => {
    const socket = new NetlinkSocket(openNetlink(NETLINK_NETFILTER))
    try {
      reservePorts(socket, { ...reservation, steered: steering })
    } finally {
      socket.close()
    }
  })
  if (!inPod) return inKernel
  // A table says nothing of a program that the kernel refuses.
  const use = inKernel.length === 0 ? () => loadTable(nft, table) : () => probeNft(nft)
  return [...inKernel, ...missing('the program nft', 'inPod', use)]
}

/** An action to try: its name, its purpose, and options as our filters have them. */
type Trial = readonly [name: string, purpose: keyof Needs, action: () => Action]

const redirecting = (purpose: keyof Needs): Trial => ['mirred', purpose, () => redirectTo(lo)]

/** Actions of port maps. */
const mappers: readonly Trial[] = [
  redirecting('steering'),
  ['pedit', 'steering', () => rewrite(peditRewrite({ ethDst: '02:00:00:00:00:01' }, TC_ACT.TC_ACT_PIPE))],
  ['gact', 'translation', () => verdict(TC_ACT.TC_ACT_OK)],
  ['csum', 'translation', () => updateChecksums(TCA_CSUM_UPDATE_FLAG.TCA_CSUM_UPDATE_FLAG_TCP)],
  ['vlan', 'tags', () => popVlan()],
]

/** Actions of bandwidth. */
const redirectors: readonly Trial[] = [redirecting('rates')]

/** Actions of bandwidth outside the pod. */
const policers: readonly Trial[] = [
  [
    'police',
    'police',
    () => limitRate({ bytesPerSecond: 125_000, burst: 20_000, mtu: 1500, conform: TC_ACT.TC_ACT_PIPE }),
  ],
]

/** Tries filters on clsact. Without clsact the kernel would refuse every filter, so only clsact is reported then. */
function missingOnClsact(socket: NetlinkSocket, wanted: Needs): string[] {
  const purpose = wanted.steering ? 'steering' : 'rates'
  const qdisc = missing('qdisc clsact (sch_ingress)', purpose, () => socket.request(newClsact(lo)))
  if (qdisc.length > 0) return qdisc
  // The tries of port maps include mirred.
  const others = wanted.steering ? redirectors.filter(([name]) => name !== 'mirred') : redirectors
  return [
    ...(wanted.steering ? missingActions(socket, ['flower'], 'steering', wanted, mappers) : []),
    ...(wanted.rates ? missingActions(socket, classifiers, 'rates', wanted, others) : []),
    // A NIC accepts a policer of every frame only by matchall.
    ...(wanted.police ? missingActions(socket, ['matchall'], 'police', wanted, policers) : []),
  ]
}

/** Tries the classifiers in turn, then the actions with the first that exists. An action needs a classifier for its try. */
function missingActions(
  socket: NetlinkSocket,
  kinds: readonly Classifier[],
  purpose: keyof Needs,
  wanted: Needs,
  trials: readonly Trial[],
): string[] {
  const refusals: string[] = []
  for (const kind of kinds) {
    const request = (action?: Action) => () => {
      socket.request(probeFilter(kind, action))
    }
    const classifier = missing(`classifier ${kind} (cls_${kind})`, purpose, request())
    if (classifier.length === 0)
      return trials
        .filter(([, reason]) => wanted[reason])
        .flatMap(([name, reason, action]) =>
          missing(`action ${name} (act_${name})`, reason, request(action())),
        )
    refusals.push(...classifier)
  }
  return refusals.length < 2 ? refusals : [`one of ${kinds.join(', ')}: ${refusals.join(', ')}`]
}

/** Number of filters in this call. It is the priority of the next filter, so that no filter takes the place of another. */
const tried = perCall(() => ({ filters: 0 }))

function probeFilter(kind: Classifier, action: Action | undefined): Request {
  const options = everyFrameOptions(kind, action && actionList([action]))
  const isMapping = kind === 'flower' && action !== undefined
  return newFilter({
    tcm_ifindex: lo,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(++tried().filters, isMapping ? ETH_P.ETH_P_IP : ETH_P.ETH_P_ALL),
    TCA_KIND: kind,
    TCA_OPTIONS: isMapping
      ? {
          ...options,
          TCA_FLOWER_KEY_ETH_TYPE: ETH_P.ETH_P_IP,
          TCA_FLOWER_KEY_IP_PROTO: IPPROTO.IPPROTO_TCP,
          TCA_FLOWER_KEY_TCP_DST: 1,
        }
      : options,
  })
}

function missingShaper(socket: NetlinkSocket): string[] {
  const shaper = { bytesPerSecond: 125_000, burst: 20_000, limit: 40_000 }
  return missing('qdisc tbf (sch_tbf)', 'shapers', () => addShaper(socket, lo, shaper))
}

function missingIfb(socket: NetlinkSocket): string[] {
  const ifb = { name: 'vf-probe', mac: '76:66:00:00:00:00', mtu: 1500 }
  return missing('interface of kind ifb (ifb)', 'rates', () => addIfb(socket, ifb))
}
