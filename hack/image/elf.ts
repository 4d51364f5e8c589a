// Libraries that a program needs, read from the program: `ldd` runs it, and can't run a program of another processor. In: bytes of ELF
// files. Out: names. Format: System V gABI, chapters 4 and 5; linux/elf.h. Little-endian 64-bit files alone, as both processors have.
import type { Architecture } from './layout.ts'

/** The part of an ELF file that says what must be there to run it. */
export interface ElfFacts {
  readonly architecture: Architecture
  /** Path of the program that loads this one; undefined for libraries and for programs without libraries. */
  readonly interpreter: string | undefined
  /** Names of libraries, such as `libc.so.6`. */
  readonly needed: readonly string[]
}

/** A file that is no ELF file of one of the two processors, or that is cut off. */
export class ElfError extends Error {
  override readonly name = 'ElfError'
}

/** `e_machine`: EM_X86_64, EM_AARCH64. */
const machines: ReadonlyMap<number, Architecture> = new Map([
  [62, 'amd64'],
  [183, 'arm64'],
])
const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_INTERP = 3
const DT_NEEDED = 1n
const DT_STRTAB = 5n
/** Bytes of an entry of the dynamic section. */
const DYN = 16

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly size: number
}

/** Reads the file; `name` is for the error. @throws ElfError */
export function elfFacts(name: string, bytes: Uint8Array): ElfFacts {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return read(data)
  } catch (error) {
    if (error instanceof ElfError || error instanceof RangeError)
      throw new ElfError(`Cannot read "${name}" as a program: ${error.message}`)
    throw error
  }
}

function read(data: Buffer): ElfFacts {
  // EI_CLASS 2: 64 bits; EI_DATA 1: little-endian.
  if (data.readUInt32BE(0) !== 0x7f454c46 || data[4] !== 2 || data[5] !== 1)
    throw new ElfError('it is no little-endian ELF file of 64 bits')
  const architecture = machines.get(data.readUInt16LE(18))
  if (architecture === undefined)
    throw new ElfError(`it is for the machine ${data.readUInt16LE(18)}; must be 62 (x86-64) or 183 (AArch64)`)
  const segments = segmentsOf(data)
  const interpreter = segments.find(({ type }) => type === PT_INTERP)
  return {
    architecture,
    interpreter: interpreter === undefined ? undefined : text(data, interpreter.offset),
    needed: neededBy(data, segments),
  }
}

function segmentsOf(data: Buffer): readonly Segment[] {
  const [table, size, count] = [
    Number(data.readBigUInt64LE(32)),
    data.readUInt16LE(54),
    data.readUInt16LE(56),
  ]
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size
    return {
      type: data.readUInt32LE(at),
      offset: Number(data.readBigUInt64LE(at + 8)),
      address: Number(data.readBigUInt64LE(at + 16)),
      size: Number(data.readBigUInt64LE(at + 32)),
    }
  })
}

function neededBy(data: Buffer, segments: readonly Segment[]): readonly string[] {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  if (dynamic === undefined) return []
  const entries = Array.from({ length: Math.floor(dynamic.size / DYN) }, (_, index) => {
    const at = dynamic.offset + index * DYN
    return { tag: data.readBigUInt64LE(at), value: Number(data.readBigUInt64LE(at + 8)) }
  })
  const wanted = entries.filter(({ tag }) => tag === DT_NEEDED)
  if (wanted.length === 0) return []
  const address = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? -1
  const home = segments.find(
    ({ type, address: begin, size }) => type === PT_LOAD && begin <= address && address < begin + size,
  )
  if (home === undefined) throw new ElfError('its names of libraries are in no segment')
  return wanted.map(({ value }) => text(data, home.offset + address - home.address + value))
}

function text(data: Buffer, at: number): string {
  const end = data.indexOf(0, at)
  if (at > data.length || end < 0) throw new ElfError('it is cut off')
  return data.toString('latin1', at, end)
}
