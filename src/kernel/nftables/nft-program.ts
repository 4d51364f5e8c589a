/** Loads nftables by the program `nft`: one run, and one transaction, for each operation. */
import type { OfKind } from '../../lib/error-kind.ts'
import { batchEnds, NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import { deleteTable } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { TableFamily } from '../../ops/op.ts'

/** Runs nft with `input` on stdin, in the namespace that the function was made for. */
export type RunNft = (args: readonly string[], input: string) => NftResult

/** The result of a run of nft. `error` is set when nft did not run, or did not end in time. */
export interface NftResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly error?: Error | undefined
}

/** nft has refused, or did not run. `code` is the errno name in nft's message, EINVAL if nft names none. */
export class NftError extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly code: string
  /** nft was ended before it said anything: nobody knows what the kernel has done. */
  readonly isLate: boolean

  constructor(action: string, result: NftResult) {
    const missing = result.error !== undefined && 'code' in result.error && result.error.code === 'ENOENT'
    const isLate = result.error !== undefined && 'code' in result.error && result.error.code === 'ETIMEDOUT'
    const words = missing
      ? 'the program "nft" is not installed'
      : isLate
        ? 'nft took too long and was ended'
        : firstLine(result.stderr) || String(result.error)
    super(`${action}: ${words}`)
    this.name = 'NftError'
    this.isLate = isLate
    this.code = missing ? 'ENOENT' : codeOf(result.stderr)
  }
}

/** Asks nft for its version. @throws NftError when the program is missing or broken */
export function probeNft(nft: RunNft): void {
  const result = nft(['--version'], '')
  if (result.status !== 0) throw new NftError('nft --version', result)
}

/** Loads the text of a table in one transaction. @throws NftError */
export function loadTable(nft: RunNft, text: string): void {
  const result = nft(['-f', '-'], text)
  if (result.status === 0) return
  const error = new NftError('nft -f', result)
  // nf_tables answers EPERM for a table with the flag owner, to every process but the owner.
  if (error.code === 'EPERM' && error.message.includes('process rule'))
    error.message += '; another program may own the table of that name (flags owner)'
  throw error
}

/** Deletes a table. Succeeds when the table does not exist. Uses netlink, because the start of nft would dominate a DEL. */
export function dropTable(socket: NetlinkSocket, table: string, family?: TableFamily): void {
  try {
    const number = family === 'netdev' ? NFPROTO.NFPROTO_NETDEV : NFPROTO.NFPROTO_INET
    socket.transaction(batchEnds(), [deleteTable(table, undefined, number)])
  } catch (error) {
    // EOPNOTSUPP: the kernel has no nf_tables, and so no table.
    if (!(error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EOPNOTSUPP')))
      throw error
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

/** The texts of strerror(3) for errnos of nf_tables. nft runs with LC_ALL=C. */
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
