/**
 * The addresses, routes and settings that an interface carries when a pod gets it. In: the facts of an ADD; out: an error for an
 * interface that can't be moved or not be given back as it was, else the part of the journal. ADD looks at it before the first change.
 */
import { CniError, code } from '../../cni/error.ts'
import type { CarriedFacts, MoveFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { notice } from '../../lib/log/notice.ts'
import { cookiePrefix } from '../../ops/marks/own-cookie.ts'
import type { CarriedItem } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { AttachConfig } from '../config/config.ts'
import type { AttachFacts, PortFacts } from './facts.ts'
import { nodeLife } from './node-life.ts'
import { startsAnew } from './pod-had-note.ts'
import { selectorWords } from './select.ts'

/** A device that is not to be given to a pod as it is. Nothing was changed. */
export class Unusable extends CniError {
  /** The reason alone, without the config's name of the device. */
  readonly why: string
  constructor(
    number: number,
    what: string,
    why: string,
    more: { readonly details?: string; readonly cause?: Error } = {},
  ) {
    super(number, `Cannot use ${what}: ${why}`, more)
    this.why = why
  }
}

/** IFLA_INFO_SLAVE_KIND of masters that take an interface back by RTM_NEWLINK; Open vSwitch has its own way. */
const takingBack: readonly (string | undefined)[] = ['bridge', 'bond', 'vrf', 'team', 'batadv']

/** The most things that a record takes: with these it has a few MB, which each DEL and GC reads. */
const mostItems = 10_000
/** The most of them that one line on stderr names. */
const mostNamed = 20

/**
 * Reads all that the device's interface carries, for the journal: its settings, and the rest where there is any.
 * @throws Unusable 7 when the kernel does not move it, when the node lives by it, and for things that nobody could give back; 102 when
 *   the kernel refuses its names in the pod
 */
export function readCarried(
  kernel: Kernel,
  config: AttachConfig,
  { device, port }: AttachFacts,
): Pick<AttachJournal, 'carried' | 'settings' | 'tuning'> {
  if (port === undefined) return {}
  const move = kernel.lookBeforeMove(port.link)
  const carried = move.isBare ? undefined : kernel.carried(port.link)
  refuseNodeDevice(kernel, config, port, carried)
  refuseUnmovable(config, port, move)
  refuseLasting(kernel, config, port, move, carried)
  // Hardware starts anew before the next pod has it: its queues can be many.
  const tuning = kernel.tuning(port.link.name, startsAnew(device.id, device.pci, port.link.mac) ? [] : 'all')
  const settings = kernel.settings(port.link)
  if (carried === undefined || (carried.items.length === 0 && carried.vlans === undefined))
    return { settings, tuning }
  const words = lossWords(carried.items)
  if (words !== undefined) notice(`vf-attach: until DEL "${port.link.name}" is without ${words}`)
  // A new port of a bridge is in a VLAN at once: one that was in none has to be known as such.
  const vlans = carried.vlans === undefined ? {} : { vlans: [...carried.vlans] }
  return { settings, tuning, carried: { at: Date.now(), ...vlans, items: [...carried.items] } }
}

function refuseNodeDevice(
  kernel: Kernel,
  config: AttachConfig,
  port: PortFacts,
  carried: CarriedFacts | undefined,
): void {
  const reasons = nodeLife(kernel, port, carried)
  for (const { hook, program } of port.residue?.tcx ?? [])
    notice(`vf-attach: program ${program} is on tcx ${hook} of "${port.link.name}" and goes along to the pod`)
  if (reasons.length === 0) return
  const words = reasons.join('; ')
  // With `pf` this program chooses the device: nobody has named it.
  if (config.pf !== undefined) throw refused(config, `the node lives by "${port.link.name}": ${words}`)
  if (!config.allowNodeDevice) {
    throw refused(
      config,
      `the node lives by "${port.link.name}": ${words}; a pod may have it only where allowNodeDevice is true in the config and in the node's policy`,
    )
  }
  notice(`vf-attach: the node lives by "${port.link.name}", which allowNodeDevice gives to a pod: ${words}`)
}

function refuseUnmovable(config: AttachConfig, { link }: PortFacts, { refusal }: MoveFacts): void {
  if (refusal === undefined) return
  const isFixed = 'code' in refusal && refusal.code === 'EINVAL'
  const words = `the kernel does not move "${link.name}" to the pod`
  throw refused(config, words, isFixed ? code.invalidConfig : code.kernelRefused, refusal)
}

function refuseLasting(
  kernel: Kernel,
  config: AttachConfig,
  { link, master }: PortFacts,
  { qdiscs }: MoveFacts,
  carried: CarriedFacts | undefined,
): void {
  const reasons = [
    ...qdiscs.map((kind) => `somebody has given it the qdisc ${kind}, which a move destroys`),
    ...(qdiscs.length > 0 && isUplink(kernel, link.ifindex)
      ? ['port mappings or limits of vf-offload go by it']
      : []),
    ...(carried?.shared ?? []).map((whole) => `it has a part in ${whole}`),
    ...(carried !== undefined && carried.items.length > mostItems
      ? [
          `it carries ${carried.items.length} addresses, routes and neighbours, and a record takes ${mostItems} at most`,
        ]
      : []),
    ...(master !== undefined && !takingBack.includes(link.slaveKind)
      ? [`its master "${master}" (${link.slaveKind ?? 'of an unknown kind'}) would not take it back`]
      : []),
  ]
  if (reasons.length === 0) return
  throw refused(config, `"${link.name}" could not be given back as it is: ${reasons.join('; ')}`)
}

/** True when filters of vf-offload are on the interface. */
function isUplink(kernel: Kernel, ifindex: number): boolean {
  return kernel.ownFilters(cookiePrefix, 'host', [{ ifindex }]).length > 0
}

/**
 * The things that the node is without, by name: an operator who looks for an address must find its place. Undefined for nothing:
 * settings of a port and routes that come and go with an address are not named.
 */
export function lossWords(items: readonly CarriedItem[]): string | undefined {
  const list = items
    .filter(({ what, words }) => what !== 'port' && !words.includes(' proto 2 '))
    .map(({ words }) => words)
  if (list.length === 0) return undefined
  const rest = list.length - mostNamed
  return `${list.slice(0, mostNamed).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

function refused(
  config: AttachConfig,
  why: string,
  number: number = code.invalidConfig,
  cause?: Error,
): Unusable {
  const [selector] = config.selectors
  const what = selector === undefined ? `pf "${config.pf ?? ''}"` : selectorWords(selector)
  const details = cause === undefined ? {} : { details: cause.message, cause }
  return new Unusable(number, what, why, details)
}
