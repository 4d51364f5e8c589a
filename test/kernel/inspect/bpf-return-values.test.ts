// The values that a program of BPF can return are read from its instructions.
import { describe, expect, test } from 'vitest'
import { exitValues } from '../../../src/kernel/inspect/bpf-return-values.ts'

/** One struct bpf_insn: code, registers, offset, constant. */
function insn(code: number, dst = 0, src = 0, off = 0, imm = 0): number[] {
  const view = new DataView(new ArrayBuffer(8))
  view.setUint8(0, code)
  view.setUint8(1, dst | (src << 4))
  view.setInt16(2, off, true)
  view.setInt32(4, imm, true)
  return [...new Uint8Array(view.buffer)]
}
const mov = (dst: number, imm: number) => insn(0xb7, dst, 0, 0, imm)
const mov32 = (dst: number, imm: number) => insn(0xb4, dst, 0, 0, imm)
const copy = (dst: number, src: number) => insn(0xbf, dst, src)
const jeq = (dst: number, imm: number, off: number) => insn(0x15, dst, 0, off, imm)
const ja = (off: number) => insn(0x05, 0, 0, off)
const call = (imm: number, src = 0) => insn(0x85, 0, src, 0, imm)
const load = (dst: number, src: number) => insn(0x61, dst, src)
const add = (dst: number, imm: number) => insn(0x07, dst, 0, 0, imm)
const exit = () => insn(0x95)
const values = (...code: number[][]) => exitValues(Uint8Array.from(code.flat()))

describe('values that a program can return', () => {
  test.each([
    ['one constant', [mov(0, -1), exit()], [-1]],
    ['32 bits of it', [mov32(0, -1), exit()], [-1]],
    ['the last one set', [mov(0, 0), mov(0, 2), exit()], [2]],
    ['one for each way out', [jeq(1, 5, 2), mov(0, -1), exit(), mov(0, 2), exit()], [-1, 2]],
    ['two ways to one exit', [mov(0, -1), jeq(1, 5, 1), mov(0, 0), exit()], [-1, 0]],
    ['by way of another register', [mov(6, -1), call(5), copy(0, 6), exit()], [-1]],
    ['a way that is never gone does not count', [mov(0, -1), ja(1), mov(0, 2), exit()], [-1]],
    ['behind a constant of two slots', [insn(0x18, 1), insn(0), mov(0, -1), exit()], [-1]],
    ['a loop', [mov(0, -1), add(1, 1), jeq(1, 9, 1), ja(-3), exit()], [-1]],
  ])('%s', (_, code, wanted) => {
    expect([...(values(...code) ?? [])].sort()).toEqual(wanted.sort())
  })

  test.each([
    ['what a helper returned', [mov(0, -1), call(5), exit()]],
    ['what another function of the program returned', [mov(0, -1), call(3, 1), exit()]],
    ['what was read from memory', [mov(0, -1), load(0, 1), exit()]],
    ['what was computed', [mov(0, 1), add(0, 1), exit()]],
    ['one way known, one not', [mov(0, -1), jeq(1, 5, 1), load(0, 1), exit()]],
    ['a call that never comes back', [mov(0, -1), call(12), mov(0, -1), exit()]],
    ['a register that a helper may change', [mov(1, -1), call(5), copy(0, 1), exit()]],
    ['an atomic operation', [mov(0, -1), insn(0xdb, 1, 2, 0, 0xf1), exit()]],
    ['no exit', [mov(0, -1)]],
    ['a jump out of the program', [mov(0, -1), ja(7), exit()]],
    [
      'more constants than there are verdicts',
      [...Array.from({ length: 40 }, (_, n) => [jeq(1, n, 2), mov(0, n), ja(0)]).flat(), exit()],
    ],
  ])('nobody can tell: %s', (_, code) => {
    expect(values(...code)).toBeUndefined()
  })

  test('are unknown for an empty program and for bytes that are no program', () => {
    expect(values()).toBeUndefined()
    expect(exitValues(Uint8Array.of(1, 2, 3))).toBeUndefined()
  })
})
