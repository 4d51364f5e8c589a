// Tar archives whose bytes depend on nothing but their entries. In: entries. Out: bytes.
// Format: POSIX.1-1988, ustar (pax, "ustar Interchange Format"): a header of 512 bytes an entry, contents padded to 512, two empty
// blocks at the end.

/** An entry: a folder, a file with its bytes, a symbolic link, or another name of a file of the same archive. */
export type Entry = {
  /** Without a slash at its beginning or its end. */
  readonly path: string
} & (
  | { readonly kind: 'folder'; readonly mode?: number }
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly mode?: number }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'name'; readonly target: string }
)

/** An entry that the format has no room for, or that contradicts another one. */
export class TarError extends Error {
  override readonly name = 'TarError'
}

const BLOCK = 512
/** Bytes of the fields for a path, its beginning, and a link's target. */
const ROOM = { path: 100, prefix: 155, target: 100 } as const
const types = { file: '0', name: '1', link: '2', folder: '5' } as const

/**
 * An archive of `entries` and of the folders that lead to them, sorted by path, owned by root. `time`: seconds since 1970, of every
 * entry. @throws TarError
 */
export function tar(entries: readonly Entry[], time: number): Uint8Array {
  const pieces = inOrder(entries).flatMap((entry) => {
    const bytes = entry.kind === 'file' ? entry.bytes : new Uint8Array(0)
    const padding = new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK)
    return [header(entry, bytes.length, time), bytes, padding]
  })
  return Buffer.concat([...pieces, new Uint8Array(2 * BLOCK)])
}

/** Sorted by the bytes of the path; further names of files behind the files. */
function inOrder(entries: readonly Entry[]): readonly Entry[] {
  const all = new Map<string, Entry>()
  for (const entry of entries) {
    const steps = entry.path.split('/')
    if (steps.some((step) => step === '' || step === '.' || step === '..'))
      throw new TarError(`Cannot put "${entry.path}" into an archive: must be a plain path without a root`)
    if (all.has(entry.path)) throw new TarError(`Cannot put "${entry.path}" into an archive twice`)
    all.set(entry.path, entry)
  }
  for (const { path } of entries)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end)
      const there = all.get(folder)
      if (there !== undefined && there.kind !== 'folder')
        throw new TarError(`Cannot put "${path}" into an archive: "${folder}" is no folder there`)
      if (there === undefined) all.set(folder, { path: folder, kind: 'folder' })
    }
  for (const entry of all.values())
    if (entry.kind === 'name' && all.get(entry.target)?.kind !== 'file')
      throw new TarError(`Cannot give "${entry.target}" the name "${entry.path}": there is no such file`)
  const rank = ({ kind }: Entry) => (kind === 'name' ? 1 : 0)
  return [...all.values()].sort(
    (a, b) => rank(a) - rank(b) || Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)),
  )
}

function header(entry: Entry, size: number, time: number): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  const put = (at: number, value: string) => block.write(value, at, 'utf8')
  const octal = (at: number, length: number, value: number) => {
    const digits = value.toString(8)
    if (digits.length >= length) throw new TarError(`Cannot write ${value} for "${entry.path}": no room`)
    put(at, `${digits.padStart(length - 1, '0')}\0`)
  }
  const { prefix, rest } = split(entry.kind === 'folder' ? `${entry.path}/` : entry.path)
  put(0, rest)
  octal(100, 8, modeOf(entry))
  octal(108, 8, 0)
  octal(116, 8, 0)
  octal(124, 12, size)
  octal(136, 12, time)
  put(156, types[entry.kind])
  if ('target' in entry) {
    if (Buffer.byteLength(entry.target) > ROOM.target)
      throw new TarError(`Cannot write the target "${entry.target}": ${ROOM.target} bytes at most`)
    put(157, entry.target)
  }
  put(257, 'ustar\x0000')
  put(345, prefix)
  // The sum counts its own field as spaces.
  put(148, '        ')
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  )
  return block
}

function modeOf(entry: Entry): number {
  // Nobody reads that of a link; another name has that of its file.
  if (entry.kind === 'link' || entry.kind === 'name') return entry.kind === 'link' ? 0o777 : 0o755
  return entry.mode ?? (entry.kind === 'folder' ? 0o755 : 0o644)
}

/** Cuts a path that is too long for its field at a slash. */
function split(path: string): { prefix: string; rest: string } {
  if (Buffer.byteLength(path) <= ROOM.path) return { prefix: '', rest: path }
  for (let at = path.indexOf('/'); at > 0 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const [prefix, rest] = [path.slice(0, at), path.slice(at + 1)]
    if (Buffer.byteLength(rest) <= ROOM.path && Buffer.byteLength(prefix) <= ROOM.prefix)
      return { prefix, rest }
  }
  throw new TarError(`Cannot write the path "${path}": too long for an archive`)
}
