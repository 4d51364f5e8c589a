/** Removal of port mappings: by the record, and without one by cookie. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import { ipFamily } from '../../lib/ip.ts'
import { notice } from '../../lib/log/notice.ts'
import type { TableFamily } from '../../ops/op.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { FeatureRemoval, Removal } from '../feature.ts'
import {
  filterPriority,
  formerRouteTable,
  identityOf,
  marksPod,
  onlyPriority,
  rulePriority,
} from '../state/identity.ts'
import type { FilterPlaces } from '../state/own-filters.ts'
import { tell } from '../state/shared-note.ts'
import { releaseLocalPorts } from './host/local-ports.ts'
import { releaseLocalnet } from './host/route-localnet.ts'
import { releaseWhole, wholeTable } from './host/whole-table.ts'

export const portmapRemoval: FeatureRemoval = {
  recorded: ({ keys }) => keys.length > 0,
  filters: (journal) => !isOnHost(journal),
  places: placesOf,
  cookie: (attachment, sha256) => identityOf(attachment, sha256).cookie,
  removeFromPod,
  remove: removePorts,
}

/** The host's map does it all: no filter and nothing in the pod. So it is planned for a veth, or not at all. */
function isOnHost({ nat }: OffloadJournal): boolean {
  return nat === 'host'
}

/** ETH_P_* of linux/if_ether.h: the protocol of a filter's slot. */
const [ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q] = [0x0800, 0x86dd, 0x8100]

/** A filter without a number, or of an ADD that has not come to its end, is on one of the two interfaces that the record names. */
function placesOf({ rules, uplink, representor }: OffloadJournal, isWhole: boolean): FilterPlaces {
  const placed = rules.flatMap(({ rule, prio, handle }) => {
    const ifindex = rule.ifindex ?? [uplink, representor].find((one) => one?.name === rule.link)?.ifindex
    if (handle === undefined || ifindex === undefined) return []
    const untagged = ipFamily(rule.address) === 4 ? ETH_P_IP : ETH_P_IPV6
    const protocol = rule.vlan === undefined ? untagged : ETH_P_8021Q
    return [{ ifindex, prio, handle, protocol, kind: 'flower', cookie: rule.cookie } as const]
  })
  if (isWhole && placed.length === rules.length) return { placed, interfaces: [], isOpen: false }
  // With representors the NIC has all priorities, and the first one is for limits.
  const priorities = [...Object.values(filterPriority), ...(representor === undefined ? [onlyPriority] : [])]
  const interfaces = [uplink, representor].flatMap((one) =>
    one === undefined ? [] : [{ ifindex: one.ifindex, priorities }],
  )
  return { placed, interfaces, isOpen: interfaces.length === 0 }
}

/**
 * Rules and routes one by one where the record has them: what else is in the pod, or in that table, can be as much as the pod likes, and
 * nobody reads it. Without a record the attachment's own table is emptied.
 */
function removeFromPod({ machine, kernel, attachment, pod, journal, isWhole, step }: Removal): void {
  if (pod === undefined || (journal !== undefined && isOnHost(journal))) return
  const { routeTable, podTable } = identityOf(attachment, machine.sha256)
  const rules = (journal?.ops ?? []).flatMap((op) => (op.do === 'rule.add' ? [op.rule] : []))
  const routes = (journal?.ops ?? []).flatMap((op) => (op.do === 'route.add' ? [op.route] : []))
  if (rules.length + routes.length > 0) step(() => kernel.removeReplies(rules, routes))
  else if (!isWhole) {
    // A version before wrote them down only when they were there.
    const former = journal === undefined ? [] : [formerRouteTable(attachment, machine.sha256)]
    for (const table of [routeTable, ...former]) step(() => kernel.removeTable(table, rulePriority))
  }
  step(() => dropTable(kernel, podTable))
  // Before the end of an ADD its record does not name the tables in the pod.
  if (!isWhole || marksPod(journal?.ops ?? [])) step(() => dropTable(kernel, podTable, 'netdev'))
}

/** A table that a program of the pod has made its own goes with that program: no DEL waits for it. */
function dropTable(kernel: Kernel, table: string, family?: TableFamily): void {
  try {
    kernel.dropPodTable(table, family)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) throw error
    notice(`vf-offload: table "${table}" stays in the pod (EPERM: a program there owns it, or we may not)`)
  }
}

/**
 * With the filters gone no frame is steered to a pod that is being taken apart. The reservation goes last, so that nobody
 * else gets the port while a filter for it may still be there: a port is released only when its filters are gone.
 */
function removePorts(removal: Removal): void {
  const { machine, kernel, attachment, journal, isWhole, step, filtersGone } = removal
  const { cookie } = identityOf(attachment, machine.sha256)
  const ops = journal?.ops ?? []
  // A table that can't be made whole keeps nobody from going: releaseWhole() tells again.
  const whole = () => tell(() => wholeTable(removal, kernel, cookie))
  const guarded = ops.flatMap((op) => (op.do === 'guard.add' ? op.ifindex : []))
  // Ports that were there before may be the operator's.
  const kept = ops.flatMap((op) =>
    op.do === 'localports.reserve' ? op.ports.filter((port) => !op.were.includes(port)) : [],
  )
  // The guard against the wire goes with the reservation: never while the setting that it is for stands.
  const closed = step(() => {
    releaseLocalnet(machine, kernel, cookie, { interfaces: isWhole ? guarded : undefined, whole })
    return true
  })
  if (filtersGone && closed === true) {
    // By the table where the note is lost: before the reservation goes.
    if (journal === undefined || !isOnHost(journal))
      step(() => releaseLocalPorts(machine, kernel, cookie, { own: kept, whole }))
    const [known] = ops.flatMap((op) => (op.do === 'ports.reserve' ? [op] : []))
    const freed = step(() => releaseWhole(removal, kernel, cookie, known))
    if (freed !== undefined) kernel.forgetConnections(freed)
  }
}
