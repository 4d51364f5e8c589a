// Which card takes which filters: for each card that the simulator knows (simnic, from source, not hardware), each kind of filter, both
// families and each protocol, bytes arrive from both clients. A cell says "NIC" where the card has counted every frame of the wire and
// the host's stack has seen none. Every other cell says who does it, and why. docs/testing.md has the same table.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, offloadConfig, silently } from '../../../hack/lab/bed/plugins.ts'
import { hardwareRules } from '../../../hack/lab/bed/simnic.ts'
import { CLIENT_A, CLIENT_B, HOST } from '../../../hack/lab/bed/topology.ts'
import type { Report } from '../../../src/offload/state/report.ts'
import { type CardOptions, type CardsBed, cardsBed, type Inserted, POD } from '../../support/cards/bed.ts'
import { type Cell, columns, markdown, placeOf, type Row } from '../../support/cards/table.ts'
import { type Family, PORTS, type Protocol, type Target } from '../../support/cards/wire.ts'
import { lab } from '../../support/lab.ts'

/** The cards, by the name of their lines. */
const CARDS: Readonly<Record<string, CardOptions>> = {
  full: { driver: 'simnic', profile: 'full', mode: 'switchdev' },
  mlx5: { driver: 'mlx5_core', profile: 'mlx5', mode: 'switchdev' },
  sfc: { driver: 'sfc', profile: 'sfc', mode: 'switchdev' },
}

const protocols = Object.keys(PORTS) as Protocol[]
const subnets = ['10.1.0.0/24', '10.2.0.0/24', 'fd00:1::/64', 'fd00:2::/64']
/** Far above what the machine can: nothing is dropped, so every frame can be counted. */
const limits = { ingressRate: 1e9, ingressBurst: 8e6, egressRate: 1e9, egressBurst: 8e6 }

let bed: CardsBed
const rows: Row[] = []

beforeAll(async () => {
  bed = await cardsBed(await lab())
}, 600_000)
afterAll(() => bed?.end())

const mappings = (of: readonly Protocol[]) =>
  of.map((protocol) => ({ hostPort: PORTS[protocol].host, containerPort: PORTS[protocol].pod, protocol }))

/** One call of vf-offload, undone when `look` has ended. Gives the error of a call that is refused. */
async function added<Seen>(
  { vf, result }: Inserted,
  config: Record<string, unknown>,
  of: readonly Protocol[],
  look: (report: Report) => Promise<Seen>,
  bandwidth?: typeof limits,
): Promise<{ readonly seen: Seen } | { readonly refused: string }> {
  const plugin = { ...offloadConfig(vf, config), capabilities: { portMappings: true, bandwidth: true } }
  const capabilityArgs = { portMappings: mappings(of), ...(bandwidth === undefined ? {} : { bandwidth }) }
  const pod = attachment(`/run/netns/${POD.namespace}`, { capabilityArgs })
  const call = (command: string) =>
    bed.runtime.call(command, listOf(plugin), plugin, pod, { prevResult: result })
  const made = await call('ADD')
  if (made.code !== 0) {
    const { code, msg } = errorOf(made)
    return { refused: `code ${code}: ${msg}` }
  }
  try {
    return {
      seen: await look(
        JSON.parse(await bed.vm.must('cat /var/lib/cni/vf-flower/offload/report/*.json')) as Report,
      ),
    }
  } finally {
    await silently(call('DEL'))
  }
}

/** Both clients talk to the pod over both families; then where the frames of each cell went. */
async function traffic(
  { card }: Inserted,
  target: Target,
  of: readonly Protocol[],
  withReplies = true,
): Promise<(family: Family, protocol: Protocol) => string> {
  await bed.wire.begin()
  const to = target === 'mapped' ? HOST : POD
  const port = (protocol: Protocol) => PORTS[protocol][target === 'mapped' ? 'host' : 'pod']
  const families = ['v4', 'v6'] as const
  const asked = of.filter((protocol) => protocol !== 'sctp')
  await Promise.all(
    [CLIENT_A, CLIENT_B].map(async (client, at) => {
      const questions = families.flatMap((family) =>
        asked.map((protocol) => ({
          ...{ protocol, address: to[family], port: port(protocol) },
          bytes: protocol === 'tcp' ? 6_000 : 1_000,
        })),
      )
      const answers = (await bed.clients[at]?.ask(questions)) ?? []
      expect(answers.map(({ peer }) => peer.address)).toEqual(
        families.flatMap((family) => asked.map(() => client[family])),
      )
      if (!of.includes('sctp')) return
      for (const family of families)
        await bed.sctp[family].receives(
          client.namespace,
          to[family],
          port('sctp'),
          `${client.namespace} ${family}`,
        )
    }),
  )
  // The last frames of a connection may still be on their way.
  for (let tries = 1; ; tries++) {
    const frames = await bed.wire.look(card)
    const place = (family: Family, protocol: Protocol) =>
      placeOf(frames(family, protocol, target), withReplies)
    const isSure = columns
      .filter(({ protocol }) => of.includes(protocol))
      .every(({ family, protocol }) => !place(family, protocol).startsWith('neither'))
    if (isSure || tries === 10) return place
  }
}

/** Why a mapping is not in the NIC. */
function refusalOf({ mappings: all, refusals, notes }: Report, protocol: Protocol): string {
  const mine = all.find(({ mapping }) => mapping.startsWith(protocol))
  const words = new Set(mine?.rules.flatMap(({ refusal }) => refusal ?? []))
  return [...(words.size > 0 ? words : [...refusals, ...notes])].join('; ')
}

/** The cell of a mapping whose frames went to `place`. */
const cellOf = (place: string, reason: () => string): Cell =>
  place === 'NIC' ? { where: place } : { where: place, reason: reason() }

const row = (card: string, kind: string, cell: Row['cell']): void => {
  rows.push({ card, kind, cell })
}

async function steered(name: string, inserted: Inserted): Promise<void> {
  const done = await added(inserted, { nat: 'pod' }, protocols, async (report) => {
    const place = await traffic(inserted, 'mapped', protocols)
    return { report, place }
  })
  if ('refused' in done) throw new Error(done.refused)
  const { report, place } = done.seen
  row(name, 'A, B', (family, protocol) => cellOf(place(family, protocol), () => refusalOf(report, protocol)))
}

async function limited(name: string, inserted: Inserted): Promise<void> {
  const of = ['tcp', 'udp'] as const
  const done = await added(
    inserted,
    { nat: 'pod' },
    of,
    async (report) => {
      const place = await traffic(inserted, 'mapped', of)
      const rules = await hardwareRules(bed.vm, inserted.card)
      return { report, place, rules }
    },
    limits,
  )
  if ('refused' in done) throw new Error(done.refused)
  const { report, place } = done.seen
  for (const [kind, direction] of [
    ['E', 'toPod'],
    ['F', 'fromPod'],
  ] as const) {
    const limit = report.limits.find((one) => one.direction === direction)
    const where = limit?.where === 'nic' ? 'NIC' : `${limit?.where}`
    row(name, kind, (family, protocol) =>
      protocol === 'sctp'
        ? { where: '-' }
        : where === 'NIC'
          ? { where: place(family, protocol) === 'NIC' ? `NIC, ${limit?.means}` : place(family, protocol) }
          : { where: `${where}, ${limit?.means}`, reason: (limit?.refusals ?? []).join('; ') },
    )
  }
}

async function translated(name: string, inserted: Inserted): Promise<void> {
  const of = ['tcp', 'udp'] as const
  const sctp = await added(inserted, { nat: 'nic' }, ['sctp'], async () => undefined)
  const done = await added(inserted, { nat: 'nic' }, of, () => traffic(inserted, 'mapped', of))
  row(name, 'C', (family, protocol) => {
    if (protocol === 'sctp')
      return 'refused' in sctp ? { where: 'refused', reason: sctp.refused } : { where: '?' }
    return 'refused' in done
      ? { where: 'refused', reason: done.refused }
      : { where: done.seen(family, protocol) }
  })
}

async function direct(name: string, inserted: Inserted): Promise<void> {
  const of = ['tcp', 'udp'] as const
  const config = { directSubnets: subnets }
  const look = () => traffic(inserted, 'direct', of)
  const done = await added(inserted, { ...config, nat: 'nic' }, of, look)
  const auto = 'refused' in done ? await added(inserted, config, of, look) : done
  if ('refused' in auto) throw new Error(auto.refused)
  row(name, 'D', (family, protocol) =>
    protocol === 'sctp'
      ? { where: '-' }
      : cellOf(auto.seen(family, protocol), () => ('refused' in done ? done.refused : '?')),
  )
}

test.each(Object.entries(CARDS))(
  '%s',
  async (name, options) => {
    const inserted = await bed.insert(options)
    await steered(name, inserted)
    await translated(name, inserted)
    await direct(name, inserted)
    await limited(name, inserted)
  },
  300_000,
)

test('docs/testing.md has this table', () => {
  const lines = markdown(rows)
  console.info(lines.join('\n'))
  const text = readFileSync(new URL('../../../docs/testing.md', import.meta.url), 'utf8')
  const [, shown = ''] = /<!-- cards -->\n([\s\S]*?)\n<!-- end of cards -->/.exec(text) ?? []
  expect(shown.split('\n')).toEqual(lines)
})
