/** nftables: what is made, by way of the `nft` program, one run and one transaction for an operation. */
import { batchEnds } from '../../netlink/nf/nfnetlink.ts'
import { deleteTable } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'

/** Runs nft with `input` on stdin in the namespace it is meant for. */
export type RunNft = (args: readonly string[], input: string) => NftResult

/** How a run of nft ended. `error` is set when the program could not be run. */
export interface NftResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly error?: Error | undefined
}

/** nft refused or could not be run. `code` is an errno name when nft's words name one. */
export class NftError extends Error {
  readonly code: string

  constructor(action: string, result: NftResult) {
    const missing = result.error !== undefined && 'code' in result.error && result.error.code === 'ENOENT'
    const isLate = result.error !== undefined && 'code' in result.error && result.error.code === 'ETIMEDOUT'
    const words = missing
      ? 'the program "nft" is not installed'
      : isLate
        ? 'it was ended because it took too long'
        : firstLine(result.stderr) || String(result.error)
    super(`${action}: ${words}`)
    this.name = 'NftError'
    this.code = missing ? 'ENOENT' : codeOf(result.stderr)
  }
}

/** Throws NftError when the program is missing or broken. */
export function probeNft(nft: RunNft): void {
  const result = nft(['--version'], '')
  if (result.status !== 0) throw new NftError('nft --version', result)
}

/** Loads a table's text in one transaction. */
export function loadTable(nft: RunNft, text: string): void {
  const result = nft(['-f', '-'], text)
  if (result.status === 0) return
  const error = new NftError('nft -f', result)
  // nf_tables says that of a table that has an owner, to everybody else.
  if (error.code === 'EPERM' && error.message.includes('process rule'))
    error.message += '; a program there may own the table of that name (flags owner)'
  throw error
}

/** Deletes a table; one that does not exist is fine. By netlink: starting nft would be most of what a DEL costs. */
export function dropTable(socket: NetlinkSocket, table: string): void {
  try {
    socket.transaction(batchEnds(), [deleteTable(table)])
  } catch (error) {
    // EOPNOTSUPP: the kernel has no nf_tables, and so no table.
    if (!(error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EOPNOTSUPP')))
      throw error
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

/** strerror(3) of the errnos that nf_tables answers with; nft runs with LC_ALL=C. */
const words: Readonly<Record<string, string>> = {
  'File exists': 'EEXIST',
  'No such file or directory': 'ENOENT',
  'Operation not permitted': 'EPERM',
  'Operation not supported': 'EOPNOTSUPP',
  'Device or resource busy': 'EBUSY',
  'Resource temporarily unavailable': 'EAGAIN',
  'No buffer space available': 'ENOBUFS',
}

function codeOf(stderr: string): string {
  return Object.entries(words).find(([text]) => stderr.includes(text))?.[1] ?? 'EINVAL'
}
