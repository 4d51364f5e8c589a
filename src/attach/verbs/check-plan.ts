/**
 * CHECK of the operations that an ADD plans. They are planned anew from the present state: an operation that would change something
 * is a difference, as it is after a restore (restore/require-restored.ts). The words are those of an attachment, and not the
 * kernel's (Kernel.verify): they name the interface, the value now and the value that ADD has set, and routes of an interface are
 * compared together, because the ones instead are named, too. A kind of operation without an entry does not compile.
 */
import type { LinkFacts, RouteFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { networkOf, parseCidr } from '../../lib/ip.ts'
import { routeWords } from '../../ops/command-line.ts'
import type { BridgeVlan, LinkAttributes, OpOf, RouteSpec, VfAttributes } from '../../ops/op.ts'
import { differingVf } from '../../ops/vf-attributes.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PlannedKind, PlannedOp } from '../plan/planned.ts'
import { isRoute, isSameRoute, specOf } from './routes.ts'

/** The things that the operations are held against. */
export interface Look {
  readonly kernel: Kernel
  /** The pod's interface; undefined for a device in user space. */
  readonly link?: LinkFacts
  /** Routes that the pod had before. */
  readonly others?: NonNullable<AttachJournal['othersRoutes']>
  /** True for an attribute of a VF that may have another value than ADD has set. */
  readonly mayDiffer?: (name: keyof VfAttributes) => boolean
  /** VLANs of the port that a representor is. */
  readonly vlans?: readonly BridgeVlan[]
}

/** Differences of all operations of one kind; or the reason why a kind leaves nothing to look at. */
type PlanCheck<K extends PlannedKind> =
  | ((look: Look, ops: readonly OpOf<K>[]) => Iterable<string>)
  | { readonly unseen: string }

const checks: { readonly [K in PlannedKind]: PlanCheck<K> } = {
  'vf.set': vfDifferences,
  'link.set': linkDifferences,
  'bridge.vlan.add': vlanDifferences,
  'bridge.vlan.del': (_, ops) =>
    ops.map(({ link, vlan }) => `representor "${link}" is in VLAN ${vlan.vid}, which is not the pod's`),
  'link.move': { unseen: 'the device is looked for in the pod, by more than a name' },
  'altname.del': { unseen: 'the pod may give its interface names' },
  'addr.add': addressDifferences,
  'route.add': routeDifferences,
  'sysctl.set': settingDifferences,
  'neigh.use': { unseen: 'a question to a neighbour leaves nothing' },
  announce: { unseen: 'frames that were sent leave nothing' },
}

/** Differences of the present state from the one that the operations lead to; `ops` are planned from the present state. */
export function* planDifferences(look: Look, ops: readonly PlannedOp[]): Iterable<string> {
  for (const kind of new Set(ops.map((op) => op.do))) {
    const check = checks[kind]
    if (typeof check !== 'function') continue
    const own = ops.filter((op) => op.do === kind)
    // The entry of a kind takes the operations of that kind, which the compiler does not see in a union.
    yield* (check as (look: Look, ops: readonly PlannedOp[]) => Iterable<string>)(look, own)
  }
}

function* vfDifferences({ mayDiffer }: Look, ops: readonly OpOf<'vf.set'>[]): Iterable<string> {
  for (const { pf, vf, set, was } of ops) {
    for (const [key, wish] of Object.entries(differingVf(set, was))) {
      const name = key as keyof VfAttributes
      const now = was[name]
      // Nobody can compare an attribute that the driver does not report.
      if (now === undefined || mayDiffer?.(name) === true) continue
      yield `VF ${vf} of "${pf}" has ${name} ${words(now)}, not ${words(wish)}`
    }
  }
}

/** One phrase for each attribute of an interface, of which {@link linkDifferences} tells whether it differs. */
const linkWords: {
  readonly [K in keyof LinkAttributes]-?: (
    wanted: NonNullable<LinkAttributes[K]>,
    now: LinkAttributes,
  ) => string
} = {
  up: (up) => (up ? 'is down' : 'is up'),
  mac: (mac, now) => `has MAC ${now.mac}, not ${mac}`,
  mtu: (mtu, now) => `has MTU ${now.mtu}, not ${mtu}`,
  master: (master, now) =>
    `is attached to ${now.master === undefined || now.master === '' ? 'nothing' : `"${now.master}"`}, not to "${master}"`,
  alias: (alias, now) => `has alias "${now.alias}", not "${alias}"`,
  promisc: (isOn) => `has promiscuous mode ${isOn ? 'off' : 'on'}`,
  allmulti: (isOn) => `has all-multicast mode ${isOn ? 'off' : 'on'}`,
  txqlen: (length, now) => `has queue length ${now.txqlen}, not ${length}`,
  // A trait may be the pod's own business (device/residue.ts).
  traits: () => 'has other traits',
}

function* linkDifferences(_: Look, ops: readonly OpOf<'link.set'>[]): Iterable<string> {
  for (const { side, name, set, was } of ops) {
    const place = `${side === 'pod' ? 'interface' : 'representor'} "${name}"`
    for (const key of Object.keys(linkWords) as (keyof LinkAttributes)[]) {
      const wanted = set[key]
      if (wanted === undefined || isSame(wanted, was[key])) continue
      const inWords = linkWords[key] as (wanted: unknown, now: LinkAttributes) => string
      yield `${place} ${inWords(wanted, was)}`
    }
  }
}

function* vlanDifferences({ vlans = [] }: Look, ops: readonly OpOf<'bridge.vlan.add'>[]): Iterable<string> {
  for (const { link, vlan } of ops) {
    if (vlans.some(({ vid, pvid, untagged }) => vid === vlan.vid && pvid && untagged)) continue
    yield `representor "${link}" does not have VLAN ${vlan.vid} as its own (pvid untagged)`
  }
}

function* addressDifferences({ kernel, link }: Look, ops: readonly OpOf<'addr.add'>[]): Iterable<string> {
  if (link === undefined) return
  const present = new Set(kernel.addresses('pod', link.ifindex).map(({ address }) => address))
  for (const { address } of ops) {
    const { ip, prefix } = parseCidr(address)
    if (!present.has(`${ip}/${prefix}`)) yield `interface "${link.name}" lacks address ${address}`
  }
}

function* routeDifferences(
  { kernel, link, others = [] }: Look,
  ops: readonly OpOf<'route.add'>[],
): Iterable<string> {
  const wanted = ops
    .map(({ route }) => route)
    .filter((route) => !others.some((one) => isSameRoute(one, route)))
  if (link === undefined || wanted.length === 0) return
  const present = kernel.routes('pod').filter(({ ifindex }) => ifindex === link.ifindex)
  for (const route of wanted) {
    if (present.some((one) => isRoute(one, route))) continue
    const instead = present
      .filter((one) => isThere(one, route))
      .map((one) => routeWords(specOf(one, link.name)))
    const found = instead.length === 0 ? '' : `, but has ${instead.join(' and ')}`
    yield `the pod lacks route ${routeWords(route)}${found}`
  }
}

function* settingDifferences({ kernel }: Look, ops: readonly OpOf<'sysctl.set'>[]): Iterable<string> {
  for (const { side, key, value, mayFail } of ops) {
    const now = kernel.sysctl(side, key)
    if (now === value || (now === undefined && mayFail === true)) continue
    yield `setting ${key} is ${now ?? 'not there'}, not ${value}`
  }
}

function isThere({ dst }: RouteFacts, route: RouteSpec): boolean {
  const { ip, prefix } = networkOf(parseCidr(route.dst))
  return dst === `${ip}/${prefix}`
}

/** A MAC address in a result may be in capital letters. */
function isSame(wanted: unknown, now: unknown): boolean {
  return typeof wanted === 'string' ? wanted.toLowerCase() === now : wanted === now
}

function words(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
