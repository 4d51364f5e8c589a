// Thousands of agents that do random things, against the shim under ASan and UBSan: each end is the one that the protocol wants. With
// libFuzzer the same runs for longer in `npm run test:soak`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { expect, test } from 'vitest'
import { compileC, fuzzer, sanitizing, texts } from '../support/shim/compile.ts'

test('5,000 agents: each end is the right one, and each kind of end comes often', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shim-fuzz-'))
  try {
    const file = join(folder, 'fuzz')
    compileC(file, fuzzer, ...sanitizing, ...texts('of-a-test'))
    const { stdout, stderr } = execaSync(file, ['19', '5000'])
    expect(stderr).toBe('')
    const counts = JSON.parse(stdout) as Readonly<Record<string, number>>
    expect(Object.keys(counts)).toEqual(['answered', 'unwritten', 'lost', 'refused', 'standalone'])
    expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(5000)
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(50)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
