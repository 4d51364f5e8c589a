/**
 * The cost of port mappings beside the Go plugin portmap: the distribution's with iptables, and the newest with nftables: ADD and DEL of a pod behind a bridge,
 * with none and with 500 mappings of others on the node, and what goes through a mapped port.
 */
import { join } from 'node:path'
import type { Peer } from './bench/peers.ts'
import { type Measured, median, ms, ratio, table } from './bench-table.ts'
import { forgetPortmap } from './lab/bed/plugins.ts'
import { makeBed, type PortBed } from './lab/bed/port-bed.ts'
import { makeNode, type Node } from './lab/bed/port-node.ts'
import { HOST } from './lab/bed/topology.ts'
import type { Lab } from './lab/lab.ts'

const top = join(import.meta.dirname, '..')
const rounds = Number(process.env.BENCH_PORT_ROUNDS ?? 9)
const transfers = Number(process.env.BENCH_TRANSFERS ?? 5)
const megabytes = 20

type Plugins = Record<string, { file: string; config: Record<string, unknown>; argv0?: string }>
type Measure = (plugins: Plugins, rounds: number) => Promise<Map<string, Measured>>

/** Measures in a booted machine and prints two tables. */
export async function portsInLab(lab: Lab, peer: Peer, measure: Measure): Promise<void> {
  const node = await makeNode(lab, 'igb')
  const speed = new Map<string, number[]>()
  try {
    const veth = await makeBed(node, 'bridge')
    try {
      await calls(veth, peer, measure)
      await throughput(node, veth, speed, ['vf-offload', 'portmap'])
      await forgetPortmap(lab, 'cni-bed')
    } finally {
      await veth.end()
    }
    const vf = await makeBed(node, 'igb')
    try {
      await throughput(node, vf, speed, ['vf-offload'])
    } finally {
      await vf.end()
    }
  } finally {
    await node.end()
  }
  const base = median(speed.get('Go portmap, veth') ?? [])
  console.log(
    `\nThrough a mapped port in software, ${megabytes} MB of TCP from the wire, ${transfers} transfers each (MB/s, medians)`,
  )
  table(
    ['path', 'MB/s', '/ Go portmap'],
    [...speed].map(([name, list]) => [name, ms(median(list)), ratio(median(list), base)]),
  )
}

/** Calls for the pod under the name that the series uses. */
async function calls(bed: PortBed, peer: Peer, measure: Measure): Promise<void> {
  const { lab, one } = bed
  const netns = '/run/netns/bench'
  await lab.must(`touch ${netns} && mount --bind ${one.netns} ${netns}`)
  try {
    await series(bed, peer, measure)
  } finally {
    await lab.must(`umount ${netns}; rm ${netns}`)
  }
}

async function series({ lab, one, add, del }: PortBed, peer: Peer, measure: Measure): Promise<void> {
  const config = (count: number, first = 8000) => ({
    prevResult: one.result,
    runtimeConfig: {
      portMappings: Array.from({ length: count }, (_, index) => ({
        hostPort: first + index,
        containerPort: 80,
        protocol: 'tcp',
      })),
    },
  })
  const nftables = `portmap ${peer.version} nftables`
  const standalone = 'vf-offload, a process of its own'
  const programs: Readonly<Record<string, Omit<Plugins[string], 'config'>>> = {
    'vf-offload': { file: `${top}/dist/vf-offload` },
    [standalone]: { file: `${top}/dist/vf-flower`, argv0: 'vf-offload' },
    portmap: { file: '/usr/lib/cni/portmap' },
    [nftables]: { file: `${peer.folder}/portmap` },
  }
  const plugins = (suffix: string, names: readonly string[]): Plugins =>
    Object.fromEntries(
      [1, 10].flatMap((count) =>
        names.map((name) => [
          `${name.startsWith('portmap') ? 'Go ' : ''}${name}, ${count} mapping${count === 1 ? '' : 's'}${suffix}`,
          {
            file: '',
            ...programs[name],
            config: {
              type: name.startsWith('portmap') ? 'portmap' : 'vf-offload',
              ...(name === nftables ? { backend: 'nftables' } : {}),
              ...config(count),
            },
          },
        ]),
      ),
    )
  const measured = await measure(plugins('', Object.keys(programs)), rounds)
  const others = Array.from({ length: 5 }, (_, index) => `other-${index}`)
  for (const [index, containerID] of others.entries()) {
    const { portMappings } = config(100, 20_000 + 100 * index).runtimeConfig
    await add(one, portMappings, { containerID })
  }
  const crowded = await measure(plugins(', 500 of others', ['vf-offload']), rounds)
  for (const containerID of others) await del(one, { containerID })
  const goOf = (name: string) => measured.get(`Go portmap, ${/\d+ mappings?/.exec(name)?.[0]}`)
  const emptyOf = (name: string) => measured.get(name.replace(', 500 of others', ''))
  console.log(
    `\nADD and DEL of port mappings of a pod behind a bridge in the lab (kernel ${lab.kernel}, software emulation), ${rounds} rounds interleaved (ms, medians)`,
  )
  table(
    ['plugin', 'ADD', '/ Go', '/ empty node', 'DEL', '/ Go', '/ empty node', 'peak memory of ADD'],
    [...measured, ...crowded].map(([name, { add, del, memory }]) => [
      name,
      ms(median(add)),
      ratio(median(add), median(goOf(name)?.add ?? [])),
      ratio(median(add), median(emptyOf(name)?.add ?? [])),
      ms(median(del)),
      ratio(median(del), median(goOf(name)?.del ?? [])),
      ratio(median(del), median(emptyOf(name)?.del ?? [])),
      `${(Math.max(...memory) / 1024).toFixed(0)} MB`,
    ]),
  )
}

/** Transfers to the same port by turns, each with the mapping of one plugin. */
async function throughput(
  node: Node,
  bed: PortBed,
  speed: Map<string, number[]>,
  names: readonly ('vf-offload' | 'portmap')[],
): Promise<void> {
  const mappings = [{ hostPort: 8080, containerPort: 90, protocol: 'tcp' }]
  const [{ agent }] = node.clients
  const question = {
    protocol: 'digest',
    address: HOST.v4,
    port: 8080,
    timeoutMs: 300_000,
    bytes: megabytes * 1_000_000,
  } as const
  for (let round = 0; round <= transfers; round++) {
    for (const type of names) {
      const options = { config: { type }, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }
      const { code, stdout } = await bed.call('ADD', bed.one, mappings, options)
      if (code !== 0) throw new Error(`${type}: ${stdout}`)
      const started = performance.now()
      await agent.ask([question])
      const seconds = (performance.now() - started) / 1000
      await bed.call('DEL', bed.one, mappings, options)
      const name = `${type === 'portmap' ? 'Go ' : ''}${type}, ${bed.kind === 'bridge' ? 'veth' : 'legacy VF (igb)'}`
      // The first round fills caches.
      if (round > 0) speed.set(name, [...(speed.get(name) ?? []), megabytes / seconds])
    }
  }
}
