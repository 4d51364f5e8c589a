/** Default routes by the interface of a pod behind a veth pair: those that ADD finds there, and those that CHECK misses. */

import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { ipFamily } from '../../lib/ip.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import { isFor, mainTable } from './reply-routing.ts'

/** Mappings by their targets. */
type Keys = readonly Pick<OffloadJournal['keys'][number], 'toAddress'>[]

/**
 * Families of mapped addresses for which the result names a default route and the main table has one by `link`. A plugin before ours may
 * have moved that elsewhere (sbr and vrf do, and print the result as it was).
 */
export function defaultRoutes(
  kernel: Kernel,
  link: LinkFacts,
  keys: Keys,
  result: Result | undefined,
): (4 | 6)[] {
  return named(keys, result).filter((family) => kernel.hasDefaultRoute('pod', family, link.ifindex) === true)
}

/** Of those that ADD has found, and that the result names still, the ones that are gone. A plugin behind ours may have moved them, too. */
export function lostDefaultRoutes(
  kernel: Kernel,
  link: LinkFacts,
  { keys, defaultRoutes: had = [] }: OffloadJournal,
  result: Result | undefined,
): (4 | 6)[] {
  if (link.slaveKind === 'vrf') return []
  return named(keys, result).filter(
    (family) =>
      had.includes(family) &&
      kernel.hasDefaultRoute('pod', family, link.ifindex) === false &&
      !isLedElsewhere(kernel, family, keys),
  )
}

function named(keys: Keys, result: Result | undefined): (4 | 6)[] {
  const inMain = (result?.routes ?? []).filter(({ table = mainTable }) => table === mainTable)
  const families = new Set(keys.map(({ toAddress }) => ipFamily(toAddress)))
  return [...families].filter((family) =>
    inMain.some(({ dst }) => dst.endsWith('/0') && dst.includes(':') === (family === 6)),
  )
}

/** Policy rules lead what comes from a mapped address past the main table. */
function isLedElsewhere(kernel: Kernel, family: 4 | 6, keys: Keys): boolean {
  const rules = kernel.sourceRules('pod', family)
  return keys.some(({ toAddress }) => rules.some((rule) => isFor(rule, toAddress)))
}
