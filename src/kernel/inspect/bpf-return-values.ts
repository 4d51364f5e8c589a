/**
 * What a BPF program can return, read from its instructions: a program on a network hook that only ever says "go on" is no
 * hindrance, one that may say anything else is. Pure. The instruction set is RFC 9669.
 */

/** What a register can hold: up to a few constants, or anything. */
type Value = ReadonlySet<number> | 'any'
type Registers = readonly Value[]

/** More constants than a verdict has. */
const mostConstants = 16
/** Programs for which the answer takes longer than this many steps are not understood. */
const mostSteps = 100_000

const opCall = 0x85
const opExit = 0x95
/** What the kernel makes of a call of bpf_tail_call(): if it succeeds another program decides. */
const opTailCall = 0xf0
const BPF_FUNC_tail_call = 12
const opLoadImm64 = 0x18

/** Every value (as s32) that the program can return; undefined when it can't be told. */
export function exitValues(instructions: Uint8Array): ReadonlySet<number> | undefined {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.length)
  const count = Math.floor(instructions.length / 8)
  const states: (Registers | undefined)[] = []
  const found = new Set<number>()
  const open = [0]
  states[0] = Array.from({ length: 11 }, () => 'any')
  for (let steps = 0; ; steps++) {
    const at = open.pop()
    if (at === undefined) return found
    const state = states[at]
    if (steps > mostSteps || at >= count || state === undefined) return undefined
    const code = view.getUint8(8 * at)
    const [dst, src] = [view.getUint8(8 * at + 1) & 15, view.getUint8(8 * at + 1) >> 4]
    const [off, imm] = [view.getInt16(8 * at + 2, true), view.getInt32(8 * at + 4, true)]
    if (code === opExit) {
      const value = state[0]
      if (value === undefined || value === 'any') return undefined
      for (const one of value) found.add(one)
      continue
    }
    if (code === opTailCall || (code === opCall && src === 0 && imm === BPF_FUNC_tail_call)) return undefined
    const after = step(state, { code, dst, src, off, imm })
    for (const next of successors(at, code, off, imm)) {
      const joined = join(states[next], after)
      if (joined === states[next]) continue
      states[next] = joined
      open.push(next)
    }
  }
}

interface Instruction {
  readonly code: number
  readonly dst: number
  readonly src: number
  readonly off: number
  readonly imm: number
}

/** BPF_MOV of a constant; the verdict is an s32, so that 32 bits tell as much as 64. */
function isMovK(code: number): boolean {
  return code === 0xb7 || code === 0xb4
}

/** BPF_MOV of a register, without sign extension. */
function isMovX(code: number, off: number): boolean {
  return (code === 0xbf || code === 0xbc) && off === 0
}

/** Registers behind an instruction; whatever is not a copy or a constant is anything. */
function step(state: Registers, { code, dst, src, off, imm }: Instruction): Registers {
  const after = [...state]
  const kind = code & 7
  if (kind === 4 || kind === 7) {
    // BPF_ALU, BPF_ALU64: of them BPF_MOV with a constant (K) or another register (X).
    after[dst] = isMovK(code) ? new Set([imm]) : isMovX(code, off) ? (state[src] ?? 'any') : 'any'
  } else if (code === opLoadImm64 || kind === 1) after[dst] = 'any'
  else if (kind === 0) after[0] = 'any'
  else if (code === opCall) after.fill('any', 0, 6)
  else if (kind === 3 && (code & 0xe0) === 0xc0) {
    // Atomic operations may hand the old value to the source register or to r0.
    after[src] = 'any'
    after[0] = 'any'
  }
  return after
}

function successors(at: number, code: number, off: number, imm: number): number[] {
  const kind = code & 7
  if (code === opLoadImm64) return [at + 2]
  if (code === opCall || (kind !== 5 && kind !== 6)) return [at + 1]
  if (code === 0x05) return [at + 1 + off]
  if (code === 0x06) return [at + 1 + imm]
  return [at + 1, at + 1 + off]
}

/** The registers of two ways to one instruction; the same object as `known` when the second way adds nothing. */
function join(known: Registers | undefined, more: Registers): Registers {
  if (known === undefined) return more
  let changed = false
  const joined = known.map((value, register) => {
    const other = more[register] ?? 'any'
    if (value === 'any') return value
    if (other !== 'any' && [...other].every((one) => value.has(one))) return value
    changed = true
    const both = other === 'any' ? undefined : new Set([...value, ...other])
    return both === undefined || both.size > mostConstants ? 'any' : both
  })
  return changed ? joined : known
}
