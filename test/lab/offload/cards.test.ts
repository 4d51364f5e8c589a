// The table of cards: for each card that the simulator knows (simnic, from source, not hardware), each kind of filter, both
// families and each protocol, bytes arrive from both clients. A cell says "NIC" where the card has counted every frame of the wire and
// the host's stack has seen none. Every other cell says who does it, and why. docs/testing.md has the same table.
import { readFileSync, writeFileSync } from 'node:fs'
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
  'mlx5 without meters': {
    ...{ driver: 'mlx5_core', profile: 'mlx5', mode: 'switchdev' },
    knobs: { no_meters: '1' },
  },
  'mlx5 in legacy mode': { driver: 'mlx5_core', profile: 'mlx5', mode: 'legacy' },
  ice: { driver: 'ice', profile: 'ice', mode: 'switchdev' },
  nfp: { driver: 'nfp', profile: 'nfp', mode: 'switchdev' },
  sfc: { driver: 'sfc_ef100', profile: 'sfc', mode: 'switchdev', isModeless: true },
  bnxt: { driver: 'bnxt_en', profile: 'bnxt', mode: 'switchdev' },
}

const protocols = Object.keys(PORTS) as Protocol[]
const subnets = ['10.1.0.0/24', '10.2.0.0/24', 'fd00:1::/64', 'fd00:2::/64']
/** Far above what the machine can: nothing is dropped, so every frame can be counted. */
const limits = { ingressRate: 1e9, ingressBurst: 8e6, egressRate: 1e9, egressBurst: 8e6 }

let bed: CardsBed
const rows: Row[] = []
let sctp: ReturnType<typeof added<Place>> | undefined

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

/** The place where the frames of a cell went. */
type Place = (family: Family, protocol: Protocol) => string

interface TrafficOptions {
  /** False where no filter carries replies. */
  readonly withReplies?: boolean
  readonly from?: readonly (typeof CLIENT_A | typeof CLIENT_B)[]
}

/** Clients talk to the pod over both families; then where the frames of each cell went. A capture that has lost frames is repeated. */
async function traffic(
  inserted: Inserted,
  target: Target,
  of: readonly Protocol[],
  { withReplies = true, from = [CLIENT_A, CLIENT_B] }: TrafficOptions = {},
  isRepeated = false,
): Promise<Place> {
  const { card } = inserted
  await bed.wire.begin(card)
  const to = target === 'mapped' ? HOST : POD
  const port = (protocol: Protocol) => PORTS[protocol][target === 'mapped' ? 'host' : 'pod']
  const families = ['v4', 'v6'] as const
  const asked = of.filter((protocol) => protocol !== 'sctp')
  await Promise.all(
    from.map(async (client) => {
      const questions = families.flatMap((family) =>
        asked.map((protocol) => ({
          ...{ protocol, address: to[family], port: port(protocol) },
          bytes: protocol === 'tcp' ? 6_000 : 1_000,
          timeoutMs: 60_000,
        })),
      )
      const answers = await bed.clients[client.namespace].ask(questions)
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
    if (isSure || (tries === 10 && isRepeated)) return place
    if (tries === 10) return traffic(inserted, target, of, { withReplies, from }, true)
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
      const toPod = rules.filter(({ text }) =>
        of.some((one) => text.includes(` dst_port ${PORTS[one].host} `)),
      )
      const policed = toPod.filter(({ text }) => / police\b/.test(text))
      const isPoliced = report.limits.some(
        ({ direction, means }) => direction === 'toPod' && means === 'police',
      )
      expect(policed).toHaveLength(isPoliced ? toPod.length : 0)
      return { report, place }
    },
    limits,
  )
  if ('refused' in done) throw new Error(done.refused)
  const { report, place } = done.seen
  // A limit may keep the NIC from what it takes without one.
  const beside = report.notes.filter((note) => note.startsWith('not by'))
  for (const [kind, direction] of [
    ['E', 'toPod'],
    ['F', 'fromPod'],
  ] as const) {
    const limit = report.limits.find((one) => one.direction === direction)
    const where = limit?.where === 'nic' ? 'NIC' : `${limit?.where}`
    const inNic = `NIC, ${limit?.means}`
    row(name, kind, (family, protocol) => {
      if (protocol === 'sctp') return { where: '-' }
      if (where !== 'NIC') {
        const frames = place(family, protocol)
        return {
          where: `${where}, ${limit?.means}${frames === 'NIC' ? '' : `; frames: ${frames}`}`,
          reason: [...(limit?.refusals ?? []), ...(frames === 'NIC' ? [] : beside)].join('; '),
        }
      }
      // The VF's own rate holds whatever becomes of its frames; a policer sees those that the NIC steers.
      return {
        where:
          limit?.means === 'police' && place(family, protocol) !== 'NIC' ? place(family, protocol) : inNic,
      }
    })
  }
}

async function translated(name: string, inserted: Inserted): Promise<void> {
  const of = ['tcp', 'udp'] as const
  // Of no card: the plugin refuses it.
  sctp ??= added(inserted, { nat: 'nic' }, ['sctp'], async (): Promise<Place> => () => 'taken')
  const refusedSctp = await sctp
  const done = await added(inserted, { nat: 'nic' }, of, () => traffic(inserted, 'mapped', of))
  row(name, 'C', (family, protocol) => {
    const tried = protocol === 'sctp' ? refusedSctp : done
    return 'refused' in tried
      ? { where: 'refused', reason: tried.refused }
      : { where: tried.seen(family, protocol) }
  })
}

/** Hosts of the pod's own network, and those behind the router: a card may take the frames of some. */
async function direct(name: string, inserted: Inserted): Promise<void> {
  const of = ['tcp', 'udp'] as const
  const config = { directSubnets: subnets }
  const look = async ({ notes }: Report) => {
    const near = await traffic(inserted, 'direct', of, { from: [CLIENT_A] })
    const far = await traffic(inserted, 'direct', of, { from: [CLIENT_B] })
    return { near, far, notes: notes.filter((note) => note.startsWith('direct')) }
  }
  const nic = await added(inserted, { ...config, nat: 'nic' }, of, look)
  const done = 'refused' in nic ? await added(inserted, config, of, look) : nic
  if ('refused' in done) throw new Error(done.refused)
  const { near, far, notes } = done.seen
  const reason = () => [...('refused' in nic ? [nic.refused] : []), ...notes].join('; ')
  row(name, 'D', (family, protocol) => {
    if (protocol === 'sctp') return { where: '-' }
    const places = [near(family, protocol), far(family, protocol)] as const
    const [one, other] = places
    return cellOf(one === other ? one : `A ${one}, B ${other}`, reason)
  })
}

/** Without representors. */
async function hairpin(name: string, inserted: Inserted): Promise<void> {
  const done = await added(inserted, { legacyOffload: 'try' }, protocols, async (report) => ({
    report,
    place: await traffic(inserted, 'mapped', protocols, { withReplies: false }),
  }))
  if ('refused' in done) throw new Error(done.refused)
  const { report, place } = done.seen
  row(name, 'G', (family, protocol) => cellOf(place(family, protocol), () => refusalOf(report, protocol)))
}

test.each(Object.entries(CARDS))(
  '%s',
  async (name, options) => {
    const inserted = await bed.insert(options)
    if (options.mode === 'legacy') return await hairpin(name, inserted)
    await steered(name, inserted)
    await translated(name, inserted)
    await direct(name, inserted)
    await limited(name, inserted)
  },
  300_000,
)

test('docs/testing.md has this table; VF_WRITE_TABLE=1 writes it there', () => {
  const lines = markdown(rows)
  console.info(lines.join('\n'))
  expect(lines.filter((line) => line.includes('neither'))).toEqual([])
  const file = new URL('../../../docs/testing.md', import.meta.url)
  const table = /(?<=<!-- cards -->\n)[\s\S]*?(?=\n<!-- end of cards -->)/
  const text = readFileSync(file, 'utf8')
  if (process.env.VF_WRITE_TABLE === '1')
    writeFileSync(
      file,
      text.replace(table, () => lines.join('\n')),
    )
  expect(table.exec(readFileSync(file, 'utf8'))?.[0].split('\n')).toEqual(lines)
})
