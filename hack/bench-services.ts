/**
 * The cost of the look for services to an ADD of port mappings: the same ADD of a pod behind a bridge, with the look and with
 * `allowServicePorts`, which leaves it out, by turns; on a node without anybody's rules, and beside 5,000 services of kube-proxy.
 *
 *     sh hack/bun.sh hack/bench-services.ts [ROUNDS]        nodes made of namespaces: none, iptables, iptables-legacy, nftables
 *     sh hack/bun.sh hack/bench-services.ts [ROUNDS] ipvs   the virtual machine: none, IPVS
 */
import { join } from 'node:path'
import { median, minimum, ms, ratio, table } from './bench-table.ts'
import { attachToBridge } from './lab/bed/bridge-bed.ts'
import { iptablesMode, ipvsMode, manyServices, nftablesMode } from './lab/bed/kube-proxy.ts'
import { testRuntime } from './lab/bed/plugins.ts'
import { newPod } from './lab/bed/topology.ts'
import { bootLab, type Lab } from './lab/lab.ts'
import { bootNode } from './lab/node.ts'

const top = join(import.meta.dirname, '..')
const count = 5_000
/** A port of no service. */
const hostPort = 8080

interface Times {
  readonly clock: number[]
  readonly processor: number[]
}
/** Times of ADDs with the look, and without it. */
type Both = Readonly<Record<'looking' | 'allowed', Times>>

const [rounds = '40', place = 'native'] = process.argv.slice(2)
if (rounds === 'beside') console.log(JSON.stringify(beside(JSON.parse(await Bun.stdin.text()))))
else await compare(Number(rounds))

async function compare(number: number): Promise<void> {
  const services = manyServices(count, [hostPort])
  const load = (program: string, text: string) => async (lab: Lab) => {
    await lab.writeFile('/run/rules', text, 0o600)
    await lab.must(`${program} </run/rules`, { timeoutMs: 600_000 })
  }
  const modes: Record<string, (lab: Lab) => Promise<void>> =
    place === 'ipvs'
      ? {
          'nobody translates': async () => undefined,
          IPVS: async (lab) => {
            const { services: virtual } = ipvsMode(services, ['10.88.0.1'])
            await lab.must('modprobe -a ip_vs ip_vs_rr')
            await load('ipvsadm --restore', virtual)(lab)
          },
        }
      : {
          'nobody translates': async () => undefined,
          'iptables (iptables-nft)': load('iptables-nft-restore --noflush', iptablesMode(services)),
          'iptables (iptables-legacy)': load('iptables-legacy-restore --noflush', iptablesMode(services)),
          nftables: load('nft -f -', nftablesMode(services)),
        }
  const rows: string[][] = []
  for (const [name, make] of Object.entries(modes)) {
    const lab = place === 'ipvs' ? await bootLab() : await bootNode()
    try {
      rows.push([name, ...words(await measured(lab, make, number))])
    } finally {
      await lab.close()
    }
  }
  console.log(
    `\nADD of one port mapping behind a bridge, ${number} rounds (ms; medians, least in brackets), ${count} services`,
  )
  table(['kube-proxy', 'without the look', 'with it', 'more', 'times', 'more of the processor'], rows)
}

function words({ looking, allowed }: Both): string[] {
  const both = (list: number[]) => `${ms(median(list))} (${ms(minimum(list))})`
  const more = (kind: keyof Times) =>
    `${ms(median(looking[kind]) - median(allowed[kind]))} (${ms(minimum(looking[kind]) - minimum(allowed[kind]))})`
  return [
    ...[both(allowed.clock), both(looking.clock), more('clock')],
    ...[ratio(median(looking.clock), median(allowed.clock)), more('processor')],
  ]
}

async function measured(lab: Lab, make: (lab: Lab) => Promise<void>, number: number): Promise<Both> {
  await newPod(lab, 'pod-one')
  const prevResult = await attachToBridge(lab, testRuntime(lab), 'pod-one')
  await make(lab)
  await lab.writeFile('/run/series', JSON.stringify({ rounds: number, prevResult }), 0o600)
  const script = join(top, 'hack/bench-services.ts')
  const printed = await lab.must(`"${process.execPath}" "${script}" beside </run/series`, {
    timeoutMs: 1_200_000,
  })
  return JSON.parse(printed) as Both
}

/** The half that runs beside the programs. */
function beside({
  rounds: number,
  prevResult,
}: {
  readonly rounds: number
  readonly prevResult: unknown
}): Both {
  const times: Both = { looking: { clock: [], processor: [] }, allowed: { clock: [], processor: [] } }
  const call = (verb: string, more: Record<string, unknown> = {}) => {
    const env = {
      ...{ CNI_COMMAND: verb, CNI_CONTAINERID: 'bench', CNI_NETNS: '/run/netns/pod-one', CNI_IFNAME: 'eth0' },
      ...{ CNI_PATH: '/usr/lib/cni', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    }
    const runtimeConfig = {
      portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp', hostIP: '10.88.0.1' }],
    }
    const config = {
      cniVersion: '1.0.0',
      name: 'bench',
      type: 'vf-offload',
      prevResult,
      runtimeConfig,
      ...more,
    }
    const started = performance.now()
    const ended = Bun.spawnSync([`${top}/dist/vf-offload`], {
      env,
      stdin: new TextEncoder().encode(JSON.stringify(config)),
    })
    const clock = performance.now() - started
    if (ended.exitCode !== 0) throw new Error(`${verb}: ${ended.stdout}${ended.stderr}`)
    return { clock, processor: Number(ended.resourceUsage?.cpuTime.total ?? 0) / 1000 }
  }
  for (let round = -2; round < number; round++) {
    for (const kind of round % 2 === 0
      ? (['looking', 'allowed'] as const)
      : (['allowed', 'looking'] as const)) {
      const { clock, processor } = call('ADD', kind === 'allowed' ? { allowServicePorts: true } : {})
      call('DEL')
      if (round < 0) continue
      times[kind].clock.push(clock)
      times[kind].processor.push(processor)
    }
  }
  return times
}
