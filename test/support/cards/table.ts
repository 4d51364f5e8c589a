// The table of cards. In: what became of each cell. Out: lines of markdown, with each reason once below.
import type { Family, Frames, Protocol } from './wire.ts'

/** A column. */
export const columns = (['v4', 'v6'] as const).flatMap((family) =>
  (['tcp', 'udp', 'sctp'] as const).map((protocol) => ({ family, protocol })),
)

/** One cell. */
export interface Cell {
  /** `NIC`, or the place of the fallback. */
  readonly where: string
  /** Why it is not in the NIC, in the words of the driver or of the plugin. */
  readonly reason?: string
}

/** One line of the table: a kind of filter on a card. */
export interface Row {
  readonly card: string
  readonly kind: string
  cell(family: Family, protocol: Protocol): Cell
}

/**
 * The place where a cell's frames went. `NIC`: the card has counted each frame of the wire, and the host has seen none.
 * `software`: the card has counted none, and the host has seen them.
 * @param withReplies false where no filter carries replies
 */
export function placeOf({ wire, card, host }: Frames, withReplies = true): string {
  const [requests, replies] = [wire.in > 0 && card.in === wire.in, wire.out > 0 && card.out === wire.out]
  if (requests && (replies || !withReplies) && host === 0) return 'NIC'
  if (wire.in > 0 && wire.out > 0 && card.in === 0 && card.out === 0 && host > 0) return 'software'
  return `neither: ${JSON.stringify({ wire, card, host })}`
}

/** The table with its notes. */
export function markdown(rows: readonly Row[]): string[] {
  const reasons: string[] = []
  const text = ({ where, reason }: Cell): string => {
    if (reason === undefined) return where
    if (!reasons.includes(reason)) reasons.push(reason)
    return `${where} (${reasons.indexOf(reason) + 1})`
  }
  const lines = rows.map(({ card, kind, cell }) => {
    const cells = columns.map(({ family, protocol }) => text(cell(family, protocol)))
    return `| ${[card, kind, ...cells].join(' | ')} |`
  })
  const head = columns.map(({ family, protocol }) => `IP${family} ${protocol.toUpperCase()}`)
  return [
    `| ${['card', 'kind', ...head].join(' | ')} |`,
    `|${'---|'.repeat(columns.length + 2)}`,
    ...lines,
    '',
    ...reasons.map((reason, at) => `${at + 1}. ${reason}`),
  ]
}
