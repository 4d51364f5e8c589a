/** Port mappings as a feature of the plugin: facts and plan of an ADD. */
import { CniError, code } from '../../cni/error.ts'
import { notice } from '../../lib/log/notice.ts'
import type { FlowFilter } from '../../ops/op.ts'
import type { PortMapping } from '../config/config.ts'
import {
  type AddContext,
  type Feature,
  type LookContext,
  type Looked,
  type Planned,
  PolicerRefused,
} from '../feature.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { type Identity, identityOf, ifbOf, networkPrefix } from '../state/identity.ts'
import { policerIn } from '../state/journal.ts'
import { isHairpin, portmapSections } from '../state/report.ts'
import { mappingDifferences } from './check.ts'
import { portmapCounters } from './counters.ts'
import { defaultRoutes } from './default-routes.ts'
import { supportedPlans } from './driver/supported-plans.ts'
import { podAddressesOf, readOffloadFacts } from './facts.ts'
import { receivedBy } from './hairpin/delivered.ts'
import { type Listeners, listenersOf, refuseListened, servedLocally } from './host/listeners.ts'
import { claimLocalPorts } from './host/local-ports.ts'
import { openLocalhost } from './host/localhost.ts'
import { refuseConnected } from './host/open-connections.ts'
import { portmapOrphans } from './host/orphans.ts'
import { refuseServed } from './host/services.ts'
import { hostTable, wholeTable } from './host/whole-table.ts'
import { applyBest } from './install.ts'
import { servesLocalhost } from './keys.ts'
import { type OffloadPlan, planPorts } from './plan.ts'
import { requirePodAddresses } from './pod-addresses.ts'
import { type Preflight, runPreflight } from './preflight.ts'
import { mayRedirect } from './redirect/ways.ts'
import { portmapRemoval } from './removal.ts'
import { portmapReadiness } from './status.ts'

export const portmapFeature: Feature = {
  ...portmapRemoval,
  wanted: ({ mappings }) => mappings.length > 0,
  look: lookAround,
  trace: ({ reserved }) => (reserved ? 'its ports are reserved' : undefined),
  done: ({ ops, rules }) => [
    ...ops.map((op) => ({ op })),
    ...rules.map(({ rule, handle, where }) => ({
      op: { do: 'steer.add', rule, offload: 'off' } as const,
      handle,
      where,
    })),
  ],
  otherwise: 'Port mappings are not as ADD left them',
  differences: mappingDifferences,
  readiness: portmapReadiness,
  cookiePrefix: networkPrefix,
  orphans: portmapOrphans,
  shared: hostTable,
  report: portmapSections,
  counters: portmapCounters,
}

/** Of all these facts, other calls of the plugin change the qdiscs of the port's wire alone. */
function lookAround(context: LookContext): Looked | undefined {
  const { machine, kernel, request, config, attachment, port } = context
  const addresses = podAddressesOf(request.prevResult ?? {}, request.ifname)
  if (addresses.length === 0) {
    notice('vf-offload: prevResult has no address for this interface, no port is mapped')
    return undefined
  }
  const listeners = listenersOf(kernel, config.mappings)
  const read = readOffloadFacts(kernel, port, addresses)
  const facts = {
    ...read,
    servedLocally: keptFromUs(context, listeners),
    isLimited: config.rates.toPod !== undefined || hasIfb(context, read.driver),
  }
  const identity = identityOf(attachment, machine.sha256)
  const plansFor = (now: Port) =>
    supportedPlans(planPorts(config, { ...facts, port: now }, identity), facts.driver)
  const plans = plansFor(port)
  const [plan] = plans
  if (plan === undefined || plan.ops.length === 0) {
    for (const note of plan?.notes ?? []) notice(`vf-offload: ${note}`)
    return undefined
  }
  requirePodAddresses(kernel, facts, plan.keys)
  if (!config.allowListening) refuseListened(kernel, listeners, plan.keys)
  if (!config.allowServicePorts) refuseServed(kernel, plan.keys, request.policy)
  const preflight = runPreflight(kernel, config, port, plans)
  const { kind, link } = port
  const ways =
    traitsOf(kind).isPair && link !== undefined
      ? { defaultRoutes: defaultRoutes(kernel, link, plan.keys, request.prevResult) }
      : {}
  return {
    plan: (locked) => {
      const { port: now } = locked
      const isSame = qdiscsOf(now) === qdiscsOf(port)
      const { journal, ...rest } = planned(locked, isSame ? plans : plansFor(now), preflight, identity)
      return { ...rest, journal: { ...journal, ...ways } }
    },
  }
}

/** True where another entry limits what comes to the pod by an ifb in the pod. Asks only where redirects alone may be offered. */
function hasIfb({ machine, kernel, attachment, port }: LookContext, driver: string | undefined): boolean {
  if (port.kind !== 'representor' || !mayRedirect(driver)) return false
  return kernel.link('pod', ifbOf(attachment, machine.sha256)) !== undefined
}

/** The facts of a plan that another call may have changed. */
function qdiscsOf({ wire }: Port): string {
  return `${wire?.uplinkHasIngress} ${wire?.representorHasIngress}`
}

function planned(
  context: AddContext,
  plans: readonly OffloadPlan[],
  preflight: Preflight,
  { cookie }: Identity,
): Planned {
  const { machine, kernel, store, config, port } = context
  const whole = () => wholeTable({ machine, store }, kernel, cookie)
  const [plan] = plans as [OffloadPlan]
  const earlier = policerOfOthers(context)
  // Behind a veth the host's stack tells replies from requests.
  const isSteered = port.wire !== undefined
  const refuse = () => {
    if (isSteered && !config.allowConnected) refuseConnected(kernel, plan.keys)
  }
  return {
    journal: {
      keys: [...plan.keys],
      nat: plan.nat,
      // By these a DEL finds them without reading what else is in the pod, and a flush takes no port from who was killed.
      ops: plan.ops.filter(
        ({ do: kind }) => kind === 'rule.add' || kind === 'route.add' || kind === 'ports.reserve',
      ),
      notes: [...plan.notes, ...preflight.notes],
    },
    usesPolicer: plans.some(({ groups }) => groups.some(({ rules }) => rules.some(isToPod))),
    install: (transaction, { policer = earlier }) => {
      const wanted = plans.map((one) => policed(one, policer))
      const kept = isSteered ? claimLocalPorts(machine, kernel, plan.keys, cookie, { whole }) : []
      transaction.apply(kept)
      // Before the filters: a packet between would be missed.
      const received = plans.some(({ way }) => way === 'hairpin') ? receivedBy(kernel, port) : undefined
      // Not before: from now on nothing more can be opened from these ports, so that one look is enough.
      const done = applyBest(transaction, config, wanted, preflight, refuse)
      if (done instanceof PolicerRefused) {
        if (earlier === undefined) return done
        throw withoutPolicerOfOthers(done)
      }
      const { nat, notes, ops } = done.plan
      const local = openLocalhost(context, transaction, plan.keys, cookie)
      kernel.forgetConnections(plan.keys)
      return {
        nat,
        ops: [...kept, ...ops, ...local.holds],
        notes: [...notes, ...done.notes, ...preflight.notes, ...local.notes],
        rules: done.rules,
        ...(received !== undefined && done.rules.some(isHairpin) ? { received } : {}),
      }
    },
  }
}

/**
 * Index of the policer in the NIC by which another entry limits frames to the pod; undefined where none does.
 * @throws CniError 7 where port mappings would pass it by
 */
function policerOfOthers({ others, config }: AddContext): number | undefined {
  const index = policerIn(others)
  if (index === undefined || config.offload !== 'off') return index
  throw new CniError(
    code.invalidConfig,
    `Cannot use offload "off": another entry limits what comes to the pod by a policer in the NIC; ${together}`,
  )
}

const together = 'port mappings and bandwidth must be in one entry, for the limit to be in the pod'

/** The error 101: nobody moves the limit of another entry into the pod. */
function withoutPolicerOfOthers({ reason, options }: PolicerRefused): CniError {
  const words = `Cannot map ports in the NIC with the policer of another entry: ${reason}; ${together}`
  return new CniError(code.offloadRefused, words, { cause: options.cause })
}

/** The plan with a policer in every rule that leads to the pod; no frame has its own limit then. */
function policed(plan: OffloadPlan, limiter: number | undefined): OffloadPlan {
  if (limiter === undefined) return plan
  const groups = plan.groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => (isToPod(rule) ? { ...rule, limiter } : rule)),
  }))
  return { ...plan, groups }
}

function isToPod({ side }: FlowFilter): boolean {
  return side !== 'src'
}

/** Ports that the node's programs have at 127.0.0.1, where that address was not asked for. */
function keptFromUs(
  { kernel, config, port }: LookContext,
  listeners: Listeners,
): ReadonlyMap<PortMapping, string> {
  const isUnasked = config.localhost === undefined && servesLocalhost(config, port)
  return isUnasked && !config.allowListening ? servedLocally(kernel, listeners, config.mappings) : new Map()
}
