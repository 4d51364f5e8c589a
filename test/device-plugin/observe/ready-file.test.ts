// The file for probes is there while the process is ready, and only then: not that of a process before, and not after the end. A folder that
// is missing is told once.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepReadyFile } from '../../../device-plugin/observe/ready-file.ts'

let folder: string
let reasons: readonly string[]
let end: () => void
const told: string[] = []
const log = { warn: (message: string) => void told.push(message) }
const start = (path: string) => keepReadyFile({ path, unready: () => reasons, log, every: 5 })

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ready-'))
  reasons = ['not yet']
  told.length = 0
})
afterEach(() => {
  end()
  rmSync(folder, { recursive: true })
})

test('follows the reasons', async () => {
  const path = join(folder, 'ready')
  writeFileSync(path, 'of the process before')
  end = start(path)
  expect(existsSync(path)).toBe(false)
  reasons = []
  await expect.poll(() => existsSync(path), { interval: 5 }).toBe(true)
  reasons = ['kubelet is gone']
  await expect.poll(() => existsSync(path), { interval: 5 }).toBe(false)
  reasons = []
  await expect.poll(() => existsSync(path), { interval: 5 }).toBe(true)
  end()
  expect(existsSync(path)).toBe(false)
  expect(told).toEqual([])
})

test('tells once of a file that can not be written', async () => {
  const path = join(folder, 'none', 'ready')
  let looks = 0
  end = keepReadyFile({
    ...{ path, log, every: 5 },
    unready: () => {
      looks++
      return []
    },
  })
  await expect.poll(() => looks, { interval: 5 }).toBeGreaterThan(2)
  expect(told).toEqual([expect.stringMatching(/^Cannot write the file for probes: .*ENOENT/)])
})
