/**
 * Things that a pod leaves on a device beside its settings: interfaces on it, programs, altnames. The restore plans operations that
 * take them off. A device with something left on it in the end is not given out. Pure but for the look.
 */

import type { LinkFacts, Residue } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { LinkTraits, Op } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { LiveState } from './live-state.ts'

type OnSide = NonNullable<LiveState['link']>

/** Looks at the things on an interface that was found; `pod`: the pod's namespace can be looked at. */
export function lookAtResidue(
  kernel: Kernel,
  link: LiveState['link'],
  pod: boolean,
): Pick<LiveState, 'uppers' | 'residue'> {
  if (link === undefined) return {}
  const { side, facts } = link
  const uppers = pod ? kernel.podUppers(side, facts.ifindex) : []
  return {
    ...(uppers.length === 0 ? {} : { uppers }),
    ...(side === 'host' ? { residue: kernel.residue(facts) } : {}),
  }
}

/** Operations that take things off the device at its present place, before it moves or is used again. */
export function planClean(journal: AttachJournal, live: LiveState, { side, facts }: OnSide): Op[] {
  const { link: original } = journal.original
  const place = { side, link: facts.name, ifindex: facts.ifindex } as const
  const kept = original?.programs ?? []
  const programs = isUntold(journal)
    ? []
    : [
        ...(facts.xdpIn ?? []).map(({ mode, program }) => ({ hook: mode, program })),
        ...(live.residue?.tcx ?? []),
      ]
  return [
    ...(live.uppers ?? []).map(({ name, ifindex }): Op => ({ do: 'link.del', side: 'pod', name, ifindex })),
    ...programs
      .filter(({ program }) => !kept.includes(program))
      .map((one): Op => ({ do: 'program.detach', ...place, ...one })),
    ...(mayBeLate(journal, live, { side, facts })
      ? [{ do: 'link.flick', side, name: facts.name, ifindex: facts.ifindex } as const]
      : []),
  ]
}

/**
 * True where nothing tells which programs were on the interface before: they stay, and ADD refuses an interface with XDP. Those of hardware
 * end with its driver at the next ADD in any case.
 */
function isUntold({ device, original }: AttachJournal): boolean {
  return original.link?.traits === undefined && device.id !== device.pci
}

/** Programs that stay on an interface because nothing tells whose they are, a phrase for each. */
export function untoldPrograms(journal: AttachJournal, { link, residue }: LiveState): string[] {
  if (link?.side !== 'host' || !isUntold(journal)) return []
  return [
    ...link.facts.xdp.map((program) => `XDP program ${program}`),
    ...(residue?.tcx ?? []).map(({ hook, program }) => `program ${program} of tcx ${hook}`),
  ]
}

/**
 * True for an interface that is down and hears everything for what is not there any more: the kernel counts the unicast
 * addresses of what lay on it, and looks at them again only while it is up (__dev_set_rx_mode, net/core/dev.c).
 */
function mayBeLate(journal: AttachJournal, live: LiveState, { side, facts }: OnSide): boolean {
  if (facts.up || facts.master !== undefined) return false
  return side === 'pod' ? (live.uppers ?? []).length > 0 : hearsTooMuch(journal, live)
}

function hearsTooMuch({ original }: AttachJournal, { link, residue }: LiveState): boolean {
  const was = original.link?.promiscuity
  if (was === undefined || link === undefined || link.facts.promisc !== original.link?.promisc) return false
  return residue?.occupied === undefined && (link.facts.promiscuity ?? 0) > was
}

/** Traits that differ from the journal's, which has those that were known. */
export function differingTraits(now: LinkTraits | undefined, was: LinkTraits | undefined): LinkTraits {
  const entries = Object.entries(was ?? {}) as [keyof LinkTraits, unknown][]
  return Object.fromEntries(
    entries.filter(([key, value]) => value !== undefined && now?.[key] !== undefined && value !== now[key]),
  )
}

/** The reasons for which an interface at home does not count as clean, a phrase for each. */
export function dirtOf(journal: AttachJournal, live: LiveState): string[] {
  const { link, residue } = live
  if (link?.side !== 'host') return []
  const { facts } = link
  const kept = journal.original.link?.programs ?? []
  // Records of former versions and files of other plugins do not say it.
  const wasOccupied = journal.original.link?.traits === undefined || journal.original.link.occupied === true
  const isPods = (program: number) => !isUntold(journal) && !kept.includes(program)
  const xdp = facts.xdp.filter(isPods)
  const tcx = (residue?.tcx ?? []).filter(({ program }) => isPods(program))
  return [
    ...(live.uppers ?? []).map(({ name }) => `"${name}" of the pod lies on it`),
    ...xdp.map((program) => `XDP program ${program} is on it`),
    ...tcx.map(({ hook, program }) => `program ${program} is on its tcx ${hook}`),
    ...(residue?.occupied === undefined || wasOccupied ? [] : [residue.occupied]),
    ...(facts.master === undefined && hearsTooMuch(journal, live)
      ? [`promiscuity ${facts.promiscuity}: something in another namespace hears what it receives`]
      : []),
  ]
}

/**
 * Traits of the pod's interface that break the promise of ADD: that its addresses are reached. Programs, altnames and interfaces on
 * it are the pod's own business, as long as DEL can take them off.
 */
export function* brokenTraits({ name, traits }: LinkFacts, { original }: AttachJournal): Iterable<string> {
  const { flags, mode, protoDown } = differingTraits(traits, original.link?.traits)
  const was = original.link?.traits?.flags ?? 0
  const now = traits?.flags ?? 0
  const words = [
    ...(flags !== undefined && (now & ~was & IFF_NOARP) !== 0 ? ['ARP off'] : []),
    ...(flags !== undefined && (was & ~now & IFF_MULTICAST) !== 0 ? ['multicast off'] : []),
    ...(mode === undefined ? [] : [`link mode ${traits?.mode}, not ${mode}`]),
    ...(protoDown === false ? ['protodown on'] : []),
  ]
  for (const word of words) yield `interface "${name}" has ${word}`
}
/** linux/if.h */
const IFF_NOARP = 0x80
const IFF_MULTICAST = 0x1000

/** The reasons for which no pod gets an interface of the host, a phrase for each. `uppers`: interfaces of the host lie on it. */
export function sharersOf({ xdp }: LinkFacts, { occupied }: Residue, uppers: boolean): string[] {
  return [
    // Agents put programs of tcx on every interface of a node.
    ...xdp.map((program) => `XDP program ${program} is on it`),
    ...(occupied === undefined || uppers ? [] : [occupied]),
  ]
}
