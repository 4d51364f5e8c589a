/** Port mappings as a part of the plugin: facts, plan and rules on ADD. Their removal is in ports-removal.ts. */
import { CniError, code } from '../cni/error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { notice } from '../lib/notice.ts'
import type { Op, PortKey } from '../ops/op.ts'
import { type Ground, prepareGround } from './coexist.ts'
import { refuseConnected } from './connected.ts'
import { type OffloadFacts, podAddressesOf, readOffloadFacts } from './facts.ts'
import { type Identity, identityOf } from './identity.ts'
import { applyBest, type Installed } from './install.ts'
import { driverOf, honestPlans } from './liars.ts'
import { refuseListened } from './listened.ts'
import { claimLocalPorts } from './local-ports.ts'
import { claimLocalnet } from './localnet.ts'
import {
  type AddContext,
  LimiterInTheWay,
  type LookContext,
  type Looked,
  type Part,
  type Planned,
} from './part.ts'
import { type OffloadPlan, planPorts } from './plan.ts'
import { requirePodAddresses } from './pod-addresses.ts'
import type { Port } from './port.ts'
import { isLoopback } from './port-rules.ts'
import { portsRemoval } from './ports-removal.ts'

export const portsPart: Part = {
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
  const facts = readOffloadFacts(kernel, port, addresses)
  const identity = identityOf(attachment, machine.sha256)
  const plansFor = (now: Port) =>
    honestPlans(planPorts(config, { ...facts, port: now }, identity), driverOf(port))
  const plans = plansFor(port)
  const [plan] = plans
  if (plan === undefined || plan.ops.length === 0) {
    for (const note of plan?.notes ?? []) notice(`vf-offload: ${note}`)
    return undefined
  }
  requirePodAddresses(kernel, facts, plan.keys)
  if (!config.allowListening) refuseListened(kernel, plan.keys)
  const ground = prepareGround(kernel, config, port, plans)
  return {
    plan: (locked) => {
      const { port: now } = locked
      const isSame = qdiscsOf(now) === qdiscsOf(port)
      return planned(locked, { ...facts, port: now }, isSame ? plans : plansFor(now), ground, identity)
    },
  }
}

/** What a plan goes by that another call may have changed. */
function qdiscsOf({ wire }: Port): string {
  return `${wire?.uplinkHasIngress} ${wire?.representorHasIngress}`
}

function planned(
  context: AddContext,
  facts: OffloadFacts,
  plans: readonly OffloadPlan[],
  ground: Ground,
  { cookie }: Identity,
): Planned {
  const { machine, kernel, config } = context
  const [plan] = plans as [OffloadPlan]
  const earlier = policerOf(context)
  // Behind a veth the host's stack tells replies from requests.
  const isSteered = facts.port.wire !== undefined
  const refuse = () => {
    if (isSteered && !config.allowConnected) refuseConnected(kernel, plan.keys)
  }
  return {
    journal: {
      keys: [...plan.keys],
      nat: plan.nat,
      // By these a DEL finds them without reading what else is in the pod.
      ops: plan.ops.filter(({ do: kind }) => kind === 'rule.add' || kind === 'route.add'),
      notes: [...plan.notes, ...ground.notes],
    },
    apply: (transaction, shared) => {
      const limiter = shared.limiter ?? earlier
      const wanted = plans.map((one) => policed(one, limiter))
      const kept = isSteered ? claimLocalPorts(machine, kernel, plan.keys, cookie) : []
      transaction.apply(kept)
      // Not before: from now on nothing more can be opened from these ports, so that one look is enough.
      const install = () => applyBest(transaction, config, facts, wanted, ground, refuse)
      const done = earlier === undefined ? install() : withLimitOfOthers(install)
      if (done.rules.some(({ rule }) => rule.limiter !== undefined)) shared.isUsed = true
      const { nat, notes, ops } = done.plan
      const local = config.localhost ? localnet(machine, kernel, plan.keys, cookie) : []
      transaction.apply(local)
      kernel.forgetConnections(plan.keys)
      return {
        nat,
        ops: [...kept, ...ops, ...local],
        notes: [...notes, ...done.notes, ...ground.notes],
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
    if (!(error instanceof LimiterInTheWay)) throw error
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

/** What lets programs of the node reach the keys of its loopback address, on the interface that leads to the pod. */
function localnet(machine: Machine, kernel: Kernel, keys: readonly PortKey[], cookie: string): readonly Op[] {
  const key = keys.find(({ address }) => isLoopback(address))
  const link = key === undefined ? undefined : kernel.interfaceTo(key.toAddress)
  return link === undefined ? [] : claimLocalnet(machine, kernel, link, cookie)
}
