/**
 * Fault tables of limits: the wishes of each kind of port, and the steps that each must have. In: beds. Out: tables for
 * the suite.
 */
import { expect } from 'vitest'
import type { Node } from '../../hack/lab/bed/port-node.ts'
import { countOf } from '../support/fault-report.ts'
import { canLeadToIfb } from './every-frame.ts'
import type { FaultRow } from './faults.ts'
import type { OffloadTable } from './offload-faults-suite.ts'
import { limits } from './offload-subject.ts'

const { ingressRate, ingressBurst } = limits.software

/** On the host a shaper, an ifb with another one, a clsact and the filter that leads there; the shaper alone where the kernel has no such filter. */
export const bridgeTable: OffloadTable = {
  kind: 'bridge',
  wishes: async ({ lab }) => ({
    bandwidth: (await canLeadToIfb(lab)) ? limits.software : { ingressRate, ingressBurst },
  }),
  expectRows: async (rows, { lab }) => {
    const [added, removed] = (await canLeadToIfb(lab)) ? [5, 3] : [1, 1]
    expectOperations(rows, added, removed)
  },
}

const devlinkPort = ({ card }: Node) => `${card?.devlink ?? ''}/3`

/** The VF's rate, and in the pod what is for the other direction. What had a rate before has it afterwards. */
export const legacyTable: OffloadTable = {
  kind: 'simnic-legacy',
  wishes: async () => ({ bandwidth: limits.nic }),
  dressUp: ({ net }) => `ip link set ${net.pf} vf 2 max_tx_rate 77 min_tx_rate 3`,
  undress: ({ net }) => `ip link set ${net.pf} vf 2 max_tx_rate 0 min_tx_rate 0`,
  // GC finds the pod gone, and all that was in it.
  expectRows: (rows) => expectOperations(rows, 5, 2),
}

/** Policer, clsact and filter in the eSwitch, and the rate of the port. */
export const switchdevTable: OffloadTable = {
  kind: 'simnic-full',
  wishes: async () => ({ bandwidth: limits.nic }),
  dressUp: (node) => `devlink port function rate set ${devlinkPort(node)} tx_max 77mbit`,
  undress: (node) => `devlink port function rate set ${devlinkPort(node)} tx_max 0`,
  expectRows: (rows) => expectOperations(rows, 4, 3),
}

function expectOperations(rows: readonly FaultRow[], added: number, removed: number): void {
  expect(countOf(rows, 'ADD', 'op')).toBe(added)
  for (const verb of ['DEL', 'GC']) expect(countOf(rows, verb, 'op')).toBeGreaterThanOrEqual(removed)
}
