/**
 * `npm run test:peer -- BINARY [WORD]`: shows the same nodes and configs to a program of sriov-network-device-plugin (BINARY, built by
 * whoever runs this) and to ours, plays kubelet for both, and compares what kubelet, a pod and Multus see. Each difference must be one
 * of the documented ones of documented.ts. WORD chooses cases by name. Needs root: each run has its own /sys, /dev, /run and network.
 * The last line is `N passed, N failed`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { type PeerCase, peerCases } from './cases.ts'
import { type Difference, differences } from './compare.ts'
import { reasonFor, unused } from './documented.ts'
import type { Observed } from './observed.ts'

const top = join(import.meta.dirname, '../..')
const [binary, word = ''] = process.argv.slice(2)
const ours = [join(top, 'dist/vf-device-plugin')]
const NAMESPACES = ['--mount', '--net', '--ipc', '--pid', '--fork', '--mount-proc', '--kill-child']

if (binary === undefined || !existsSync(binary)) {
  console.error(
    `Cannot compare with ${binary ?? 'nothing'}: give the path of the program sriovdp of sriov-network-device-plugin, as its \`make build\` makes it: npm run test:peer -- build/sriovdp`,
  )
  process.exit(2)
}
const peer = [resolve(binary), '-logtostderr', '-v', '5']
const chosen = peerCases.filter(({ name }) => name.includes(word))
let failed = 0
const used = new Set<string>()
for (const one of chosen) if (!(await compare(one))) failed++
const stale = word === '' ? unused(used) : []
for (const id of stale) console.error(`documented difference "${id}" was not seen`)
console.log(`${chosen.length - failed} passed, ${failed + stale.length} failed`)
process.exitCode = failed + stale.length === 0 && chosen.length > 0 ? 0 : 1

/** Runs both and prints each difference; false when one is not documented. */
async function compare(one: PeerCase): Promise<boolean> {
  const [theirs, own] = [await observed(one, peer), await observed(one, ours)]
  const found = differences(theirs, own).map((difference) => ({
    difference,
    reason: reasonFor(one.name, difference),
  }))
  const surprises = found.filter(({ reason }) => reason === undefined)
  for (const { reason } of found) if (reason !== undefined) used.add(reason.id)
  console.log(`${surprises.length === 0 ? 'ok  ' : 'FAIL'} ${one.name}`)
  for (const text of new Set(found.flatMap(({ reason }) => reason?.reason ?? [])))
    console.log(`       differs as documented: ${text}`)
  for (const { difference } of surprises) console.log(linesOf(difference))
  if (surprises.length > 0) {
    for (const [name, { log }] of [
      ['peer', theirs],
      ['ours', own],
    ] as const)
      console.log(`     log of ${name}:\n${log.split('\n').slice(-8).join('\n').replace(/^/gm, '       | ')}`)
  }
  return surprises.length === 0
}

function linesOf({ path, peer: theirs, ours: own }: Difference): string {
  return [
    `     ${path}`,
    `       peer: ${JSON.stringify(theirs) ?? 'nothing'}`,
    `       ours: ${JSON.stringify(own) ?? 'nothing'}`,
  ].join('\n')
}

async function observed(one: PeerCase, program: readonly string[]): Promise<Observed> {
  const script = [join(import.meta.dirname, 'inside.ts'), String(peerCases.indexOf(one)), ...program]
  // Removed from outside: inside, mounts are in the way.
  const folder = mkdtempSync(join(tmpdir(), 'peer-'))
  try {
    const { stdout } = await execa('unshare', [...NAMESPACES, process.execPath, ...script], {
      env: { TMPDIR: folder },
      timeout: 120_000,
    })
    return JSON.parse(stdout) as Observed
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
