/** Lists a table by `nft` and returns its statements. */
import type { OfKind } from '../../lib/error-kind.ts'
import type { TableFamily } from '../../ops/op.ts'
import type { NftResult, RunNft } from './nft-program.ts'
import { type NftLine, nftLines } from './ruleset-diff.ts'

/**
 * The statements of a table, without counters; none when the table does not exist. `isTerse` leaves out the elements of maps and
 * sets, and nft does not read them from the kernel.
 */
export function listTable(
  nft: RunNft,
  table: string,
  isTerse = false,
  family: TableFamily | 'inet' = 'inet',
): NftLine[] {
  const terse = isTerse ? ['-t'] : []
  const result: NftResult = nft([...terse, '-s', '-y', 'list', 'table', family, table], '')
  if (result.status === 0) return nftLines(result.stdout)
  if (result.error === undefined && result.stderr.includes('No such file or directory')) return []
  throw new NftListError(`${family} ${table}`, result)
}

/** nft failed to list a table that may exist. */
class NftListError extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly code = 'EIO'
  constructor(table: string, result: NftResult) {
    super(`nft list table ${table}: ${result.stderr.split('\n')[0] || String(result.error)}`)
    this.name = 'NftError'
  }
}
