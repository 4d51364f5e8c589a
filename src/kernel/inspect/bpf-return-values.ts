/**
 * Finds the values that a BPF program can return, from its instructions. A program on a network hook that returns only "go on" is
 * no conflict; a program that can return another value is. Pure. The instruction set is RFC 9669.
 */

/** The possible values of a register: some constants, or any value. */
type Value = ReadonlySet<number> | 'any'
type Registers = readonly Value[]

/** Limit of constants in a register. No hook has more verdicts. */
const mostConstants = 16
/** Limit of steps. The return values of a longer program stay unknown. */
const mostSteps = 100_000

const opCall = 0x85
const opExit = 0x95
/** The kernel's opcode for bpf_tail_call(). After a tail call another program decides. */
const opTailCall = 0xf0
const BPF_FUNC_tail_call = 12
const opLoadImm64 = 0x18

/** Every value (s32) that the program can return; undefined when the analysis cannot tell. */
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

/** BPF_MOV of a constant, 64 or 32 bits wide: a verdict is an s32, so both give the same value. */
function isMovK(code: number): boolean {
  return code === 0xb7 || code === 0xb4
}

/** BPF_MOV of a register, without sign extension. */
function isMovX(code: number, off: number): boolean {
  return (code === 0xbf || code === 0xbc) && off === 0
}

/** The registers after an instruction. Only copies and constants are followed; any other result is `any`. */
function step(state: Registers, { code, dst, src, off, imm }: Instruction): Registers {
  const after = [...state]
  const kind = code & 7
  if (kind === 4 || kind === 7) {
    // BPF_ALU and BPF_ALU64: only BPF_MOV of a constant (K) or of a register (X) is followed.
    after[dst] = isMovK(code) ? new Set([imm]) : isMovX(code, off) ? (state[src] ?? 'any') : 'any'
  } else if (code === opLoadImm64 || kind === 1) after[dst] = 'any'
  else if (kind === 0) after[0] = 'any'
  else if (code === opCall) after.fill('any', 0, 6)
  else if (kind === 3 && (code & 0xe0) === 0xc0) {
    // Atomic operations may write the old value to the source register or to r0.
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

/** Joins the registers of two paths to one instruction. Returns `known` itself when the second path adds no value. */
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
