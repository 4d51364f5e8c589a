/** Port mappings as a part of the plugin: facts, plan and rules on ADD. Their removal is in portmap/removal.ts. */
import { CniError, code } from '../../cni/error.ts'
import { notice } from '../../lib/log/notice.ts'
import { ApplyError, type Transaction } from '../../ops/apply.ts'
import type { Op, PortKey } from '../../ops/op.ts'
import type { PortMapping } from '../config/config.ts'
import {
  type AddContext,
  type Feature,
  type LookContext,
  type Looked,
  type Planned,
  PolicerInTheWay,
} from '../feature.ts'
import { driverOf } from '../port/driver-quirks.ts'
import type { Port } from '../port/port.ts'
import { type Identity, identityOf } from '../state/identity.ts'
import { defaultRoutes } from './default-routes.ts'
import { podAddressesOf, readOffloadFacts } from './facts.ts'
import { type Listeners, listenersOf, refuseListened, servedLocally } from './host/listeners.ts'
import { claimLocalPorts } from './host/local-ports.ts'
import { refuseConnected } from './host/open-connections.ts'
import { claimLocalnet, PassedGuard, releaseLocalnet } from './host/route-localnet.ts'
import { refuseServed } from './host/services.ts'
import { wholeTable } from './host/whole-table.ts'
import { applyBest, type Installed } from './install.ts'
import { isLoopback, localhost, servesLocalhost } from './keys.ts'
import { type OffloadPlan, planPorts } from './plan.ts'
import { requirePodAddresses } from './pod-addresses.ts'
import { type Preflight, runPreflight } from './preflight.ts'
import { portsRemoval } from './removal.ts'
import { supportedPlans } from './supported-plans.ts'

export const portmapFeature: Feature = {
  ...portsRemoval,
  wanted: ({ mappings }) => mappings.length > 0,
  look: lookAround,
  trace: ({ reserved }) => (reserved ? 'its ports are reserved' : undefined),
}

/** All but the qdiscs of the port's wire, and what other entries have made, is nothing that calls of ours change. */
function lookAround(context: LookContext): Looked | undefined {
  const { machine, kernel, request, config, attachment, port } = context
  const addresses = podAddressesOf(request.prevResult ?? {}, request.ifname)
  if (addresses.length === 0) {
    notice('vf-offload: prevResult has no address for this interface, no port is mapped')
    return undefined
  }
  const listeners = listenersOf(kernel)
  const facts = {
    ...readOffloadFacts(kernel, port, addresses),
    servedLocally: keptFromUs(context, listeners),
  }
  const identity = identityOf(attachment, machine.sha256)
  const plansFor = (now: Port) =>
    supportedPlans(planPorts(config, { ...facts, port: now }, identity), driverOf(port))
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
    kind === 'veth' && link !== undefined
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

/** What a plan goes by that another call may have changed. */
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
  const earlier = policerOf(context)
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
    apply: (transaction, shared) => {
      const limiter = shared.limiter ?? earlier
      const wanted = plans.map((one) => policed(one, limiter))
      const kept = isSteered ? claimLocalPorts(machine, kernel, plan.keys, cookie, { whole }) : []
      transaction.apply(kept)
      // Not before: from now on nothing more can be opened from these ports, so that one look is enough.
      const install = () => applyBest(transaction, config, wanted, preflight, refuse)
      const done = earlier === undefined ? install() : withLimitOfOthers(install)
      if (done.rules.some(({ rule }) => rule.limiter !== undefined)) shared.isUsed = true
      const { nat, notes, ops } = done.plan
      const local = openLocalhost(context, transaction, plan.keys, cookie)
      kernel.forgetConnections(plan.keys)
      return {
        nat,
        ops: [...kept, ...ops, ...local.holds],
        notes: [...notes, ...done.notes, ...preflight.notes, ...local.notes],
        rules: done.rules,
      }
    },
  }
}

/**
 * Index of the policer in the NIC by which another entry limits what comes to the pod; undefined where none does.
 * @throws CniError 7 where port mappings would pass it by
 */
function policerOf({ others, config }: AddContext): number | undefined {
  const limits = others.flatMap(({ limits = [] }) => limits.filter(({ where }) => where === 'nic'))
  const [index] = limits.flatMap(({ ops }) =>
    ops.flatMap((op) => (op.do === 'limiter.add' ? [op.limiter.index] : [])),
  )
  if (index === undefined || config.offload !== 'off') return index
  throw new CniError(
    code.invalidConfig,
    `Cannot use offload "off": another entry limits what comes to the pod by a policer in the NIC; ${together}`,
  )
}

const together = 'port mappings and bandwidth must be in one entry, for the limit to be in the pod'

/** @throws CniError 101: what another entry has made can't be moved into the pod */
function withLimitOfOthers(install: () => Installed): Installed {
  try {
    return install()
  } catch (error) {
    if (!(error instanceof PolicerInTheWay)) throw error
    const words = `Cannot map ports in the NIC with the policer of another entry: ${error.reason}; ${together}`
    throw new CniError(code.offloadRefused, words, { cause: error })
  }
}

/** The plan with a policer in every rule that leads to the pod; no frame has its own limit then. */
function policed(plan: OffloadPlan, limiter: number | undefined): OffloadPlan {
  if (limiter === undefined) return plan
  const groups = plan.groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => (rule.side === 'src' ? rule : { ...rule, limiter })),
  }))
  return { ...plan, groups }
}

/** Ports that the node's programs have at 127.0.0.1, where that address was not asked for. */
function keptFromUs(
  { kernel, config, port }: LookContext,
  listeners: Listeners,
): ReadonlyMap<PortMapping, string> {
  const isUnasked = config.localhost === undefined && servesLocalhost(config, port)
  return isUnasked && !config.allowListening ? servedLocally(kernel, listeners, config.mappings) : new Map()
}

/**
 * Lets programs of the node reach the keys of its loopback address, by the interface that leads to the pod. Where the kernel has
 * no guard for that interface, or others take packets before it, the node stays closed: who has asked for the address gets an
 * error, others a note. What must be there for CHECK comes back.
 * @throws CniError 106 where others come first
 */
function openLocalhost(
  { machine, kernel, config, port }: AddContext,
  transaction: Transaction,
  keys: readonly PortKey[],
  cookie: string,
): { readonly holds: readonly Op[]; readonly notes: readonly string[] } {
  const key = servesLocalhost(config, port) ? keys.find(({ address }) => isLoopback(address)) : undefined
  const link = key === undefined ? undefined : kernel.interfaceTo(key.toAddress)
  if (link === undefined) return { holds: [], notes: [] }
  try {
    const { ops, holds } = claimLocalnet(machine, kernel, link, cookie)
    transaction.attempt(ops)
    return { holds, notes: [] }
  } catch (error) {
    const reason = whyUnguarded(error)
    if (reason === undefined) throw error
    if (config.localhost === undefined) {
      releaseLocalnet(machine, kernel, cookie, { interfaces: [], whole: () => undefined })
      return { holds: [], notes: [`no program at ${localhost} reaches the pod: ${reason}`] }
    }
    if (!(error instanceof PassedGuard)) throw error
    throw new CniError(code.uplinkTaken, `Cannot use localhost true: ${reason}`, { cause: error })
  }
}

/** What a kernel says that has no bpf(2), no classifier for programs, or no place for one; not: that something went wrong. */
const lacks: ReadonlySet<unknown> = new Set(['ENOENT', 'EINVAL', 'ENOSYS', 'EPERM', 'EACCES', 'EOPNOTSUPP'])

/** Why an interface can have no guard; undefined for errors that are about something else, and where anything is left of it. */
function whyUnguarded(error: unknown): string | undefined {
  if (error instanceof PassedGuard) return error.message
  if (!(error instanceof ApplyError) || error.stuck.length > 0 || error.op.do === 'sysctl.set')
    return undefined
  const { cause } = error
  return cause instanceof Error && 'code' in cause && lacks.has(cause.code) ? error.message : undefined
}
