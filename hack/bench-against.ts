/**
 * `npm run bench -- --against DIR [--rounds N] [--only native|lab]`: compares this build with another one, and with itself, in the
 * same rounds. DIR is a checkout, which is built, or a folder with the programs. docs/benchmark.md explains the tables.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execaSync } from 'execa'
import { counts, type PairOptions, pairedRatio, piecesOf, shownRatio } from './bench-pairs.ts'
import type { PairSeries, PairStep, PairTimes } from './bench-pairs-guest.ts'
import { median, ms, table } from './bench-table.ts'
import { buildTopology, deletePod, loadIgb, newPod, tearDown } from './lab/bed/topology.ts'
import { bootLab, type Lab } from './lab/lab.ts'
import { bootNode } from './lab/node.ts'

const top = join(import.meta.dirname, '..')
/** Beginning of the names of folders that hold copies of the builds: below dist, which nodes and machines see. */
const COPY = 'bench-'
/**
 * The number of pieces of a series, each with new copies. The place of a copy in memory can make one of two equal programs start
 * several percent faster than the other, as long as the copy lies there.
 */
const PIECES = 5
const POD = 'bench'
const BUILDS = ['this', 'itself', 'other'] as const
const VERBS = ['VERSION', 'ADD', 'CHECK', 'DEL'] as const

/** Measures and prints; needs this build. @throws Error when DIR holds no build, or a call fails */
export async function benchAgainst({ against, rounds, places }: PairOptions): Promise<void> {
  const other = programsIn(resolve(against))
  console.log(`other build: ${other}`)
  // A killed run leaves its copies.
  for (const name of readdirSync(join(top, 'dist')))
    if (name.startsWith(COPY)) rmSync(join(top, 'dist', name), { recursive: true, force: true })
  const folder = mkdtempSync(join(top, 'dist', COPY))
  const copies: Copies = () => {
    const piece = mkdtempSync(join(folder, 'piece-'))
    return Object.fromEntries(
      BUILDS.map((build) => {
        copyPrograms(build === 'other' ? other : join(top, 'dist'), join(piece, build))
        return [build, join(piece, build)]
      }),
    )
  }
  try {
    for (const place of places) {
      if (place === 'native') await natively(copies, rounds)
      else await inLab(copies, rounds)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Makes new copies of all builds. */
type Copies = () => PairSeries['builds']

/** The folder with the programs: of a checkout, which is built first, or of a folder that has them. */
function programsIn(folder: string): string {
  if (existsSync(join(folder, 'hack/build.ts'))) {
    if (!existsSync(join(folder, 'node_modules')))
      throw new Error(`Cannot build ${folder}: it has no node_modules, run npm ci there`)
    execaSync('sh', ['hack/bun.sh', 'hack/build.ts'], { cwd: folder, stdio: 'inherit' })
  }
  const found = [join(folder, 'dist'), folder].find((one) => existsSync(join(one, 'vf-attach')))
  if (found !== undefined) return found
  throw new Error(`Cannot find a build in ${folder}: must be a checkout, or hold vf-attach in it or in dist`)
}

/** Copies a dist folder without the test build and without copies like this one; names that are links stay links. */
function copyPrograms(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    if (name === 'test' || name.startsWith(COPY)) continue
    cpSync(join(from, name), join(to, name), { recursive: true, verbatimSymlinks: true })
  }
}

/** An end of a veth pair, with and without addresses, and a mapped port of a pod behind another pair. */
async function natively(copies: Copies, rounds: number): Promise<void> {
  const lab = await bootNode()
  try {
    await lab.must(NODE)
    const attach = { type: 'vf-attach', device: 'v0' }
    const ipam = { type: 'static', addresses: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }] }
    const measure = (what: string, steps: readonly PairStep[]) =>
      measured(lab, `${what}, natively (kernel ${lab.kernel})`, copies, rounds, steps)
    await measure('vf-attach: one end of a veth pair', stepsOf('vf-attach', 'net1', attach))
    const addressed = { ...attach, ipam }
    await measure('vf-attach: the same with a static address', stepsOf('vf-attach', 'net1', addressed))
    await measure('vf-offload: one mapped port behind a veth', stepsOf('vf-offload', 'eth0', MAPPING))
  } finally {
    await lab.close()
  }
}

/** One VF with four attributes of the PF. */
async function inLab(copies: Copies, rounds: number): Promise<void> {
  const lab = await bootLab()
  try {
    const topology = await buildTopology(lab, await loadIgb(lab), 1)
    const [vf] = topology.vfs
    if (vf === undefined) throw new Error('the PF has no VF')
    await newPod(lab, POD)
    const wishes = { spoofchk: 'on', trust: 'on', max_tx_rate: 500, mac: '02:00:00:00:00:01' }
    const config = { type: 'vf-attach', deviceID: vf.pci, ...wishes }
    const title = `vf-attach: one VF (igb), in the lab (kernel ${lab.kernel}, software emulation)`
    await measured(lab, title, copies, rounds, stepsOf('vf-attach', 'net1', config))
    await deletePod(lab, POD)
    await tearDown(lab, topology)
  } finally {
    await lab.close()
  }
}

function stepsOf(name: string, ifname: string, config: Record<string, unknown>): PairStep[] {
  return VERBS.map((verb) => ({ verb, name, ifname, config }))
}

/** v0 for vf-attach; p0 with a pod behind it that has an address; a node address on u0. IPv6 is off: nothing waits for it. */
const NODE = `set -e
for when in all default; do echo 1 >/proc/sys/net/ipv6/conf/$when/disable_ipv6; done
ip netns add ${POD}
ip -n ${POD} link set lo up
ip -b - <<END
link add v0 type veth peer name v1
link set v1 up
link add u0 up type veth peer name u1
link set u1 up
address add 10.1.0.1/24 dev u0
link add p0 up address 02:00:00:00:00:02 type veth peer name eth0 address 02:00:00:00:00:03 netns ${POD}
address add 10.244.1.1/24 dev p0
END
ip -n ${POD} -b - <<END
address add 10.244.1.2/24 dev eth0
link set eth0 up
route add default via 10.244.1.1
END`

const MAPPING = {
  type: 'vf-offload',
  prevResult: {
    cniVersion: '1.0.0',
    interfaces: [
      { name: 'p0', mac: '02:00:00:00:00:02' },
      { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: `/run/netns/${POD}` },
    ],
    ips: [{ address: '10.244.1.2/24', gateway: '10.244.1.1', interface: 1 }],
  },
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
}

async function measured(
  lab: Lab,
  title: string,
  copies: Copies,
  rounds: number,
  steps: readonly PairStep[],
): Promise<void> {
  const pieces: PairTimes[] = []
  for (const size of piecesOf(rounds, PIECES)) {
    const builds = copies()
    const series: PairSeries = {
      ...{ builds, rounds: size, steps, netns: `/run/netns/${POD}`, path: '/usr/lib/cni' },
    }
    const argv = ['sh', 'hack/bun.sh', 'hack/bench-pairs-guest.ts']
    const { code, stdout, stderr } = await lab.exec(argv, { stdin: JSON.stringify(series), timeoutMs: 0 })
    if (code !== 0) throw new Error(`the series failed: ${stderr}${stdout}`)
    pieces.push(JSON.parse(stdout) as PairTimes)
    for (const build of Object.values(builds)) rmSync(build, { recursive: true })
  }
  const timesOf = (build: string, verb: string, by: 'clock' | 'processor') =>
    pieces.flatMap((times) => times[build]?.[verb]?.[by] ?? [])
  console.log(`\n${title}, ${rounds} rounds (ms, medians; ratios of the same round with their 95 % bounds)`)
  table(
    ['call', 'this build', 'other', 'this / itself', 'this / other', 'counts'],
    VERBS.flatMap((verb) =>
      (['clock', 'processor'] as const).map((by) => {
        const mine = timesOf('this', verb, by)
        const others = timesOf('other', verb, by)
        const itself = pairedRatio(mine, timesOf('itself', verb, by))
        const against = shownRatio(pairedRatio(mine, others))
        const cells = [ms(median(mine)), ms(median(others)), shownRatio(itself), against]
        return [`${verb}, ${by}`, ...cells, counts(itself) ? 'yes' : 'no']
      }),
    ),
  )
}
