/** Gives an interface that is home again what it carried before ADD. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { notice } from '../../lib/log/notice.ts'
import { applyAll } from '../../ops/apply.ts'
import type { BridgeVlan, CarriedItem, Op } from '../../ops/op.ts'
import type { Runner } from '../../ops/runner.ts'
import type { AttachJournal } from '../../records/attach.ts'

/** Looks and tries before giving up: a route may need one that comes later, and a refusal may be over at the next try. */
const maxRounds = 4

/**
 * Gives back what of the journal `link`, an interface of the host, does not have: settings and addresses first, with which the kernel makes
 * routes by itself, then the rest. What can't be given back is said on stderr with the kernel's words; it is no reason to fail:
 * the interface is home, and the next call would fare no better.
 */
export function giveBack(kernel: Kernel, runner: Runner, journal: AttachJournal, link: LinkFacts): void {
  const { carried, settings } = journal
  if (settings !== undefined) tell(link, applyTwice(runner, kernel.settingOps(link, settings)))
  if (carried === undefined) return
  const { name, ifindex } = link
  if (carried.vlans !== undefined) tell(link, applyTwice(runner, vlanOps(kernel, carried.vlans, link)))
  const age = Math.max(0, Math.floor((Date.now() - carried.at) / 1000))
  const first = missing(kernel, carried.items, link)
  const moved = elsewhere(kernel, first.filter(isAddress), link)
  for (const { words } of moved) {
    notice(`vf-attach: "${name}" had the address ${words} before ADD, another interface has it now`)
  }
  const wanted = carried.items.filter((item) => !moved.includes(item))
  let left: readonly CarriedItem[] = first.filter((item) => !moved.includes(item))
  let errors: readonly string[] = []
  for (let round = 0; round < maxRounds && left.length > 0; round++) {
    const addresses = left.filter(isAddress)
    const next = addresses.length > 0 && round === 0 ? addresses : left
    const ops = next.map((item) => ({ do: 'carried.give', link: name, ifindex, ...item, age }) as const)
    errors = applyAll(runner, ops)
    // Some of it stands in the answer about the interface itself.
    left = missing(kernel, wanted, kernel.link('host', ifindex) ?? link)
  }
  tell(link, errors)
}

/** Operations that lead a bridge port from the VLANs that it has, those of every new port, to its own. */
function vlanOps(kernel: Kernel, wanted: readonly BridgeVlan[], { name, ifindex }: LinkFacts): Op[] {
  const now = kernel.bridgeVlans('host', ifindex)
  const isIn = (list: readonly BridgeVlan[], { vid, pvid, untagged }: BridgeVlan) =>
    list.some((one) => one.vid === vid && one.pvid === pvid && one.untagged === untagged)
  const place = { side: 'host', link: name } as const
  return [
    ...now
      .filter(({ vid }) => !wanted.some((one) => one.vid === vid))
      .map((vlan) => ({ do: 'bridge.vlan.del', ...place, vlan }) as const),
    ...wanted
      .filter((vlan) => !isIn(now, vlan))
      .map((vlan) => ({ do: 'bridge.vlan.add', ...place, vlan }) as const),
  ]
}

/** Runs operations, those that are refused once more: what stood in the way may be over. */
function applyTwice(runner: Runner, ops: readonly Op[]): readonly string[] {
  return ops.flatMap((op) => (applyAll(runner, [op]).length === 0 ? [] : applyAll(runner, [op])))
}

function tell({ name }: LinkFacts, errors: readonly string[]): void {
  for (const line of errors) notice(`vf-attach: Cannot give back what "${name}" had before ADD: ${line}`)
}

function isAddress({ what }: CarriedItem): boolean {
  return what === 'address'
}

function missing(kernel: Kernel, items: readonly CarriedItem[], link: LinkFacts): readonly CarriedItem[] {
  if (items.length === 0) return []
  const key = ({ what, words }: CarriedItem) => `${what} ${words}`
  const there = new Set(kernel.carried(link).items.map(key))
  return items.filter((item) => !there.has(key(item)))
}

/** Addresses that somebody has given to another interface meanwhile: the node must not have them twice. */
function elsewhere(
  kernel: Kernel,
  items: readonly CarriedItem[],
  { ifindex }: LinkFacts,
): readonly CarriedItem[] {
  if (items.length === 0) return []
  const bare = (words: string) => words.split(/[ /]/, 1)[0]
  const others = new Set(
    kernel.addresses('host').flatMap((one) => (one.ifindex === ifindex ? [] : [bare(one.address)])),
  )
  // A link-local address is of its link alone.
  return items.filter(({ words }) => !words.startsWith('fe80:') && others.has(bare(words)))
}
