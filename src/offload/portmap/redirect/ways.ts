/** The ways to bring a pod its frames by filters, best first, by the driver and by what the mappings need. Pure. */
import { driverFacts, isKnownDriver } from '../../port/drivers.ts'
import type { Port } from '../../port/port.ts'
import type { Translator } from '../nat-choice.ts'

/**
 * `rewrite`: filters write MAC addresses. `redirect`: they do not, and the pod takes the frames in as they are. `hairpin`: they
 * write MAC addresses and send the frame back by the port that it came by; those of one group have one EtherType.
 */
export type Way = 'rewrite' | 'redirect' | 'hairpin'

/** One plan's way. */
export interface WayChoice {
  readonly way: Way
  /** The NIC is not asked for any rule. */
  readonly unoffered?: true
  readonly notes: readonly string[]
  /** Why the driver, which refuses to rewrite, is not asked for redirects alone. */
  readonly hindrance?: string
}

/** The facts on which the ways depend. */
export interface WayFacts {
  readonly port: Port
  /** Driver of the card; undefined where no card is. */
  readonly driver?: string | undefined
  readonly offload: 'prefer' | 'require' | 'off'
  /** VLANs in which the uplink carries the mapped addresses, 0 = untagged. */
  readonly vlans: readonly number[]
  /** An ifb in the pod limits what comes to it. Frames that come out of an ifb do not meet the chains of family netdev. */
  readonly isLimited: boolean
}

/**
 * The ways of a translator. A driver that is known to refuse rewriting hears of the redirect alone at once; one of which
 * nothing is known, after it has refused to rewrite.
 */
export function waysOf(nat: Translator, { port, driver, offload, vlans, isLimited }: WayFacts): WayChoice[] {
  const rewrite: WayChoice = { way: 'rewrite', notes: [] }
  const { kind, link, wire } = port
  if (nat !== 'pod' || kind !== 'representor' || link === undefined || offload === 'off') return [rewrite]
  const isRefused = driverFacts(driver).redirectsOnly !== undefined
  if (!mayRedirect(driver)) return [rewrite]
  const vlan = [wire?.vlan ?? 0, ...vlans].find((id) => id !== 0)
  const hindrance =
    vlan !== undefined
      ? `frames in VLAN ${vlan} need a change of their tag`
      : isLimited
        ? 'the limit of what comes to the pod is in the pod, by an ifb, whose frames the table of the pod does not see'
        : undefined
  if (hindrance !== undefined) {
    const words = `not by redirect alone: ${hindrance}`
    return [isRefused ? { ...rewrite, notes: [words], hindrance: words } : rewrite]
  }
  return [
    ...(isRefused ? [] : [rewrite]),
    { way: 'redirect', notes: [] },
    ...(offload === 'require' ? [] : [{ ...rewrite, unoffered: true } as const]),
  ]
}

/** True for a driver that may be asked for redirects alone. */
export function mayRedirect(driver: string | undefined): boolean {
  return driverFacts(driver).redirectsOnly !== undefined || !isKnownDriver(driver)
}

/** Translators that the driver may serve, best first, with a note on one that it is known to refuse. */
export function offeredTranslators(
  nats: readonly Translator[],
  driver: string | undefined,
): { readonly nats: readonly Translator[]; readonly notes: readonly string[] } {
  const { redirectsOnly } = driverFacts(driver)
  // Whoever asked for the NIC by name hears the driver's own words.
  if (redirectsOnly === undefined || nats.length < 2 || !nats.includes('nic')) return { nats, notes: [] }
  const words = `driver "${driver}" refuses every rewrite (${redirectsOnly.source})`
  return { nats: nats.filter((nat) => nat !== 'nic'), notes: [`not with nat "nic": ${words}`] }
}
