/** The half of CHECK that concerns what an ADD did after IPAM: each operation of its plan, held against the pod. */
import type { LinkFacts, RouteFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { networkOf, parseCidr } from '../../lib/ip.ts'
import { routeWords } from '../../ops/command-line.ts'
import type { Op, RouteSpec } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { isRoute, isSameRoute, specOf } from './routes.ts'

/** What is not as `ops` left it, the routes apart that the pod had before. `link` is the pod's interface. */
export function* addressingDifferences(
  kernel: Kernel,
  link: LinkFacts,
  ops: readonly Op[],
  others: NonNullable<AttachJournal['othersRoutes']>,
): Iterable<string> {
  const added = ops.flatMap((op) => (op.do === 'addr.add' ? [op.address] : []))
  yield* addressDifferences(kernel, link, added)
  const routes = ops.flatMap((op) => (op.do === 'route.add' ? [op.route] : []))
  yield* routeDifferences(
    kernel,
    link,
    routes.filter((route) => !others.some((one) => isSameRoute(one, route))),
  )
  for (const op of ops) {
    if (op.do !== 'sysctl.set') continue
    const now = kernel.sysctl(op.side, op.key)
    if (now === op.value || (now === undefined && op.mayFail === true)) continue
    yield `setting ${op.key} is ${now ?? 'not there'}, not ${op.value}`
  }
}

function* addressDifferences(kernel: Kernel, link: LinkFacts, wanted: readonly string[]): Iterable<string> {
  if (wanted.length === 0) return
  const present = new Set(kernel.addresses('pod', link.ifindex).map(({ address }) => address))
  for (const address of wanted) {
    const { ip, prefix } = parseCidr(address)
    if (!present.has(`${ip}/${prefix}`)) yield `interface "${link.name}" lacks address ${address}`
  }
}

function* routeDifferences(kernel: Kernel, link: LinkFacts, wanted: readonly RouteSpec[]): Iterable<string> {
  if (wanted.length === 0) return
  const present = kernel.routes('pod').filter(({ ifindex }) => ifindex === link.ifindex)
  for (const route of wanted) {
    if (present.some((one) => isRoute(one, route))) continue
    const instead = present
      .filter((one) => isThere(one, route))
      .map((one) => routeWords(specOf(one, link.name)))
    const words = instead.length === 0 ? '' : `, but has ${instead.join(' and ')}`
    yield `the pod lacks route ${routeWords(route)}${words}`
  }
}

function isThere({ dst }: RouteFacts, route: RouteSpec): boolean {
  const { ip, prefix } = networkOf(parseCidr(route.dst))
  return dst === `${ip}/${prefix}`
}
