/**
 * The tables of `npm run bench` in the virtual machine: ADD and DEL of a VF beside host-device, of limits beside bandwidth, of port mappings
 * beside portmap. The series run in the guest (hack/bench-guest.ts), by its own clock, without the lab's channel.
 */
import { join } from 'node:path'
import { portsInLab } from '../bench-ports.ts'
import { type Measured, median, ms, ratio, table } from '../bench-table.ts'
import { buildTopology, deletePod, loadIgb, newPod, tearDown } from '../lab/bed/topology.ts'
import { bootLab, type Lab } from '../lab/lab.ts'
import { filtersInLab } from './lab-filters.ts'
import { sizeInLab } from './lab-size.ts'
import { canBeWarm } from './nodes.ts'
import { newestPeer, type Peer } from './peers.ts'

const top = join(import.meta.dirname, '../..')
const go = '/usr/lib/cni'
const labRounds = Number(process.env.BENCH_LAB_ROUNDS ?? 15)

/** The tables in the lab, in their order. */
export const LAB = ['lab-attach', 'lab-limits', 'lab-ports', 'lab-filters', 'lab-size'] as const
/** One of {@link LAB}. */
export type LabTable = (typeof LAB)[number]

/** A plugin of a series in the guest. */
interface Plugin {
  readonly file: string
  readonly config: Record<string, unknown>
  readonly argv0?: string
  readonly clean?: string
}

/** Boots one machine, and prints these tables. */
export async function inLab(tables: readonly LabTable[]): Promise<void> {
  const peer = await newestPeer()
  const lab = await bootLab()
  try {
    if (canBeWarm())
      await lab.must(`setsid dist/vf-agent </dev/null >/run/vf-agent.log 2>&1 &
        i=0; while [ ! -S /run/vf-flower/agent.sock ]; do i=$((i + 1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done`)
    for (const one of tables) {
      if (one === 'lab-attach') await attach(lab, peer)
      else if (one === 'lab-limits') {
        await newPod(lab, 'bench')
        await bandwidth(lab, peer)
        await deletePod(lab, 'bench')
      } else if (one === 'lab-filters') await filtersInLab(lab)
      else if (one === 'lab-size') await sizeInLab(lab)
      else await portsInLab(lab, peer, (plugins, rounds) => measure(lab, plugins, rounds))
    }
  } finally {
    await lab.close()
  }
}

/**
 * A plugin of ours: through the shim, and as a process of its own. Both are in one machine, so the second is the program without the shim
 * in front, which has no agent.
 */
function ours(name: string, label: string, config: Record<string, unknown>): Record<string, Plugin> {
  const standalone = { file: `${top}/dist/vf-flower`, argv0: name, config }
  if (!canBeWarm()) return { [`${label}, standalone`]: standalone }
  return {
    [`${label}, warm`]: { file: `${top}/dist/${name}`, config },
    [`${label}, standalone`]: standalone,
  }
}

/** ADD and DEL of one VF, ours with PF-side attributes, by the guest's own clock, without the lab's channel. */
async function attach(lab: Lab, peer: Peer): Promise<void> {
  const topology = await buildTopology(lab, await loadIgb(lab), 1)
  const [vf] = topology.vfs
  if (vf === undefined) throw new Error('the PF has no VF')
  await newPod(lab, 'bench')
  const wishes = { spoofchk: 'on', trust: 'on', max_tx_rate: 500, mac: '02:00:00:00:00:01' }
  const config = { type: 'vf-attach', deviceID: vf.pci }
  const plugins: Record<string, Plugin> = {
    ...ours('vf-attach', 'vf-attach', config),
    ...ours('vf-attach', 'vf-attach, 4 VF attributes', { ...config, ...wishes }),
    'Go host-device': { file: `${go}/host-device`, config: { type: 'host-device', pciBusID: vf.pci } },
    [`Go host-device ${peer.version}`]: {
      file: `${peer.folder}/host-device`,
      config: { type: 'host-device', pciBusID: vf.pci },
    },
    'ip: move, rename, up': { file: '/usr/sbin/ip', config: { floor: vf.netdev } },
  }
  const measured = await measure(lab, plugins)
  console.log(
    `\nADD and DEL of one VF in the lab (kernel ${lab.kernel}, software emulation), ${labRounds} rounds interleaved (ms)`,
  )
  attachTable(measured)
  await deletePod(lab, 'bench')
  await tearDown(lab, topology)
}

/** ADD and DEL of limits in both directions on a veth pair. Go's DEL leaves its qdiscs on the pair, which ends with the pod. */
async function bandwidth(lab: Lab, peer: Peer): Promise<void> {
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
    ...ours('vf-offload', 'vf-offload', config),
    'Go bandwidth': { file: `${go}/bandwidth`, config, clean },
    [`Go bandwidth ${peer.version}`]: { file: `${peer.folder}/bandwidth`, config, clean },
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
  plugins: Record<string, Plugin>,
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
