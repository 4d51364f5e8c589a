/** What `nft` lists of a table, as statements. */
import type { NftResult, RunNft } from './nft-program.ts'
import { type NftLine, nftLines } from './ruleset-diff.ts'

/**
 * A table's statements, without counters; none when it does not exist. `isTerse`: without elements of maps and sets, which
 * nft then does not ask the kernel for.
 */
export function listTable(nft: RunNft, table: string, isTerse = false): NftLine[] {
  const terse = isTerse ? ['-t'] : []
  const result: NftResult = nft([...terse, '-s', '-y', 'list', 'table', 'inet', table], '')
  if (result.status === 0) return nftLines(result.stdout)
  if (result.error === undefined && result.stderr.includes('No such file or directory')) return []
  throw new NftListError(table, result)
}

/** nft could not list a table that may be there. */
class NftListError extends Error {
  readonly code = 'EIO'
  constructor(table: string, result: NftResult) {
    super(`nft list table inet ${table}: ${result.stderr.split('\n')[0] || String(result.error)}`)
    this.name = 'NftError'
  }
}
