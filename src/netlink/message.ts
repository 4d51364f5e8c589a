// Whole messages: struct nlmsghdr, a family's own header, its attributes. Also the kernel's answers (ACK, DONE) with the
// explanation in an extended ACK. Converts bytes to objects and back.
import { type Attrs, type AttrsOf, attrs, type Table } from './codec/attrs.ts'
import { type Field, type Struct, type StructOf, struct } from './codec/struct.ts'
import { Base, bytes, type Codec, cstr, s32, u16, u32, u64, Writer } from './codec/wire.ts'

/** linux/netlink.h */
export const NLMSG = {
  NLMSG_NOOP: 1,
  NLMSG_ERROR: 2,
  NLMSG_DONE: 3,
  NLMSG_OVERRUN: 4,
  NLMSG_MIN_TYPE: 0x10,
} as const
/** nlmsg_flags, linux/netlink.h. */
export const NLM_F = {
  NLM_F_REQUEST: 1,
  NLM_F_MULTI: 2,
  NLM_F_ACK: 4,
  NLM_F_ECHO: 8,
  NLM_F_DUMP_INTR: 0x10,
  NLM_F_DUMP_FILTERED: 0x20,
  NLM_F_ROOT: 0x100,
  NLM_F_MATCH: 0x200,
  NLM_F_DUMP: 0x300,
  NLM_F_REPLACE: 0x100,
  NLM_F_EXCL: 0x200,
  NLM_F_CREATE: 0x400,
  NLM_F_APPEND: 0x800,
  NLM_F_NONREC: 0x100,
  NLM_F_BULK: 0x200,
  NLM_F_CAPPED: 0x100,
  NLM_F_ACK_TLVS: 0x200,
} as const

/** struct nlmsghdr, linux/netlink.h; nlmsg_len counts the header and no padding. */
export const nlmsghdr = struct('nlmsghdr', [
  ['nlmsg_len', u32],
  ['nlmsg_type', u16],
  ['nlmsg_flags', u16],
  ['nlmsg_seq', u32],
  ['nlmsg_pid', u32],
])
export type Nlmsghdr = {
  readonly [K in 'nlmsg_len' | 'nlmsg_type' | 'nlmsg_flags' | 'nlmsg_seq' | 'nlmsg_pid']: number
}

/** NL_POLICY_TYPE_ATTR_*: the values that the kernel would have accepted. */
export const policy = attrs('NL_POLICY_TYPE_ATTR', () => ({
  NL_POLICY_TYPE_ATTR_TYPE: [1, u32],
  NL_POLICY_TYPE_ATTR_MIN_VALUE_S: [2, u64],
  NL_POLICY_TYPE_ATTR_MAX_VALUE_S: [3, u64],
  NL_POLICY_TYPE_ATTR_MIN_VALUE_U: [4, u64],
  NL_POLICY_TYPE_ATTR_MAX_VALUE_U: [5, u64],
  NL_POLICY_TYPE_ATTR_MIN_LENGTH: [6, u32],
  NL_POLICY_TYPE_ATTR_MAX_LENGTH: [7, u32],
  NL_POLICY_TYPE_ATTR_POLICY_IDX: [8, u32],
  NL_POLICY_TYPE_ATTR_POLICY_MAXTYPE: [9, u32],
  NL_POLICY_TYPE_ATTR_BITFIELD32_MASK: [10, u32],
  NL_POLICY_TYPE_ATTR_MASK: [12, u64],
}))

/** NLMSGERR_ATTR_*: the reason of a refusal, or a warning in an ACK of success. OFFS and MISS_NEST count from the request's nlmsghdr. */
export const extack = attrs('NLMSGERR_ATTR', () => ({
  NLMSGERR_ATTR_MSG: [1, cstr(0xffff)],
  NLMSGERR_ATTR_OFFS: [2, u32],
  NLMSGERR_ATTR_COOKIE: [3, bytes()],
  NLMSGERR_ATTR_POLICY: [4, policy],
  NLMSGERR_ATTR_MISS_TYPE: [5, u32],
  NLMSGERR_ATTR_MISS_NEST: [6, u32],
}))
export type Extack = AttrsOf<(typeof extack)['table']>

/** A message of a family's builder, without a sequence number. The socket adds NLM_F_REQUEST and NLM_F_ACK. */
export interface Request {
  /** The message's name in the headers, for errors: `RTM_NEWTFILTER`. */
  readonly name: string
  readonly type: number
  /** NLM_F_*, besides REQUEST, ACK and DUMP. */
  readonly flags: number
  /** All bytes after struct nlmsghdr. */
  readonly payload: Uint8Array
  /** The codec of the payload; with it an error names the attribute that the kernel points at. */
  readonly codec?: Codec<unknown>
  /** An end of a transaction: the kernel answers only to refuse it, and with it the whole transaction. */
  readonly isUnanswered?: true
}

/** One received message. `payload` is a view into the datagram. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly seq: number
  readonly pid: number
  readonly payload: Uint8Array
}

/** NLMSG_ERROR (an ACK if `error` is 0) or the end of a dump. */
export interface Ack {
  /** 0 or a negative errno. */
  readonly error: number
  readonly extack: Extack
}

/**
 * Several requests as one datagram, each padded so that the next one can follow. Request `i` has the sequence number `first + i` and the
 * flags `flags(i)` besides its own. The header is written by place and not by {@link nlmsghdr}: a pod may have hundreds of filters.
 */
export function encodeRequests(
  requests: readonly Request[],
  flags: (at: number) => number,
  first: number,
): Uint8Array {
  let size = 0
  for (const { payload } of requests) size += (nlmsghdr.size + payload.length + 3) & ~3
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer)
  let at = 0
  for (const [i, request] of requests.entries()) {
    const { type, payload } = request
    const length = nlmsghdr.size + payload.length
    const word = at >> 2
    words[word] = length
    words[word + 1] = type | ((request.flags | flags(i)) << 16)
    words[word + 2] = first + i
    bytes.set(payload, at + nlmsghdr.size)
    at += (length + 3) & ~3
  }
  return bytes
}

/** The bytes of one request. */
export function encodeRequest(request: Request, flags: number, seq: number): Uint8Array {
  return encodeRequests([request], () => flags, seq)
}

/** The messages of one datagram. Throws RangeError for a wrong length, as in a truncated datagram. */
export function parseDatagram(datagram: Uint8Array): Message[] {
  const { length } = datagram
  const view = new DataView(datagram.buffer, datagram.byteOffset, length)
  const messages: Message[] = []
  let at = 0
  while (at < length) {
    if (length - at < nlmsghdr.size)
      throw new RangeError(`Cannot decode nlmsghdr: need ${nlmsghdr.size} bytes, got ${length - at}`)
    const size = view.getUint32(at, true)
    if (size < nlmsghdr.size || size > length - at)
      throw new RangeError(`Cannot decode netlink message: it says ${size} bytes, ${length - at} are there`)
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      payload: datagram.subarray(at + nlmsghdr.size, at + size),
    })
    at += (size + 3) & ~3
  }
  return messages
}

/**
 * Looks over a datagram of a dump. Returns all flags of its messages with this sequence number, and the offset of the message that
 * ends the dump, if the datagram has it. Reads words, because most of a long dump is only looked over. The datagram begins at a
 * multiple of four bytes. Throws as parseDatagram().
 */
export function lookOver(
  datagram: Uint8Array,
  sequence: number,
): { readonly flags: number; readonly end: number | undefined } {
  const { length } = datagram
  const words = new Uint32Array(datagram.buffer, datagram.byteOffset, length >> 2)
  let flags = 0
  let at = 0
  while (at < length) {
    const size = length - at < nlmsghdr.size ? 0 : (words[at >> 2] as number)
    if (size < nlmsghdr.size || size > length - at)
      throw new RangeError(`Cannot decode netlink message: it says ${size} bytes, ${length - at} are there`)
    if (words[(at >> 2) + 2] === sequence) {
      const kind = words[(at >> 2) + 1] as number
      flags |= kind >>> 16
      const type = kind & 0xffff
      if (type < NLMSG.NLMSG_MIN_TYPE && type !== NLMSG.NLMSG_NOOP) return { flags, end: at }
    }
    at += (size + 3) & ~3
  }
  return { flags, end: undefined }
}

/** Reads NLMSG_ERROR or NLMSG_DONE. Both may carry extended ACK attributes; an uncapped ACK repeats the request before them. */
export function parseAck(message: Message): Ack {
  const { payload, flags } = message
  if (payload.length < 4) {
    // Kernels end some dumps with a bare NLMSG_DONE.
    if (message.type === NLMSG.NLMSG_DONE && payload.length === 0) return { error: 0, extack: {} }
    throw new RangeError(`Cannot decode ACK: need 4 bytes, got ${payload.length}`)
  }
  const error = s32.read(payload, 0, 4)
  let at = 4
  if (message.type === NLMSG.NLMSG_ERROR) {
    const { nlmsg_len } = nlmsghdr.read(payload, 4, Math.min(4 + nlmsghdr.size, payload.length))
    at += flags & NLM_F.NLM_F_CAPPED ? nlmsghdr.size : Math.max(nlmsghdr.size, (nlmsg_len + 3) & ~3)
  }
  if (!(flags & NLM_F.NLM_F_ACK_TLVS)) return { error, extack: {} }
  if (at > payload.length)
    throw new RangeError(`Cannot decode ACK: attributes begin at ${at}, it has ${payload.length} bytes`)
  return { error, extack: extack.read(payload, at, payload.length) }
}

/** One object with the fields of a message's header (absent fields are sent as 0) and its attributes. */
export type FamilyOf<F extends readonly Field[], T extends Table> = Omit<StructOf<F>, '#tail'> & AttrsOf<T>
export type FamilyRequest<F extends readonly Field[], T extends Table> = Partial<Omit<StructOf<F>, '#tail'>> &
  AttrsOf<T>

/** Makes the codec of a message family's payload: its header struct, then attributes. */
export function family<const F extends readonly Field[], const T extends Table>(
  header: Struct<F>,
  attributes: Attrs<T>,
): Family<F, T> {
  return new Family(header, attributes)
}

/** See {@link family}. */
export class Family<F extends readonly Field[], T extends Table> extends Base<FamilyOf<F, T>> {
  readonly kind: string
  readonly header: Struct<F>
  readonly attributes: Attrs<T>
  #fields: ReadonlySet<string> | undefined

  constructor(header: Struct<F>, attributes: Attrs<T>) {
    super()
    this.kind = header.kind
    this.header = header
    this.attributes = attributes
  }

  override encode(value: FamilyRequest<F, T>): Uint8Array {
    const out = new Writer()
    this.write(out, value)
    return out.take()
  }

  write(out: Writer, value: FamilyRequest<F, T>): void {
    this.header.writeFields(out, value, true)
    this.#fields ??= new Set(this.header.fields.map(([name]) => name))
    this.attributes.writeExcept(out, value, this.#fields)
  }

  read(payload: Uint8Array, at: number, end: number): FamilyOf<F, T> {
    const value = {}
    this.header.readInto(value, payload, at, end)
    this.attributes.readInto(value, payload, at + this.header.size, end)
    return value as FamilyOf<F, T>
  }

  /** A request of this family. */
  request(name: string, type: number, flags: number, value: FamilyRequest<F, T>): Request {
    return { name, type, flags, payload: this.encode(value), codec: this as Codec<unknown> }
  }
}
