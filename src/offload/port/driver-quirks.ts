/**
 * Drivers that take a filter with an action that they then ignore, and say `in_hw` all the same: what the kernel stores
 * proves nothing there. Known from their sources; for others only counters after traffic tell.
 */
import { readPciFunction } from '../../nic/pci.ts'
import type { Port } from './port.ts'

/** Kinds of actions (TCA_ACT_KIND) that a driver accepts and ignores, and where that can be read. */
interface IgnoredActions {
  readonly ignores: readonly string[]
  readonly source: string
}

/** By the name of the PF's driver in sysfs. */
const ignoredActions: Readonly<Record<string, IgnoredActions | undefined>> = {
  bnxt_en: {
    ignores: ['csum', 'police', 'ct'],
    source: 'bnxt_tc_parse_actions() of drivers/net/ethernet/broadcom/bnxt/bnxt_tc.c, Linux 6.12',
  },
}

/** The driver that is asked to take a port's rules; undefined where no NIC is. */
export function driverOf({ vf }: Port): string | undefined {
  return vf === undefined ? undefined : readPciFunction(vf.pf)?.driver
}

/** That a driver accepts an action of this kind and ignores it, in words; undefined when nothing such is known of it. */
export function ignoredBy(driver: string | undefined, kind: string): string | undefined {
  const ignored = driver === undefined ? undefined : ignoredActions[driver]
  return ignored?.ignores.includes(kind) === true ? words(driver, kind, ignored) : undefined
}

/** The kinds of actions that a driver accepts and ignores, with the sentence that says so of some of them. */
export function ignoredActionsOf(driver: string | undefined):
  | {
      readonly ignores: readonly string[]
      words(kinds: readonly string[]): string
    }
  | undefined {
  const ignored = driver === undefined ? undefined : ignoredActions[driver]
  return ignored && { ignores: ignored.ignores, words: (kinds) => words(driver, kinds.join(', '), ignored) }
}

function words(driver: string | undefined, kinds: string, { source }: IgnoredActions): string {
  return `driver "${driver}" accepts and ignores action ${kinds} (${source})`
}
