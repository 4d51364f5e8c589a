/**
 * Tables of docs/nics.md: what a simulated card with the limits of each driver did in the tests, from the table of docs/testing.md that
 * test/lab/offload/cards.test.ts holds true; and the facts about drivers that the program goes by (src/offload/port/drivers.ts). Pure.
 */
import { type DriverFacts, driverFacts, knownDrivers } from '../src/offload/port/drivers.ts'

/** Kinds of filters, as nics.md names them. */
const kinds = ['A, B', 'C', 'D', 'E', 'F', 'G'] as const
const protocols = ['TCP', 'UDP', 'SCTP'] as const

/** The page has no table of cards, or one of another form. */
export class CardTableError extends Error {
  override readonly name = 'CardTableError'
}

/** A line for each card, a column for each kind: what ran where. `testing` is the text of docs/testing.md. @throws CardTableError */
export function cardMatrix(testing: string): readonly string[] {
  const table = testing.split('<!-- cards -->')[1] ?? ''
  const rows = [...table.matchAll(/^\| (?!card )([^|]+) \| ([A-G][A-G, ]*) \| (.+) \|$/gm)]
  if (rows.length === 0) throw new CardTableError('Cannot find the table of cards behind "<!-- cards -->"')
  const cards = new Map<string, Map<string, string>>()
  for (const [, card = '', kind = '', rest = ''] of rows) {
    const cells = rest.split(' | ').map((cell) => cell.replace(/ \(\d+\)$/, ''))
    if (cells.length !== 2 * protocols.length)
      throw new CardTableError(`Cannot read the cells of "${card}", ${kind}`)
    cards.set(card, (cards.get(card) ?? new Map<string, string>()).set(kind, summary(cells)))
  }
  return [
    `| card | ${kinds.join(' | ')} |`,
    `|${'---|'.repeat(kinds.length + 1)}`,
    ...[...cards].map(([card, of]) => `| ${card} | ${kinds.map((kind) => of.get(kind) ?? '').join(' | ')} |`),
  ]
}

/** Places with their protocols: `NIC: TCP, UDP; software: SCTP`. Both families, unless they differ. */
function summary(cells: readonly string[]): string {
  const [v4, v6] = [cells.slice(0, protocols.length), cells.slice(protocols.length)]
  const places = new Map<string, string[]>()
  for (const [at, protocol] of protocols.entries()) {
    const [four = '-', six = '-'] = [v4[at], v6[at]]
    const found =
      four === six
        ? [[four, protocol]]
        : [
            [four, `${protocol} (IPv4)`],
            [six, `${protocol} (IPv6)`],
          ]
    for (const [place = '-', words = ''] of found)
      if (place !== '-') places.set(place, [...(places.get(place) ?? []), words])
  }
  const [only] = places.keys()
  return places.size === 1 && only !== undefined && places.get(only)?.length === protocols.length
    ? only
    : [...places].map(([place, words]) => `${place}: ${words.join(', ')}`).join('; ')
}

type Words = { readonly [K in keyof DriverFacts]-?: (fact: NonNullable<DriverFacts[K]>) => string }

/** Each fact in words. */
const words: Words = {
  ignores: ({ kinds: ignored }) => `accepts and ignores ${ignored.join(', ')}: it is not asked for them`,
  losesPortRewrite: () => 'accepts a rewritten port and writes another one: it is not asked to',
  losesMacsBesideTag: () => 'loses rewritten MAC addresses beside a VLAN action: it is not asked for both',
  redirectsOnly: () => 'takes redirects alone, and no policer',
  dropsPriorities: () => 'drops the priorities of filters: none is asked for whose order counts',
  refusesFragmentKey: () => 'refuses conditions on fragments: UDP is in software',
  hairpin: ({ of }) =>
    `takes a redirect to the port itself in legacy mode, for ${of.map((one) => (one === 'vf' ? 'VFs' : 'NICs of their own')).join(' and ')}: with \`legacyOffload: "try"\`, unproven`,
  rateStep: ({ megabits }) => `\`max_tx_rate\` in steps of ${megabits} Mbit/s`,
  policesByPort: () =>
    'carries out a policer of all that a representor receives by the rate of the VF: `tx_max` is used',
  policeRateEnd: ({ bytesPerSecond }) =>
    `keeps the rate of a policer in 32 bits: one of ${((bytesPerSecond * 8) / 1e9).toFixed(2)} Gbit/s and more is kept in the pod`,
  policeBurstMax: ({ bytes }) => `cuts bursts of policers above ${bytes} bytes`,
  policesIpLength: () => 'counts the IP packet in policers, not the frame',
  metersOf: ({ cards }) => `policers need flow meters: ${cards}`,
  refusesAllWhile: ({ what, stoppedBy }) => `refuses every filter while ${what}: \`${stoppedBy('$PF')}\``,
  managedElsewhere: ({ where }) =>
    `no answer about the mode where another system manages the eSwitch (${where.replace(/\?$/, '')})`,
  representorsWithoutMode: () => 'tells no mode: it is in switchdev mode when it has VFs',
}

/** A line for each fact of each driver. */
export function driverFactTable(): readonly string[] {
  const rows = knownDrivers.flatMap((driver) =>
    Object.entries(driverFacts(driver)).map(
      ([name, fact]) =>
        `| \`${driver}\` | ${(words[name as keyof DriverFacts] as (fact: unknown) => string)(fact)} | \`${(fact as { source: string }).source.replace(' of ', '`, `')}\` |`,
    ),
  )
  return [
    '| driver | fact, and what follows | function, file below `drivers/net/ethernet/` |',
    '|---|---|---|',
    ...rows,
  ]
}
