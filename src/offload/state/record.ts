/** What `vf-offload` writes down: the wishes and what became of them. Feeds CHECK, error messages and reports. */
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { tryParseIp } from '../../lib/ip.ts'
import type { FlowFilter, Op } from '../../ops/op.ts'
import { isFlowFilter, isOp } from '../../ops/shape.ts'

/** Operations and rules are written as the plan had them; the record's schema version says which form they have. */
const op = z.custom<Op>(isOp)
const steerSpec = z.custom<FlowFilter>(isFlowFilter)
const ip = z.string().check(z.refine((text) => tryParseIp(text) !== undefined))
const portNumber = z.int().check(z.gte(1), z.lte(65535))

/** One rule as an operator would type it, and where it runs. */
const rule = z.object({
  line: z.string(),
  where: z.enum(['nic', 'host']),
  /** Why it does not run in the NIC: the driver's own words. */
  refusal: z.optional(z.string()),
  /** The wish that it serves: `tcp 8080 -> 80`. */
  mapping: z.string(),
  rule: steerSpec,
  prio: z.int(),
  handle: z.optional(z.int()),
})

/** One limit: what was asked for, in bits/s and bits, and what became of it. Without `where` the ADD has not come that far. */
const limit = z.object({
  direction: z.enum(['toPod', 'fromPod']),
  rate: z.number(),
  burst: z.number(),
  /** `pod` is where a pod with CAP_NET_ADMIN can take it away. */
  where: z.optional(z.enum(['nic', 'host', 'pod'])),
  /** `tbf`, `ifb`, `max_tx_rate`, `tx_max`, `police`. */
  means: z.optional(z.string()),
  /** What was done, as an operator would type it. */
  lines: z.optional(z.array(z.string())),
  /** What was done; before it was, what of VF or port may have been changed. */
  ops: z.array(op),
  /** Ways that were given up, each with the reason. */
  refusals: z.optional(z.array(z.string())),
  notes: z.optional(z.array(z.string())),
})
export type LimitRecord = z.infer<typeof limit>

/** Fields that a version before did not write are optional, and none of its fields changes its meaning. */
export const offloadJournal = z.object({
  /** Kind of the pod's port (port/port.ts). */
  port: z.optional(z.string()),
  device: z.optional(z.string()),
  uplink: z.optional(z.object({ name: z.string(), ifindex: z.int() })),
  representor: z.optional(z.object({ name: z.string(), ifindex: z.int() })),
  /**
   * The pod's end of a veth pair: its number and MAC there, and the number of the other end where that is on the host. A pod
   * can give an interface any number, but not another pod's pair.
   */
  link: z.optional(z.object({ ifindex: z.int(), mac: z.string(), peer: z.optional(z.int()) })),
  keys: z.array(
    z.object({
      address: ip,
      proto: z.enum(['tcp', 'udp', 'sctp']),
      port: portNumber,
      toAddress: ip,
      toPort: portNumber,
    }),
  ),
  /** Families in which the pod behind a veth pair had its default route by the interface, where prevResult named one. */
  defaultRoutes: z.optional(z.array(z.literal([4, 6]))),
  /** Where addresses and ports are translated; absent without port mappings. */
  nat: z.optional(z.enum(['pod', 'nic', 'host'])),
  /** What else the ADD did, in order: the reservation, the pod's tables, routes and policy rules, qdiscs. */
  ops: z._default(z.array(op), []),
  rules: z.array(rule),
  /** Entries of one list that share the record, where there are several. */
  entries: z.optional(z.int()),
  /** The wishes of the entry with port mappings; absent without. */
  asked: z.optional(
    z.object({ offload: z.enum(['prefer', 'off', 'require']), nat: z.enum(['auto', 'pod', 'nic']) }),
  ),
  /** Absent: none was asked for. */
  limits: z.optional(z.array(limit)),
  notes: z.array(z.string()),
})

/** A journal of another plugin, of whose records only the owner counts here. */
export const anyJournal = z.unknown()

export type OffloadJournal = z.infer<typeof offloadJournal>

/** Of an attachment for which nothing was done yet. */
export const emptyJournal: OffloadJournal = { keys: [], ops: [], rules: [], notes: [] }
