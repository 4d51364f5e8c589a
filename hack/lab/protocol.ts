// Frames between the host and the agent in the virtual machine. In: bytes of a stream, in pieces of any size.
// Out: a JSON header and raw bytes each. Layout, little endian: u32 length of the header, u32 length of the
// data, header as JSON, data. Imports nothing: agent, host and tests share it.

/** A process to run in the guest. `timeoutMs` 0 means no limit; `cleanEnv` leaves nothing but `env`. */
export interface SpawnHeader {
  readonly t: 'spawn'
  readonly id: string
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cleanEnv: boolean
  readonly cwd: string | null
  readonly timeoutMs: number
}

/** From host to guest. `stdin` carries data, `eof` closes standard input, `forget` kills all processes of a client. */
export type Request =
  | SpawnHeader
  | { readonly t: 'stdin' | 'eof'; readonly id: string }
  | { readonly t: 'kill'; readonly id: string; readonly signal: string }
  | { readonly t: 'read'; readonly id: string; readonly path: string }
  | { readonly t: 'write'; readonly id: string; readonly path: string; readonly mode: number }
  | { readonly t: 'forget'; readonly prefix: string }

/** From guest to host. The process that booted the machine sends `dead` in place of the guest. */
export type Reply =
  | { readonly t: 'hello'; readonly kernel: string; readonly console: string }
  | { readonly t: 'beat' }
  | { readonly t: 'started'; readonly id: string; readonly pid: number }
  | { readonly t: 'out'; readonly id: string; readonly fd: 1 | 2 }
  | {
      readonly t: 'exit'
      readonly id: string
      readonly code: number | null
      readonly signal: string | null
      readonly timedOut: boolean
    }
  | { readonly t: 'done'; readonly id: string }
  | { readonly t: 'failed'; readonly id: string; readonly message: string }
  | { readonly t: 'dead'; readonly message: string }

/** One frame: a header and its bytes (possibly none). */
export interface Frame<Header> {
  readonly header: Header
  readonly data: Uint8Array
}

const PREFIX_BYTES = 8
const NONE = new Uint8Array(0)

/** Bytes of one frame. Header and data may be up to 2^32-1 bytes each; keep data pieces small (64 KiB). */
export function encodeFrame(header: Request | Reply, data: Uint8Array = NONE): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(PREFIX_BYTES + json.length + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, json.length, true)
  view.setUint32(4, data.length, true)
  bytes.set(json, PREFIX_BYTES)
  bytes.set(data, PREFIX_BYTES + json.length)
  return bytes
}

/** A decoder with memory: takes the bytes that arrive, returns the frames that are complete. */
export function frameDecoder<Header>(): (piece: Uint8Array) => Frame<Header>[] {
  let rest: Uint8Array = NONE
  return (piece) => {
    rest = rest.length === 0 ? piece.slice() : concat(rest, piece)
    const frames: Frame<Header>[] = []
    for (;;) {
      if (rest.length < PREFIX_BYTES) return frames
      const view = new DataView(rest.buffer, rest.byteOffset)
      const headerEnd = PREFIX_BYTES + view.getUint32(0, true)
      const end = headerEnd + view.getUint32(4, true)
      if (rest.length < end) return frames
      const header = JSON.parse(new TextDecoder().decode(rest.subarray(PREFIX_BYTES, headerEnd))) as Header
      frames.push({ header, data: rest.slice(headerEnd, end) })
      rest = rest.subarray(end)
    }
  }
}

/** All bytes of `parts` in one array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
