// docs/records.md explains every key that a record can have.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { attachJournal } from '../../src/records/attach.ts'
import { offloadJournal } from '../../src/records/offload.ts'
import { operationKeys } from '../../src/records/ops/table.ts'
import { recordKeys, recordSchemaVersion } from '../../src/records/record.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/records.md'), 'utf8')
const section = (title: string) => (text.split(`\n## ${title}\n`)[1] ?? '').split('\n## ')[0] ?? ''
const inCode = (part: string) => new Set([...part.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code))

test.each([
  ['Every record', recordKeys()],
  ['Journal of vf-attach', attachJournal.keys()],
  ['Journal of vf-offload', offloadJournal.keys().filter((key) => !key.startsWith('rules.rule.'))],
])('%s: each key', (title, keys) => {
  const named = inCode(section(title))
  expect(keys.filter((key) => !named.has(key))).toEqual([])
})

test('each operation with each of its keys', () => {
  const rows = section('Operations').split('\n')
  // Values that a table above explains.
  const asAbove = /^(vf|link)\.set (set|was)\.|^ports\.(reserve|release) keys\./
  const missing = [...operationKeys()].flatMap(([name, keys]) => {
    const row = inCode(rows.find((one) => one.split('|')[1]?.includes(`\`${name}\``)) ?? '')
    return keys
      .map((key) => `${name} ${key}`)
      .filter((key) => !asAbove.test(key) && !row.has(key.slice(key.search(/[^ .]+$/))))
  })
  expect(missing).toEqual([])
})

test('the version of the format', () => {
  expect(text).toContain(`\`schema\` is the version of the format. It is ${recordSchemaVersion}.`)
})
