/**
 * Writes the tables of docs/configuration.md that come from the sources: the keys of vf-attach (src/attach/config/keys.ts), those of
 * the operator's policy (src/cni/policy-file.ts) and the error codes (src/cni/error.ts). A test fails when the page is out of date.
 *
 *     sh hack/bun.sh hack/docs.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keys } from '../src/attach/config/keys.ts'
import { code, type ErrorName, meaning } from '../src/cni/error.ts'
import { policyKeys } from '../src/cni/policy-file.ts'

/** The page with the tables of the sources. */
export function withTables(page: string): string {
  const tables = { keys: keyTable(), policy: policyTable(), codes: codeTable() }
  return Object.entries(tables).reduce((text, [name, lines]) => {
    const begin = `<!-- ${name}: from the sources, by hack/docs.ts -->\n`
    const end = `<!-- end of ${name} -->`
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from < 0 || to < from) throw new RangeError(`Cannot find the place of the table "${name}"`)
    return text.slice(0, from + begin.length) + lines.map((line) => `${line}\n`).join('') + text.slice(to)
  }, page)
}

function keyTable(): string[] {
  const rows = Object.entries(keys).map(
    ([name, { allowed, effect }]) => `| \`${name}\` | ${allowed} | ${effect} |`,
  )
  return ['| key | value | effect |', '|---|---|---|', ...rows]
}

function policyTable(): string[] {
  const rows = Object.entries(policyKeys).map(
    ([name, { allowed, absent, effect }]) => `| \`${name}\` | ${allowed} | ${absent} | ${effect} |`,
  )
  return ['| key | value | without the key | effect |', '|---|---|---|---|', ...rows]
}

function codeTable(): string[] {
  const rows = Object.entries(code).map(([name, number]) => `| ${number} | ${meaning[name as ErrorName]} |`)
  return ['| code | meaning |', '|---|---|', ...rows]
}

/** Path of the page. */
export const configurationPage = join(import.meta.dirname, '../docs/configuration.md')

if (process.argv[1]?.endsWith('hack/docs.ts') === true) {
  writeFileSync(configurationPage, withTables(readFileSync(configurationPage, 'utf8')))
}
