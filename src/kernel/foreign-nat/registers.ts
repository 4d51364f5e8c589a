/** The registers of nf_tables, for a rule that is evaluated with a partly known packet. */
import { all, type Partly, part, unknown } from './packet.ts'

/** The result of a comparison; `maybe` when unknown bytes decide. */
export type Answer = 'no' | 'maybe' | 'yes'

/** Bytes of all registers: NFT_REG_1 to 4 of 16 bytes are the same memory as NFT_REG32_00 to 15 of 4 bytes. */
const bytesOfAll = 64

export class Registers {
  readonly #data = unknown(bytesOfAll)

  /** Writes a value, padded with zeros to a multiple of 4 bytes as the kernel does. */
  store(register: number, value: Partly): void {
    const at = offset(register)
    const length = (value.bytes.length + 3) & ~3
    this.#data.bytes.fill(0, at, at + length)
    this.#data.known.fill(1, at, at + length)
    this.#data.bytes.set(value.bytes.subarray(0, bytesOfAll - at), at)
    this.#data.known.set(value.known.subarray(0, bytesOfAll - at), at)
  }

  load(register: number, length: number): Partly {
    return part(this.#data, offset(register), length)
  }
}

function offset(register: number): number {
  return register <= 4 ? (register - 1) * 16 : (register - 8) * 4
}

/** Compares partly known bytes with `value`. */
export function equal({ bytes, known }: Partly, value: Uint8Array): Answer {
  let answer: Answer = 'yes'
  for (let at = 0; at < value.length; at++) {
    if (known[at] !== 1) answer = 'maybe'
    else if (bytes[at] !== value[at]) return 'no'
  }
  return answer
}

/** Orders bytes as numbers in network order: below 0 when they come before `value`; undefined when unknown bytes decide. */
export function order({ bytes, known }: Partly, value: Uint8Array): number | undefined {
  for (let at = 0; at < value.length; at++) {
    if (known[at] !== 1) return undefined
    const difference = (bytes[at] ?? 0) - (value[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Tests whether the bytes are from `first` to `last`, both included. */
export function between(value: Partly, first: Uint8Array, last: Uint8Array): Answer {
  const [from, to] = [order(value, first), order(value, last)]
  if ((from !== undefined && from < 0) || (to !== undefined && to > 0)) return 'no'
  return from === undefined || to === undefined ? 'maybe' : 'yes'
}

/** The opposite answer; `maybe` stays. */
export function not(answer: Answer): Answer {
  return answer === 'maybe' ? answer : answer === 'yes' ? 'no' : 'yes'
}

/** `value & mask ^ xor`. A byte with mask 0 is known afterwards. */
export function masked({ bytes, known }: Partly, mask: Uint8Array, xor: Uint8Array): Partly {
  return {
    bytes: bytes.map((byte, at) => (byte & (mask[at] ?? 0)) ^ (xor[at] ?? 0)),
    known: known.map((is, at) => (mask[at] === 0 ? 1 : is)),
  }
}

/** Reverses the bytes of each unit of `size` bytes. */
export function swapped({ bytes, known }: Partly, size: number): Partly {
  const turn = (list: Uint8Array) =>
    list.map((_, at) => list[at - (at % size) + (size - 1 - (at % size))] ?? 0)
  return { bytes: turn(bytes), known: turn(known) }
}

/** A number of 32 bits in host order. */
export function hostNumber(value: number): Partly {
  return all(new Uint8Array(Uint32Array.of(value).buffer))
}
