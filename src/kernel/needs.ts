/**
 * What port mappings and limits need of a kernel, tried out in a network namespace that nobody else has and that is gone
 * afterwards with all that was made in it. Modules that this loads stay loaded, as after an ADD.
 */
import type { Request } from '../netlink/message.ts'
import { NetlinkError, NetlinkSocket } from '../netlink/socket.ts'
import {
  type Action,
  actionList,
  limitRate,
  popVlan,
  redirectTo,
  rewrite,
  updateChecksums,
  verdict,
} from '../netlink/tc/action.ts'
import { TCA_CSUM_UPDATE_FLAG } from '../netlink/tc/csum.ts'
import { newFlower, newMatchall } from '../netlink/tc/filter.ts'
import { TCA_CLS_FLAGS } from '../netlink/tc/flower.ts'
import { TC_ACT } from '../netlink/tc/gact.ts'
import { peditRewrite } from '../netlink/tc/pedit.ts'
import { newClsact } from '../netlink/tc/qdisc.ts'
import { ETH_P, IPPROTO } from '../netlink/tc/rule.ts'
import { inNewNetns } from '../sys/namespaces.ts'
import { openNetlink } from '../sys/netlink.ts'
import type { Needs } from './kernel.ts'
import { loadTable, NftError, type RunNft } from './nft.ts'
import { addIfb, addShaper } from './shapers.ts'

/** Number of the loopback interface, the one that a new namespace has. */
const lo = 1

/** What the tables of an attachment use of nftables, in one of them. */
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

/** One line for each thing that is missing, in the kernel's or nft's words; none when an ADD can work. */
export function missingNeeds(wanted: Needs, nft: RunNft): string[] {
  if (!wanted.ports && !wanted.rates) return []
  return inNewNetns(() => {
    const socket = new NetlinkSocket(openNetlink(0))
    try {
      return [
        ...(wanted.steering || wanted.rates ? missingOnClsact(socket, wanted) : []),
        ...(wanted.rates ? missingShapers(socket) : []),
        ...(wanted.ports ? missingNft(nft) : []),
      ]
    } finally {
      socket.close()
    }
  })
}

/** An action, its name for people, and the options that a rule of ours could have. */
type Trial = readonly [name: string, action: Action]

const mirred: Trial = ['mirred', redirectTo(lo)]

/** Of port mappings. */
const mappers = (): Trial[] => [
  mirred,
  ['pedit', rewrite(peditRewrite({ ethDst: '02:00:00:00:00:01' }, TC_ACT.TC_ACT_PIPE))],
  ['csum', updateChecksums(TCA_CSUM_UPDATE_FLAG.TCA_CSUM_UPDATE_FLAG_TCP)],
  ['vlan', popVlan()],
]

const policer = (): Trial[] => [
  ['police', limitRate({ bytesPerSecond: 125_000, burst: 20_000, mtu: 1500, conform: TC_ACT.TC_ACT_PIPE })],
]

/** Without a qdisc every filter would be refused for want of it. */
function missingOnClsact(socket: NetlinkSocket, wanted: Needs): string[] {
  const qdisc = refusal(() => socket.request(newClsact(lo)))
  return qdisc === undefined ? missingFilters(socket, wanted) : [`qdisc clsact (sch_ingress): ${qdisc}`]
}

function missingFilters(socket: NetlinkSocket, { steering, rates, police }: Needs): string[] {
  const byFlower = steering ? missingActions(socket, 'flower', mappers()) : []
  const trials = [...(steering ? [] : [mirred]), ...(police ? policer() : [])]
  const byMatchall = rates ? missingActions(socket, 'matchall', trials) : []
  return [...byFlower, ...byMatchall]
}

/** Without its classifier an action can't be tried. */
function missingActions(
  socket: NetlinkSocket,
  kind: 'flower' | 'matchall',
  trials: readonly Trial[],
): string[] {
  let tried = 0
  const missing = (action: Action) => refusal(() => socket.request(probeFilter(kind, ++tried, action)))
  const classifier = missing(verdict(TC_ACT.TC_ACT_OK))
  if (classifier !== undefined) return [`classifier ${kind} (cls_${kind}): ${classifier}`]
  return trials.flatMap(([name, action]) => {
    const words = missing(action)
    return words === undefined ? [] : [`action ${name} (act_${name}): ${words}`]
  })
}

/** A filter that is none of those before: each has a number, which is its priority too. */
function probeFilter(kind: 'flower' | 'matchall', number: number, action: Action): Request {
  const actions = actionList([action])
  if (kind === 'matchall') {
    const place = { ifindex: lo, priority: 100 + number, protocol: ETH_P.ETH_P_ALL }
    return newMatchall(place, {
      TCA_MATCHALL_ACT: actions,
      TCA_MATCHALL_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW,
    })
  }
  return newFlower(
    { ifindex: lo, priority: number, protocol: ETH_P.ETH_P_IP },
    {
      TCA_FLOWER_KEY_ETH_TYPE: ETH_P.ETH_P_IP,
      TCA_FLOWER_KEY_IP_PROTO: IPPROTO.IPPROTO_TCP,
      TCA_FLOWER_KEY_TCP_DST: 1,
      TCA_FLOWER_ACT: actions,
      TCA_FLOWER_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW,
    },
  )
}

function missingShapers(socket: NetlinkSocket): string[] {
  const tbf = refusal(() => addShaper(socket, lo, { bytesPerSecond: 125_000, burst: 20_000, limit: 40_000 }))
  const ifb = refusal(() => addIfb(socket, { name: 'vf-probe', mac: '76:66:00:00:00:00', mtu: 1500 }))
  return [
    ...(tbf === undefined ? [] : [`qdisc tbf (sch_tbf): ${tbf}`]),
    ...(ifb === undefined ? [] : [`interface of kind ifb (ifb): ${ifb}`]),
  ]
}

function missingNft(nft: RunNft): string[] {
  const words = refusal(() => loadTable(nft, table))
  return words === undefined ? [] : [words]
}

function refusal(action: () => void): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (!(error instanceof NetlinkError || error instanceof NftError)) throw error
    return error.message
  }
}
