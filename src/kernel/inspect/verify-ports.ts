/** The host's port map held against what was reserved: each element by its key, whatever others have in the map, and the chains. */
import { ipFromBytes } from '../../lib/ip.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Difference } from '../api/verify.ts'
import { elementsOfReservation, type Reservation } from '../nftables/host-keys.ts'
import { hostChains, hostTable } from '../nftables/host-table.ts'
import { keptOffChains } from '../nftables/kept-off.ts'
import { type Element, elementOf, elementsByKey } from '../nftables/map-elements.ts'
import { listTable } from '../nftables/nft-list.ts'
import type { RunNft } from '../nftables/nft-program.ts'
import { compareNft, type NftLine, nftLines } from '../nftables/ruleset-diff.ts'
import { steered } from '../nftables/steered-ports.ts'
import { areChainsAsMade } from './host-chains.ts'

type Found = Omit<Difference, 'at'>

/** The elements of a reservation, and the chains that lead packets to them; what else is in the maps is of others. */
export function verifyPorts(socket: NetlinkSocket, nft: RunNft, reservation: Reservation): Found[] {
  const elements = elementsOfReservation(reservation).flatMap(([set, raws]) => {
    const found = elementsByKey(socket, set, raws)
    return raws.flatMap((raw, at) => {
      const wanted = text(elementOf(set, raw))
      const there = found[at]
      if (there !== undefined && text(there) === wanted) return []
      const instead =
        there === undefined ? 'no such element' : `${kindOf(there)} ${set}: elements = ${text(there)}`
      return [{ expected: `table inet ${hostTable}: ${wanted}`, found: instead }]
    })
  })
  const chains = areChainsAsMade(socket, reservation) ? [] : chainDifferences(nft, reservation)
  return [
    ...elements,
    ...chains.map((one) => ({ ...one, expected: `table inet ${hostTable} ${one.expected}` })),
  ]
}

/** The differences of the chains, in the words of nft. */
function chainDifferences(nft: RunNft, { keys, masquerade, owner, steered: isSteered }: Reservation) {
  const present = listTable(nft, hostTable, true)
  const kept = isSteered === true ? nftLines(keptOffChains(hostTable)) : []
  const [now, former] = [false, true].map((isFormer) =>
    compareChains([...nftLines(hostChains(keys, masquerade, owner, isFormer)), ...kept], present),
  )
  // Until the next call that changes the table its chains are as the version made them that wrote them last; beside VRFs for good.
  return former?.length === 0 ? [] : (now ?? [])
}

function compareChains(wanted: readonly NftLine[], present: readonly NftLine[]) {
  const places = new Set(wanted.map(({ place }) => place))
  return compareNft(
    wanted,
    present.filter(({ place }) => places.has(place)),
  )
}

/** An element as nft lists it. */
function text(element: Element): string {
  const { key, comment, raw } = element
  const name = key === undefined ? '?' : `${key.address} . ${key.proto} . ${key.port}`
  const to = kindOf(element) === 'set' ? '' : ` : ${target(raw)}`
  return `{ ${name}${comment === '' ? '' : ` comment "${comment}"`}${to} }`
}

function kindOf({ set }: Element): 'map' | 'set' {
  return set === steered[4] || set === steered[6] ? 'set' : 'map'
}

function target({ NFTA_SET_ELEM_DATA: data }: Element['raw']): string {
  const { NFTA_DATA_VALUE: bytes, NFTA_DATA_VERDICT: verdict } = data ?? {}
  if (verdict !== undefined) return `jump ${verdict.NFTA_VERDICT_CHAIN ?? ''}`
  if (bytes === undefined || bytes.length < 8) return 'nothing'
  const size = bytes.length - 4
  return `${ipFromBytes(bytes, 0, size)} . ${((bytes[size] ?? 0) << 8) | (bytes[size + 1] ?? 0)}`
}
