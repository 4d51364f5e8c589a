/**
 * `npm run test:soak`: the long versions of the lab's fault and sequence tests of vf-attach, in one virtual machine. Prints seeds,
 * counts and durations. The last table counts the leftovers, which must all be 0. The tests of vf-offload follow, with every scenario
 * of port mappings at every place, in a machine of their own.
 *
 *     npm run test:soak -- [--seed N] [--plugin attach|offload|both]
 *                          [--sequences N] [--port-sequences N] [--configs N] [--faults full|short|none]
 *                          [--fault-devices legacy,switchdev,software] [--fault-cases TEXT]
 *                          [--scenarios full|none] [--fuzz N] [--agents N] [--warm full|none]
 *
 * `--fault-cases 'DEL '` runs the cases of vf-attach's fault tables whose names contain the text, for a run in pieces.
 *
 * `--fuzz 50000` (0 = none) makes so many spoilt calls, shared out to both plugins, natively.
 *
 * `--agents 500000` (0 = none) has the shim speak with so many random agents.
 *
 * The last line is `N passed, N failed`. A sequence, a config, a case of the fault table, a spoilt call and a test of vf-offload count
 * as one each.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { diffSnapshot, snapshot } from '../../hack/lab/bed/snapshot.ts'
import { loadIgb, type Topology } from '../../hack/lab/bed/topology.ts'
import { bootLab, type Lab } from '../../hack/lab/lab.ts'
import { makeVfs, removeVfs, resetVfs } from '../support/vfs.ts'
import {
  bridgeSubject,
  isOfRepresentor,
  makeBridgePlaces,
  removeBridgePlaces,
} from './attach-bridge-subject.ts'
import { attachSubject } from './attach-subject.ts'
import { makeVethPlaces, removeVethPlaces, vethSubject } from './attach-veth-subject.ts'
import { conformanceWarm, nodesWarm } from './both-ways.ts'
import { type FaultOptions, faultTable, missedRows, runFaultTable } from './faults.ts'
import { makeFields, removeFields } from './fields.ts'
import { longForms } from './long-forms.ts'
import { runProperty, softwareDevices, vfDevices } from './property.ts'
import { leaveGuest, placesOf, prepareGuest } from './run.ts'
import { seedOf } from './seed.ts'
import { vfKind } from './sequence-devices.ts'
import { runSequences } from './sequences.ts'
import { soakShim } from './shim-fuzz.ts'
import { soakFuzz } from './spoilt-calls.ts'

const top = join(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    plugin: { type: 'string', default: 'both' },
    'port-sequences': { type: 'string', default: '500' },
    sequences: { type: 'string', default: '1000' },
    configs: { type: 'string', default: '300' },
    faults: { type: 'string', default: 'full' },
    'fault-cases': { type: 'string' },
    scenarios: { type: 'string', default: 'full' },
    'fault-devices': { type: 'string' },
    fuzz: { type: 'string', default: '50000' },
    agents: { type: 'string', default: '500000' },
    warm: { type: 'string', default: 'full' },
  },
})
const given = values.seed ?? process.env.VF_SOAK_SEED
const seed = seedOf({ VF_SOAK_SEED: given ?? String(Math.floor(Math.random() * 2 ** 30)) })
const sequenceCount = count('sequences', values.sequences)
const portSequenceCount = count('port-sequences', values['port-sequences'])
const configCount = count('configs', values.configs)
const fuzzCount = count('fuzz', values.fuzz)
const agentCount = count('agents', values.agents)
const faults = values.faults
if (!['full', 'short', 'none'].includes(faults))
  throw new Error(`Cannot use --faults ${faults}: must be full, short or none`)
if (!['full', 'none'].includes(values.scenarios))
  throw new Error(`Cannot use --scenarios ${values.scenarios}: must be full or none`)
if (!['full', 'none'].includes(values.warm))
  throw new Error(`Cannot use --warm ${values.warm}: must be full or none`)
if (!['attach', 'offload', 'both'].includes(values.plugin))
  throw new Error(`Cannot use --plugin ${values.plugin}: must be attach, offload or both`)

console.log('== build')
execaSync(process.execPath, [join(top, 'hack/build.ts'), '--with-tests'], { cwd: top, stdio: 'inherit' })

let passed = 0
let failed = 0
let started = Date.now()
if (values.plugin !== 'offload') {
  await soakAttach()
  soakDpdk()
}
if (values.plugin !== 'attach') soakOffload()
if (fuzzCount > 0) fuzz()
if (agentCount > 0) agents()
if (values.warm === 'full') soakWarm()
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

async function soakAttach(): Promise<void> {
  const lab = await bootLab({ processors: 1 })
  started = Date.now()
  try {
    await loadIgb(lab)
    await prepareGuest(lab)
    const topology = await makeVfs(lab, 6)
    const before = await snapshot(lab)
    const left = { VFs: 0, addresses: 0, records: 0 }

    console.log(`== sequences: ${sequenceCount}, seeds ${seed} to ${seed + sequenceCount - 1}`)
    const sequences = await timed(() =>
      runSequences(lab, vfKind, placesOf(topology, 2, 3), seed, sequenceCount, (ended) => {
        if (ended % 50 === 0) console.log(`${ended} sequences in ${seconds()} s`)
      }),
    )
    left.VFs += sequences.left.devices
    left.addresses += sequences.left.addresses
    left.records += sequences.left.records
    console.log(`verbs: ${JSON.stringify(sequences.verbs)}`)
    tally('sequences', sequenceCount, sequences.failedSeeds, sequences.failures)

    if (configCount > 0) await soakConfigs(lab, topology)

    if (faults !== 'none') await soakFaults(lab, topology)

    const differences = diffSnapshot(before, await snapshot(lab))
    tally('host snapshots', 1, differences.length > 0 ? 1 : 0, differences)
    const files = differences.filter((line) => / file \/|^file \//.test(line)).length
    await removeVfs(lab, topology)
    await leaveGuest(lab)
    console.log(`== after ${sequenceCount} sequences in ${seconds()} s, kernel ${lab.kernel}, seed ${seed}`)
    console.log('sequences  leaked VFs  addresses  records  files')
    const cells = [sequenceCount, left.VFs, left.addresses, left.records, files]
    console.log(cells.map((cell, column) => String(cell).padStart([9, 10, 9, 7, 5][column] ?? 0)).join('  '))
  } finally {
    await lab.close()
  }
}

/** The fault tables: a VF in legacy mode, one in switchdev mode, a software interface. */
async function soakFaults(lab: Lab, topology: Topology): Promise<void> {
  const extent = faults === 'full' ? 'full' : 'short'
  const table = async (device: string, options: Pick<FaultOptions, 'subject' | 'places' | 'chosen'>) => {
    console.log(`== fault table (${faults}), ${device}, seed ${seed}`)
    const only = values['fault-cases']
    const report = await timed(() =>
      runFaultTable(lab, { ...options, seed, extent, only, wayBack: true, onCase: progress() }),
    )
    console.log(faultTable(report.rows).join('\n'))
    for (const name of report.retried) console.log(`not hit at the first try: ${name}`)
    const missing = only === undefined ? missedRows(report.rows) : []
    const lines = missing.map(({ verb, point }) => `${device}: ${verb} ${point} was not hit before and after`)
    tally(`cases, ${device}`, report.cases, report.failedCases, [...report.failures, ...lines])
  }
  const wanted = (device: string) => (values['fault-devices'] ?? device).includes(device)
  if (wanted('legacy')) await table('legacy', { subject: attachSubject, places: placesOf(topology, 2, 1) })
  if (wanted('switchdev')) {
    const places = await makeBridgePlaces(lab, 2)
    const chosen = faults === 'full' ? {} : { chosen: isOfRepresentor }
    await table('switchdev', { subject: bridgeSubject, places, ...chosen })
    await removeBridgePlaces(lab)
  }
  if (wanted('software')) {
    const places = await makeVethPlaces(lab, 2)
    await table('software', { subject: vethSubject, places })
    await removeVethPlaces(lab)
  }
}

/** Prints the number of finished cases now and then, and each failure at once. */
function progress(): NonNullable<FaultOptions['onCase']> {
  let ended = 0
  return (name, failures) => {
    for (const line of failures) console.log(`${name}: ${line}`)
    if (++ended % 50 === 0) console.log(`${ended} cases in ${seconds()} s`)
  }
}

async function soakConfigs(lab: Lab, topology: Topology): Promise<void> {
  console.log(`== configs: ${configCount}, seed ${seed}`)
  const fields = await makeFields(lab, topology, 2)
  const configs = await timed(() =>
    runProperty(lab, fields, [...vfDevices, ...softwareDevices], seed, configCount),
  )
  await removeFields(lab, fields)
  await resetVfs(lab, topology)
  console.log(`accepted: ${configs.accepted} of ${configs.runs}, refused: ${JSON.stringify(configs.refused)}`)
  const tooFew = configs.accepted < 0.3 * configs.runs ? ['fewer than 30 % of the configs were accepted'] : []
  tally('configs', configCount, configs.failedCases, [...configs.failures, ...tooFew])
}

/** A DPDK program that outlives its pod, in a machine with an IOMMU. */
function soakDpdk(): void {
  console.log('== vf-attach: a VF that DPDK drives')
  const { exitCode } = execaSync(
    join(top, 'node_modules/.bin/vitest'),
    [
      ...['run', '--config', join(top, 'test/vitest.config.ts'), '--project', 'lab', '--retry', '0'],
      ...longForms.dpdk,
    ],
    { cwd: top, stdio: 'inherit', reject: false, env: { VF_TEST_ALL: '1', VF_LABS: '1' } },
  )
  tally('DPDK', 1, exitCode === 0 ? 0 : 1, [])
}

/** The lab's tests of vf-offload, with those that `npm test` leaves out: one machine, run by vitest. */
function soakOffload(): void {
  console.log(
    `== vf-offload: scenarios ${values.scenarios}, faults ${faults}, ${portSequenceCount} sequences, ${configCount} configs, seed ${seed}`,
  )
  const folder = mkdtempSync(join(tmpdir(), 'vf-soak-'))
  try {
    const [output, rows] = [join(folder, 'report.json'), join(folder, 'rows')]
    writeFileSync(rows, '')
    const { exitCode } = execaSync(
      join(top, 'node_modules/.bin/vitest'),
      [
        ...['run', '--config', join(top, 'test/vitest.config.ts')],
        ...['--project', 'native', '--project', 'lab', '--retry', '0'],
        ...['--reporter=verbose', '--reporter=json', `--outputFile.json=${output}`],
        ...(values.scenarios === 'none' ? [] : longForms.scenarios),
        ...(portSequenceCount + configCount === 0 ? [] : longForms.random),
        ...(faults === 'none' ? [] : longForms.faults),
      ],
      {
        cwd: top,
        stdio: 'inherit',
        reject: false,
        env: {
          VF_TEST_ALL: '1',
          VF_SOAK_SEED: String(seed),
          VF_SOAK_SEQUENCES: String(portSequenceCount),
          VF_SOAK_CONFIGS: String(configCount),
          VF_SOAK_FAULTS: faults,
          VF_SOAK_ROWS: rows,
        },
      },
    )
    const report = JSON.parse(readFileSync(output, 'utf8')) as {
      numPassedTests: number
      numFailedTests: number
    }
    const bad = Math.max(report.numFailedTests, exitCode === 0 ? 0 : 1)
    const row = (cells: readonly string[]) =>
      cells.map((cell, column) => cell.padEnd([14, 10, 6, 7][column] ?? 0)).join(' ')
    console.log(row(['port', 'what', 'count', 'failed', 'seconds']))
    for (const line of readFileSync(rows, 'utf8').split('\n').filter(Boolean))
      console.log(row(line.split(' ')))
    tally('tests of vf-offload', report.numPassedTests + bad, bad, [])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Once more with an agent: conformance, scenarios, sequences. And all failures of agents at each step. */
function soakWarm(): void {
  console.log('== with an agent: conformance')
  const suite = conformanceWarm()
  tally('conformance, warm', suite.passed + suite.failed, suite.failed, suite.failures)
  console.log('== with an agent: scenarios and sequences')
  const env = { VF_SOAK_SEED: String(seed), VF_TEST_ALL: '1' }
  const nodes = nodesWarm(undefined, env)
  tally('scenarios and sequences, warm', nodes.passed + nodes.failed, nodes.failed, nodes.failures)
  console.log('== failures of agents')
  const { exitCode } = execaSync(
    join(top, 'node_modules/.bin/vitest'),
    [
      ...['run', '--config', join(top, 'test/vitest.config.ts'), '--project', 'native', '--retry', '0'],
      ...longForms.agent,
    ],
    { cwd: top, stdio: 'inherit', reject: false, env: { ...env, VF_SOAK_COUNT: '400' } },
  )
  tally('failures of agents', 1, exitCode === 0 ? 0 : 1, [])
}

/** Spoilt calls of the chosen plugins. */
function fuzz(): void {
  const plugins = (['attach', 'offload'] as const).filter((one) => ['both', one].includes(values.plugin))
  console.log(`== spoilt calls: ${fuzzCount}, seed ${seed}`)
  const ended = soakFuzz(plugins, Math.ceil(fuzzCount / plugins.length), seed)
  tally('spoilt calls', ended.passed + ended.failed, ended.failed, [])
}

/** The shim against random agents. */
function agents(): void {
  console.log(`== agents of the shim: ${agentCount}, seed ${seed}`)
  const ended = soakShim(agentCount, seed)
  tally('agents of the shim', ended.passed + ended.failed, ended.failed, [])
}

/** Adds to the last line; prints failures with the seed that replays them. */
function tally(what: string, all: number, bad: number, failures: readonly string[]): void {
  const wrong = Math.max(bad, failures.length > 0 ? 1 : 0)
  passed += Math.max(0, all - wrong)
  failed += wrong
  for (const line of failures) console.log(`failed: ${line}`)
  console.log(`${what}: ${all - wrong} passed, ${wrong} failed`)
}

async function timed<T>(action: () => Promise<T>): Promise<T> {
  const start = Date.now()
  const result = await action()
  console.log(`took ${Math.round((Date.now() - start) / 1000)} s`)
  return result
}

function seconds(): number {
  return Math.round((Date.now() - started) / 1000)
}

function count(option: string, text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0) return number
  throw new Error(`Cannot use --${option} ${text}: must be a whole number, 0 for none`)
}
