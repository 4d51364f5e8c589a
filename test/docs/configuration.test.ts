// The tables of docs/configuration.md and docs/device-plugin-config.md are those of the sources.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configurationPage, deviceConfigPage, withDeviceTables, withTables } from '../../hack/docs.ts'

test('the tables of docs/configuration.md are those of the sources (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(configurationPage, 'utf8')
  expect(page).toBe(withTables(page))
})

test('the tables of docs/device-plugin-config.md are those of the sources (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(deviceConfigPage, 'utf8')
  expect(page).toBe(withDeviceTables(page))
})
