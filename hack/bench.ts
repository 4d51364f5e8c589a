/**
 * `npm run bench`: measures a call beside the distribution's Go plugins, interleaved in one run so that both meet the same machine.
 * Natively it measures the start of a process, in the lab an ADD and a DEL of the same VF. It prints tables with versions. Only the
 * ratios count; the milliseconds belong to this machine. BENCH_ONLY=limits and BENCH_ONLY=ports print only those tables. With
 * `-- --against DIR` it compares this build with another one instead.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { benchAgainst } from './bench-against.ts'
import { pairOptions } from './bench-pairs.ts'
import { portsInLab } from './bench-ports.ts'
import { type Measured, median, minimum, ms, ratio, table } from './bench-table.ts'
import { buildTopology, deletePod, loadIgb, newPod, tearDown } from './lab/bed/topology.ts'
import { bootLab, type Lab } from './lab/lab.ts'

const top = join(import.meta.dirname, '..')
const go = '/usr/lib/cni'
const nativeRounds = Number(process.env.BENCH_ROUNDS ?? 60)
const attachRounds = Number(process.env.BENCH_ATTACH_ROUNDS ?? 30)
const labRounds = Number(process.env.BENCH_LAB_ROUNDS ?? 15)

const pair = pairOptions(process.argv.slice(2))
execaSync(process.execPath, [join(top, 'hack/build.ts')], { stdio: 'inherit' })
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }
console.log(`vf-flower ${version}, Bun ${Bun.version}; containernetworking-plugins ${goVersion()}`)
const only = process.env.BENCH_ONLY
if (pair !== undefined) await benchAgainst(pair)
else if (only === 'limits' || only === 'ports') await partInLab(only)
else if (only !== undefined) throw new Error(`Cannot use BENCH_ONLY=${only}: must be limits or ports`)
else {
  native()
  nativeAttach()
  if (process.env.BENCH_LAB_ROUNDS !== '0') await inLab()
}

function goVersion(): string {
  return execaSync('dpkg-query', ['-W', 'containernetworking-plugins']).stdout.split('\t')[1] ?? 'unknown'
}

/** A VERSION call from start to end. */
function native(): void {
  const programs = {
    'vf-attach': `${top}/dist/vf-attach`,
    'vf-offload': `${top}/dist/vf-offload`,
    'Go host-device': `${go}/host-device`,
    'Go portmap': `${go}/portmap`,
  }
  const times = new Map<string, number[]>(Object.keys(programs).map((name) => [name, []]))
  for (let round = 0; round < nativeRounds; round++) {
    for (const [name, file] of Object.entries(programs)) {
      const started = performance.now()
      Bun.spawnSync([file], { env: { CNI_COMMAND: 'VERSION' }, stdout: 'ignore', stdin: 'ignore' })
      times.get(name)?.push(performance.now() - started)
    }
  }
  const base = times.get('Go host-device') ?? []
  console.log(`\nProcess start, CNI_COMMAND=VERSION, natively, ${nativeRounds} rounds interleaved (ms)`)
  table(
    ['program', 'minimum', 'median', 'median / Go host-device'],
    [...times].map(([name, list]) => [
      name,
      ms(minimum(list)),
      ms(median(list)),
      ratio(median(list), median(base)),
    ]),
  )
}

/**
 * ADD and DEL of one end of a veth pair by its name, with and without host-local IPAM, in a network and mount namespace
 * of their own. All state lies on the machine's disk, as it does in use.
 */
function nativeAttach(): void {
  const folder = mkdtempSync('/var/tmp/vf-bench-')
  try {
    const ipam = (name: string) => ({
      type: 'host-local',
      dataDir: `${folder}/${name}`,
      ranges: [[{ subnet: '10.9.0.0/24' }]],
      routes: [{ dst: '0.0.0.0/0' }],
    })
    const ours = { type: 'vf-attach', device: 'v0' }
    const theirs = { type: 'host-device', device: 'v0' }
    const series = {
      rounds: attachRounds,
      netns: '/run/netns/bench',
      path: go,
      plugins: {
        'vf-attach': { file: `${top}/dist/vf-attach`, config: ours },
        'Go host-device': { file: `${go}/host-device`, config: theirs },
        'vf-attach, IPAM': { file: `${top}/dist/vf-attach`, config: { ...ours, ipam: ipam('ours') } },
        'Go host-device, IPAM': { file: `${go}/host-device`, config: { ...theirs, ipam: ipam('theirs') } },
        'ip: move, rename, up': { file: '/usr/sbin/ip', config: { floor: 'v0' } },
      },
    }
    // The default folder of records is then on the disk, and nobody else's.
    const script = `mount -t tmpfs tmpfs /run && mkdir -p /run/netns /var/lib/cni && mount --bind ${folder} /var/lib/cni && ip link set lo up &&
      ip link add v0 type veth peer name v1 && ip link set v1 up && ip netns add bench &&
      exec sh hack/bun.sh hack/bench-guest.ts`
    const { stdout } = execaSync('unshare', ['-nm', 'sh', '-c', script], {
      cwd: top,
      input: JSON.stringify(series),
    })
    console.log(
      `\nADD and DEL of one end of a veth pair, natively, ${attachRounds} rounds interleaved (ms, medians)`,
    )
    attachTable(new Map(Object.entries(JSON.parse(stdout) as Record<string, Measured>)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** ADD and DEL of one VF, ours with PF-side attributes, by the guest's own clock, without the lab's channel. */
async function inLab(): Promise<void> {
  const lab = await bootLab()
  try {
    const topology = await buildTopology(lab, await loadIgb(lab), 1)
    const [vf] = topology.vfs
    if (vf === undefined) throw new Error('the PF has no VF')
    await newPod(lab, 'bench')
    const wishes = { spoofchk: 'on', trust: 'on', max_tx_rate: 500, mac: '02:00:00:00:00:01' }
    const plugins: Record<string, { file: string; config: Record<string, unknown> }> = {
      'vf-attach': { file: `${top}/dist/vf-attach`, config: { type: 'vf-attach', deviceID: vf.pci } },
      'vf-attach, 4 VF attributes': {
        file: `${top}/dist/vf-attach`,
        config: { type: 'vf-attach', deviceID: vf.pci, ...wishes },
      },
      'Go host-device': { file: `${go}/host-device`, config: { type: 'host-device', pciBusID: vf.pci } },
      'ip: move, rename, up': { file: '/usr/sbin/ip', config: { floor: vf.netdev } },
    }
    const measured = await measure(lab, plugins)
    console.log(
      `\nADD and DEL of one VF in the lab (kernel ${lab.kernel}, software emulation), ${labRounds} rounds interleaved (ms)`,
    )
    attachTable(measured)
    await bandwidth(lab)
    await deletePod(lab, 'bench')
    await tearDown(lab, topology)
    await ports(lab)
  } finally {
    await lab.close()
  }
}

async function partInLab(part: 'limits' | 'ports'): Promise<void> {
  const lab = await bootLab()
  try {
    if (part === 'ports') return await ports(lab)
    await newPod(lab, 'bench')
    await bandwidth(lab)
    await deletePod(lab, 'bench')
  } finally {
    await lab.close()
  }
}

function ports(lab: Lab): Promise<void> {
  return portsInLab(lab, (plugins, rounds) => measure(lab, plugins, rounds))
}

/** ADD and DEL of limits in both directions on a veth pair. Go's DEL leaves its qdiscs on the pair, which ends with the pod. */
async function bandwidth(lab: Lab): Promise<void> {
  await lab.must('ip link add v0 up type veth peer name net1 netns bench && ip -n bench link set net1 up')
  const limits = {
    ...{ ingressRate: 100_000_000, ingressBurst: 80_000_000 },
    ...{ egressRate: 50_000_000, egressBurst: 40_000_000 },
  }
  const prevResult = {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'v0' }, { name: 'net1', sandbox: '/run/netns/bench' }],
    ips: [{ address: '10.9.0.2/24', interface: 1 }],
  }
  const config = { type: 'bandwidth', prevResult, ...limits }
  const clean = 'tc qdisc del dev v0 root; tc qdisc del dev v0 ingress; tc qdisc del dev v0 clsact; true'
  const measured = await measure(lab, {
    'vf-offload': { file: `${top}/dist/vf-offload`, config },
    'Go bandwidth': { file: `${go}/bandwidth`, config, clean },
  })
  console.log(
    `\nADD and DEL of limits in both directions on a veth pair in the lab (kernel ${lab.kernel}, software emulation), ${labRounds} rounds interleaved (ms)`,
  )
  attachTable(measured, 'Go bandwidth')
}

/** Every series beside the Go plugin's; a series with IPAM is compared with the Go plugin's series with IPAM. */
function attachTable(measured: ReadonlyMap<string, Measured>, peer = 'Go host-device'): void {
  const base = (name: string): Measured => {
    const found = measured.get(name.endsWith(', IPAM') ? `${peer}, IPAM` : peer)
    if (found === undefined) throw new Error(`${peer} was not measured`)
    return found
  }
  table(
    [
      'program',
      'start',
      'ADD',
      'ADD / Go',
      'ADD - start / Go',
      'DEL',
      'DEL / Go',
      'DEL - start / Go',
      'peak memory of ADD',
    ],
    [...measured].map(([name, { add, del, start, memory }]) => {
      const go = base(name)
      const [baseAdd, baseDel, baseStart] = [median(go.add), median(go.del), median(go.start)]
      return [
        name,
        ms(median(start)),
        ms(median(add)),
        ratio(median(add), baseAdd),
        ratio(median(add) - median(start), baseAdd - baseStart),
        ms(median(del)),
        ratio(median(del), baseDel),
        ratio(median(del) - median(start), baseDel - baseStart),
        `${(Math.max(...memory) / 1024).toFixed(0)} MB`,
      ]
    }),
  )
}

/** The whole series runs as one program in the guest (hack/bench-guest.ts), which prints one line a call. */
async function measure(
  lab: Lab,
  plugins: Record<string, { file: string; config: Record<string, unknown>; clean?: string }>,
  rounds = labRounds,
): Promise<Map<string, Measured>> {
  const input = { rounds, netns: '/run/netns/bench', path: go, plugins }
  const { code, stdout, stderr } = await lab.exec(['sh', 'hack/bun.sh', 'hack/bench-guest.ts'], {
    stdin: JSON.stringify(input),
    timeoutMs: 900_000,
  })
  if (code !== 0) throw new Error(`the series failed: ${stderr}${stdout}`)
  return new Map(Object.entries(JSON.parse(stdout) as Record<string, Measured>))
}
