/**
 * The half of hack/bench-filters.ts that runs on the node. Two namespaces stand for two nodes; one of them has filters of others.
 * Each round calls DEL and GC in both by turns. In: a FilterSeries as JSON on stdin. Out: FilterTimes as JSON. With an argument the
 * program is the worker of the namespace in which it was started: it answers each call with one line, the call's times.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { NetlinkSocket } from '../src/netlink/socket.ts'
import { dumpFilters } from '../src/netlink/tc/filter.ts'
import { openNetlink } from '../src/sys/netlink.ts'

/** One measurement. */
export interface FilterSeries {
  readonly rounds: number
  /** Number of filters of others. */
  readonly count: number
  /** A filter of others, with ADDRESS for the one that it matches: `u32 match ip dst ADDRESS/32 flowid 1:1`. */
  readonly filter: string
  /** Programs by the name of the build. */
  readonly builds: Readonly<Record<string, string>>
}

/** Milliseconds of one call: by the clock, and of the processor. */
export interface Took {
  readonly clock: number
  readonly processor: number
}

/** Times by `BUILD CALL`, on the node without filters of others and on the one with them; and of a dump of those filters alone. */
export interface FilterTimes {
  readonly empty: Record<string, Took[]>
  readonly crowded: Record<string, Took[]>
  readonly raw: Took[]
}

/** One call, or a dump. */
type Order =
  | { readonly file: string; readonly verb: string; readonly stateDir: string }
  | { readonly dump: string }

const nodes = ['empty', 'crowded'] as const
const config = {
  ...{ cniVersion: '1.1.0', name: 'bench', type: 'vf-offload' },
  runtimeConfig: {
    bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 },
  },
}

if (process.argv[2] === 'worker') await work(process.argv[3] ?? '')
else if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(await Bun.stdin.text()))))

async function run({ rounds, count, filter, builds }: FilterSeries): Promise<FilterTimes> {
  const sh = (command: string, input = '') =>
    execFileSync('sh', ['-ec', command], { input, encoding: 'utf8' })
  const times: FilterTimes = { empty: {}, crowded: {}, raw: [] }
  for (const node of nodes) {
    sh(`ip netns add ${node}; ip netns add ${node}-pod
      ip -n ${node} link add c0 up type veth peer name c1; tc -n ${node} qdisc add dev c0 clsact
      ip -n ${node} link add v0 up type veth peer name net1 netns ${node}-pod
      ip -n ${node}-pod link set net1 up`)
  }
  const address = (n: number) => `10.${(n >> 14) & 255}.${(n >> 7) & 127}.${n & 127}`
  const batch = Array.from(
    { length: count },
    (_, n) => `filter add dev c0 ingress protocol ip prio 100 ${filter.replace('ADDRESS', address(n))}\n`,
  )
  sh('tc -n crowded -batch -', batch.join(''))
  const workers = nodes.map((node) => ({ node, ...worker(node) }))
  try {
    for (let round = -1; round < rounds; round++) {
      for (const { node, ask } of round % 2 === 0 ? workers : workers.toReversed()) {
        for (const [build, file] of Object.entries(builds)) {
          const stateDir = `/run/bench-filters-${node}`
          const timed = async (call: string, verb: string) => {
            const took = await ask({ file, verb, stateDir })
            const name = `${build} ${call}`
            if (round >= 0) times[node][name] = [...(times[node][name] ?? []), took]
          }
          await timed('ADD', 'ADD')
          await timed('DEL', 'DEL')
          await ask({ file, verb: 'ADD', stateDir })
          rmSync(`${stateDir}/offload`, { recursive: true })
          await timed('DEL without a record', 'DEL')
          await timed('DEL without anything', 'DEL')
          await timed('GC', 'GC')
        }
        if (node === 'crowded' && round >= 0) times.raw.push(await ask({ dump: 'c0' }))
      }
    }
    return times
  } finally {
    for (const one of workers) one.end()
    for (const node of nodes)
      sh(`ip netns del ${node}; ip netns del ${node}-pod; rm -rf /run/bench-filters-${node}`)
  }
}

/** Starts a process in the namespace of a node. */
function worker(node: string) {
  const argv = ['nsenter', `--net=/run/netns/${node}`, 'sh', 'hack/bun.sh', import.meta.path, 'worker', node]
  const child = Bun.spawn(argv, { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
  return {
    ask: async (order: Order): Promise<Took> => {
      child.stdin.write(`${JSON.stringify(order)}\n`)
      child.stdin.flush()
      const { value } = await lines.read()
      if (value === undefined) throw new Error(`the worker of "${node}" has ended`)
      return JSON.parse(value) as Took
    },
    end: () => child.kill(),
  }
}

async function work(node: string): Promise<void> {
  for await (const line of createInterface(process.stdin)) {
    const order = JSON.parse(line) as Order
    console.log(JSON.stringify('dump' in order ? dump(order.dump) : call(node, order)))
  }
}

/** Reads a dump without decoding it. */
function dump(link: string): Took {
  const [{ ifindex }] = JSON.parse(
    execFileSync('ip', ['-j', 'link', 'show', 'dev', link], { encoding: 'utf8' }),
  )
  const socket = new NetlinkSocket(openNetlink(0))
  const [started, before] = [performance.now(), process.cpuUsage()]
  socket.scan(dumpFilters(ifindex), [])
  const [clock, { user, system }] = [performance.now() - started, process.cpuUsage(before)]
  socket.close()
  return { clock, processor: (user + system) / 1000 }
}

function call(node: string, { file, verb, stateDir }: Extract<Order, { file: string }>): Took {
  const netns = `/run/netns/${node}-pod`
  const env = {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: 'bench', CNI_NETNS: netns, CNI_IFNAME: 'net1' },
    ...{ CNI_PATH: '/usr/lib/cni', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  }
  const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'net1', sandbox: netns }], ips: [] }
  const more = verb === 'GC' ? { 'cni.dev/valid-attachments': [] } : { prevResult }
  const stdin = new TextEncoder().encode(JSON.stringify({ ...config, ...more, stateDir }))
  const started = performance.now()
  const ended = Bun.spawnSync([file], { env, stdin })
  const clock = performance.now() - started
  if (ended.exitCode !== 0) throw new Error(`${file} ${verb}: ${ended.stdout}${ended.stderr}`)
  return { clock, processor: Number(ended.resourceUsage?.cpuTime.total ?? 0) / 1000 }
}
