/**
 * `npm run test:selftests [-- TEST...]`: runs the kernel's own tests of tc, from the source package of the distribution's kernel, on
 * simnic's profile `full` with skip_sw. TEST is `tc_flower`, or `tc_flower:match_ip_tos_test` for one function of it; without any, all
 * of list.ts run. Prints a table of test, case and result, then the cases that stay out with their reasons. The last line is
 * `N passed, N failed`; the exit code is not 0 when a case fails that is not in the list, or one of the list passes.
 */
import { type Selftest, selftests } from './list.ts'
import { type Node, startNode } from './node.ts'
import { casesOf, type Judged, judge, needless } from './output.ts'

const words = process.argv.slice(2)
const chosen =
  words.length === 0 ? selftests.map((test) => ({ test, functions: undefined })) : words.map(choose)
let passed = 0
let failed = 0
const remarks = new Map<string, string[]>()
let speed: number | undefined

const node = await startNode()
console.log(`Linux ${node.kernel}, simnic, profile full, skip_sw\n`)
for (const { test, functions } of chosen) await run(node, test, functions)
for (const complaint of await node.close()) fail(`kernel: ${complaint}`)

console.log('\nnot in the card, or not at all:')
for (const [reason, names] of remarks) {
  const shown = names.length > 8 ? [...names.slice(0, 3), `${names.length - 3} more`] : names
  console.log(`  ${shown.join('; ')}\n      ${reason}`)
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

function choose(word: string): { test: Selftest; functions: readonly string[] | undefined } {
  const [name, ...functions] = word.split(':')
  const test = selftests.find((one) => one.name === name)
  if (test === undefined) {
    console.error(`Cannot run "${name}": must be one of ${selftests.map((one) => one.name).join(', ')}`)
    process.exit(2)
  }
  return { test, functions: functions.length === 0 ? undefined : functions }
}

async function run(node: Node, test: Selftest, functions: readonly string[] | undefined): Promise<void> {
  const begun = Date.now()
  const slow = functions === undefined ? await tooSlow(node, test) : undefined
  const wanted = [...(test.functions ?? []), ...(slow === undefined ? (test.fast?.functions ?? []) : [])]
  const { output, code } = await node.run(test, functions ?? wanted)
  const cases = casesOf(output)
  for (const one of cases.map((found) => judge(test, found))) report(test, one)
  const omitted = functions === undefined ? [...(test.omitted ?? []), ...(slow ?? [])] : []
  for (const { name, reason } of omitted) {
    console.log(line(test.name, name, 'out', ''))
    remember(reason, `${test.name} ${name}`)
  }
  if (functions === undefined) for (const text of needless(test, cases)) fail(`${test.name}: ${text}`)
  const broken = cases.length === 0 || (code !== 0 && cases.every(({ result }) => result === 'OK'))
  if (broken)
    fail(`${test.name} ended with code ${code} after ${cases.length} cases:\n${output.slice(-2_000)}`)
  console.log(`${test.name}: ${Math.round((Date.now() - begun) / 1_000)} s`)
}

/** The functions of a test for which the machine is too slow, with the reason; undefined if it is fast enough for all. */
async function tooSlow(node: Node, test: Selftest) {
  if (test.fast === undefined) return undefined
  const { functions: names, packetsPerSecond: needed } = test.fast
  speed ??= await node.packetsPerSecond()
  const reason = `measures rates: needs ${needed} packets per second, and mausezahn sends ${speed} on this machine`
  return speed >= needed ? undefined : names.map((name) => ({ name, reason }))
}

function report(test: Selftest, one: Judged): void {
  const mark = one.ok ? (one.result === 'OK' ? 'ok' : 'out') : 'FAIL'
  console.log(line(test.name, one.name, mark, one.where))
  if (!one.ok) console.log(`    ${one.remark}`)
  else if (one.remark !== '') remember(one.remark, `${test.name} ${one.name}`)
  if (!one.ok) failed++
  else if (one.result === 'OK') passed++
}

function line(test: string, name: string, mark: string, where: string): string {
  return `${test.padEnd(15)}${name.padEnd(58)} ${mark.padEnd(4)} ${where}`.trimEnd()
}

function remember(reason: string, name: string): void {
  remarks.set(reason, [...(remarks.get(reason) ?? []), name])
}

function fail(text: string): void {
  failed++
  console.log(`FAIL ${text}`)
}
