import { formatPortSet } from '../../lib/port-set.ts'
import type { OpOf, ReservationOp } from '../../ops/op.ts'
import { reservedLocalPorts } from '../nftables/local-reserved-ports.ts'
import { listTable } from '../nftables/nft-list.ts'
import type { RunNft } from '../nftables/nft-program.ts'
import { compareNft, nftLines } from '../nftables/ruleset-diff.ts'
import { type Found, type Reach, removal, type Verifiers } from './verifier.ts'
import { verifyPorts } from './verify-ports.ts'

/** Host ports that an attachment has taken, and tables of nftables. */
export const reservationVerifiers: Verifiers<ReservationOp['do']> = {
  'ports.reserve': (reach, op) => verifyPorts(reach.netfilter(), reach.nft('host'), op),
  'ports.release': removal,
  'localports.reserve': verifyLocalPorts,
  'localports.release': removal,
  'nft.load': (reach, op) => verifyTable(reach.nft(op.side), op),
  'nft.drop': removal,
}

function verifyLocalPorts(reach: Reach, op: OpOf<'localports.reserve'>): Found[] {
  const now = reach.inside('host', reservedLocalPorts)
  const missing = op.ports.filter((port) => !now.has(port))
  if (missing.length === 0) return []
  return [{ found: `net.ipv4.ip_local_reserved_ports without ${formatPortSet(missing)}` }]
}

/** Programs that restart a firewall flush the whole ruleset. */
const flushed =
  'whoever flushes the nftables of the pod removes it, and the mapped ports do not answer: make the pod anew, or load the table in the pod with the text of "vfctl show --json"'

function verifyTable(nft: RunNft, op: OpOf<'nft.load'>): Found[] {
  const wanted = nftLines(op.text)
  const { family = 'inet' } = op
  const found = listTable(nft, op.table, false, family)
  if (found.length === 0 && wanted.length > 0)
    return [{ found: 'no such table', ...(op.side === 'pod' ? { details: flushed } : {}) }]
  const where = `${op.side === 'pod' ? 'pod:' : ''}table ${family} ${op.table} `
  return compareNft(wanted, found).map((one) => ({ ...one, expected: `${where}${one.expected}` }))
}
