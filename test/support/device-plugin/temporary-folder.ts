import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { onTestFinished } from 'vitest'

/** A new folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(`${tmpdir()}/vf-device-plugin-`)
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
