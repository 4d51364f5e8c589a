// The tables of docs/configuration.md, docs/device-plugin-config.md and docs/nics.md are those of the sources.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  cardMatrix,
  configurationPage,
  deviceConfigPage,
  nicsPage,
  testingPage,
  withDeviceTables,
  withNicTables,
  withTables,
} from '../../hack/docs.ts'

test('the tables of docs/configuration.md are those of the sources (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(configurationPage, 'utf8')
  expect(page).toBe(withTables(page))
})

test('the tables of docs/device-plugin-config.md are those of the sources (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(deviceConfigPage, 'utf8')
  expect(page).toBe(withDeviceTables(page))
})

test('the tables of docs/nics.md are those of the sources and of docs/testing.md (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(nicsPage, 'utf8')
  expect(page).toBe(withNicTables(page, readFileSync(testingPage, 'utf8')))
})

test('the matrix of cards sorts protocols by place, and tells families apart that differ', () => {
  const table = `<!-- cards -->
| card | kind | IPv4 TCP | IPv4 UDP | IPv4 SCTP | IPv6 TCP | IPv6 UDP | IPv6 SCTP |
|---|---|---|---|---|---|---|---|
| one | A, B | NIC | NIC | NIC | NIC | NIC | NIC |
| one | C | NIC | software (4) | - | NIC | NIC | - |
`
  expect(cardMatrix(table).slice(2)).toEqual([
    '| one | NIC | NIC: TCP, UDP (IPv6); software: UDP (IPv4) |  |  |  |  |',
  ])
  expect(() => cardMatrix('')).toThrow('Cannot find the table of cards')
})
