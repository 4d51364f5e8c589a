/**
 * The cost of a crowded pod to others: ADD and DEL of a pod behind a veth while another pod's ADD or DEL runs, which has 100,000 routes,
 * 10,000 interfaces and 10,000 altnames, or nothing. Natively, both by turns in one run; the ratio is what counts.
 *
 *     sh hack/bun.sh hack/bench-crowded.ts [--rounds N] [--routes N] [--links N] [--against FOLDER-OF-PROGRAMS]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { median, ms, ratio, table } from './bench-table.ts'

const top = join(import.meta.dirname, '..')
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    routes: { type: 'string', default: '100000' },
    links: { type: 'string', default: '10000' },
    against: { type: 'string', default: `${top}/dist` },
  },
})
const [rounds, routes, links] = [Number(values.rounds), Number(values.routes), Number(values.links)]
const inside = 'VF_BENCH_CROWDED'

if (process.env[inside] === undefined) outside()
else await measure()

/** Runs this file again, in namespaces of its own. */
function outside(): void {
  const folder = mkdtempSync('/var/tmp/vf-bench-')
  const script = `mount -t sysfs none /sys; mount -t tmpfs none /run; mkdir -p /run/netns /run/vf-flower /var/lib/cni
    mount --bind ${folder} /var/lib/cni; ip link set lo up; exec sh hack/bun.sh hack/bench-crowded.ts "$@"`
  try {
    execaSync(
      'unshare',
      ['-n', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', ...process.argv.slice(2)],
      {
        cwd: top,
        env: { [inside]: '1' },
        stdio: 'inherit',
      },
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Pod {
  readonly name: string
  readonly config: string
}

/** A pod behind a veth pair on a bridge, with a port and a limit of its own. */
function makePod(name: string, number: number): Pod {
  sh(`set -e
    ip netns add ${name}; ip -n ${name} link set lo up
    ip link add h${number} type veth peer name eth0 netns ${name}
    ip link set h${number} master br0 up; ip -n ${name} link set eth0 up
    ip -n ${name} addr add 10.6.0.${number}/24 dev eth0; ip -n ${name} route add default via 10.6.0.1`)
  const config = {
    ...{ cniVersion: '1.0.0', name: 'crowded', type: 'vf-offload' },
    runtimeConfig: {
      portMappings: [{ hostPort: 8000 + number, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 1_000_000_000, ingressBurst: 80_000_000 },
    },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: `/run/netns/${name}` }],
      ips: [{ address: `10.6.0.${number}/24`, gateway: '10.6.0.1', interface: 0 }],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  }
  return { name, config: JSON.stringify(config) }
}

function fill({ name }: Pod): void {
  const lines = [
    ...Array.from({ length: routes }, (_, at) => `route add ${address(at)}/32 dev lo`),
    ...Array.from({ length: links }, (_, at) => `link add l${at} type ifb`),
    // One interface takes 64 KiB of altnames.
    ...Array.from({ length: links }, (_, at) => `link property add dev l${at % 100} altname a${at}`),
  ]
  execaSync('ip', ['-n', name, '-b', '-'], { input: lines.join('\n') })
}

function address(at: number): string {
  return `172.${16 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`
}

function sh(script: string): void {
  execaSync('sh', ['-c', script])
}

/** Makes one call; returns its milliseconds. */
async function call(command: string, { name, config }: Pod): Promise<number> {
  const began = performance.now()
  const child = Bun.spawn([`${values.against}/vf-offload`], {
    stdin: new TextEncoder().encode(config),
    stdout: 'pipe',
    stderr: 'pipe',
    env: {
      ...{ CNI_COMMAND: command, CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}` },
      ...{ CNI_IFNAME: 'eth0', CNI_PATH: '/nowhere', PATH: process.env.PATH ?? '' },
    },
  })
  const code = await child.exited
  const took = performance.now() - began
  if (code !== 0) throw new Error(`${command} of ${name}: ${await new Response(child.stdout).text()}`)
  return took
}

/** Milliseconds for which any process held the node's lock while `action` ran, sampled every half a millisecond. */
async function held(action: () => Promise<unknown>): Promise<number> {
  const [major, minor, inode] = execaSync('stat', ['-c', '%Hd %Ld %i', '/run/vf-flower/lock']).stdout.split(
    ' ',
  )
  const hex = (number = '') => Number(number).toString(16).padStart(2, '0')
  const which = ` ${hex(major)}:${hex(minor)}:${inode} `
  let ended = false
  const running = action().finally(() => {
    ended = true
  })
  let total = 0
  let last = performance.now()
  while (!ended) {
    const isHeld = readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .some((line) => line.includes('FLOCK') && line.includes('WRITE') && line.includes(which))
    const now = performance.now()
    if (isHeld) total += now - last
    last = now
    await Bun.sleep(0.5)
  }
  await running
  return total
}

async function measure(): Promise<void> {
  sh('set -e; ip link add br0 type bridge; ip link set br0 up; ip addr add 10.6.0.1/24 dev br0')
  const [other, plain, crowd] = [makePod('other', 2), makePod('plain', 3), makePod('crowd', 4)]
  console.log(`A pod gets ${routes} routes, ${links} interfaces and ${links} altnames ...`)
  fill(crowd)
  const beside = new Map<Pod, Record<'add' | 'del' | 'ownAdd' | 'ownDel' | 'held', number[]>>(
    [plain, crowd].map((pod) => [pod, { add: [], del: [], ownAdd: [], ownDel: [], held: [] }]),
  )
  for (let round = 0; round <= rounds; round++) {
    for (const [pod, times] of beside) {
      const [ownAdd, add] = await Promise.all([call('ADD', pod), call('ADD', other)])
      const [ownDel, del] = await Promise.all([call('DEL', pod), call('DEL', other)])
      await call('ADD', pod)
      const lock = await held(() => call('DEL', pod))
      // The first round fills caches.
      if (round > 0)
        for (const [key, value] of Object.entries({ add, del, ownAdd, ownDel, held: lock }))
          times[key as keyof typeof times].push(value)
    }
  }
  const base = beside.get(plain)
  console.log(`\nvf-offload beside another pod's call, natively, ${rounds} rounds by turns (ms, medians)`)
  table(
    [
      'the other pod has',
      'ADD',
      '/ nothing',
      'DEL',
      '/ nothing',
      'its own ADD',
      'its own DEL',
      'its DEL holds the lock',
    ],
    [...beside].map(([pod, { add, del, ownAdd, ownDel, held: lock }]) => [
      pod === crowd ? 'a crowd' : 'nothing',
      ms(median(add)),
      ratio(median(add), median(base?.add ?? [])),
      ms(median(del)),
      ratio(median(del), median(base?.del ?? [])),
      ms(median(ownAdd)),
      ms(median(ownDel)),
      ms(median(lock)),
    ]),
  )
  // Without its record a DEL searches everything, the pod too.
  const lost: [string, number, number][] = []
  for (const pod of [plain, crowd]) {
    await call('ADD', pod)
    rmSync('/var/lib/cni/vf-flower/offload', { recursive: true })
    let took = 0
    const lock = await held(async () => {
      took = await call('DEL', pod)
    })
    lost.push([pod.name, took, lock])
  }
  console.log('\nIts DEL without a record (ms)')
  table(
    ['pod', 'DEL', 'holds the lock'],
    lost.map(([name, took, lock]) => [name, ms(took), ms(lock)]),
  )
}
