/**
 * The cost of the device plugin, beside its bars: `sh hack/bun.sh hack/bench-device-plugin.ts [--pfs N] [--vfs N] [--rounds N] [--scans]`.
 * Scans of a fake sysfs with PFs and VFs, the list of as many interfaces of a real kernel, in a namespace, as root, and then the whole
 * program of `dist/` through an hour's worth of churn (bench-plugin-process.ts), which `--scans` leaves out. Exits with 1 when a bar is
 * missed.
 */
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { noNetwork } from '../device-plugin/inventory/no-network.ts'
import { scan } from '../device-plugin/inventory/scan.ts'
import type { NetworkLink } from '../src/kernel/api/network-facts.ts'
import { openNetworkFacts } from '../src/kernel/linux-network-facts.ts'
import { measureProcess, printRows } from './bench-plugin-process.ts'
import { median, minimum, ms, table } from './bench-table.ts'
import { bigNode } from './lab/fake-root/big-node.ts'

const { values } = parseArgs({
  options: {
    ...{ pfs: { type: 'string', default: '8' }, vfs: { type: 'string', default: '128' } },
    ...{ rounds: { type: 'string', default: '20' }, links: { type: 'boolean', default: false } },
    scans: { type: 'boolean', default: false },
  },
})
const [pfs, vfs, rounds] = [values.pfs, values.vfs, values.rounds].map(Number) as [number, number, number]

/** What an interface of a fake node has not. */
const nothing = {
  ...{ master: undefined, lower: undefined, kind: undefined, slaveKind: undefined },
  ...{ physSwitchId: undefined, physPortName: undefined },
}

/** Milliseconds of one call, by the clock and by the processor. */
interface Took {
  readonly clock: number
  readonly processor: number
}

if (values.links) {
  console.log(JSON.stringify(measured(listLinks)))
} else {
  const { bySysfs, listed } = measureScans()
  const links = measureLinks()
  console.log(`\n${pfs} PFs with ${vfs} VFs each, ${rounds} rounds behind three that warm up (ms)`)
  table(
    ['', 'clock, median', 'least', 'processor, median', 'least'],
    [
      row('scan, interfaces by sysfs', bySysfs),
      row('scan, interfaces as the kernel lists them', listed),
      ...(links === undefined ? [] : [row('the list of a real kernel, its routes and addresses', links)]),
    ],
  )
  const processor = (took: readonly Took[]) => median(took.map((one) => one.processor))
  const idle = (processor(listed) + processor(links ?? [])) / 1000 / 0.002
  console.log(`\nA scan every ${Math.ceil(idle)} s or less often keeps below 0.2 % of one processor.`)
  if (!values.scans) {
    execaSync('sh', ['hack/bun.sh', 'hack/build.ts'], { stdio: 'inherit' })
    printRows(measureProcess())
  }
}

/** Scans with interfaces that only sysfs tells of, and with a kernel that lists them as on a real node. */
function measureScans(): { readonly bySysfs: readonly Took[]; readonly listed: readonly Took[] } {
  const root = bigNode(pfs, vfs)
  try {
    const { sys, dev } = root
    const look = (links: readonly NetworkLink[]) => {
      const openNetwork = () => ({ ...noNetwork, links: () => links })
      return scan({ sys, dev, openNetwork }, 1)
    }
    const links = look([]).devices.flatMap(({ id, netdevs }) =>
      netdevs.map((netdev) => ({ ...netdev, ...nothing, type: 1, parent: id })),
    )
    return { bySysfs: measured(() => look([])), listed: measured(() => look(links)) }
  } finally {
    root.remove()
  }
}

/** Of a process in a namespace of its own; undefined where there is no right to make one. */
function measureLinks(): readonly Took[] | undefined {
  const count = pfs * (vfs + 1)
  const script = `for i in $(seq ${count}); do echo "link add i$i type ifb"; echo "link set i$i up"; done | ip -b - &&
    exec sh hack/bun.sh hack/bench-device-plugin.ts --links --rounds ${rounds}`
  const { exitCode, stdout } = execaSync('unshare', ['-n', 'sh', '-c', script], { reject: false })
  return exitCode === 0 ? (JSON.parse(stdout) as readonly Took[]) : undefined
}

function listLinks(): void {
  const facts = openNetworkFacts()
  facts.links()
  facts.defaultRoutes()
  facts.addresses()
  facts.close()
}

function measured(action: () => void): readonly Took[] {
  for (let warm = 0; warm < 3; warm++) action()
  return Array.from({ length: rounds }, () => {
    const [start, used] = [performance.now(), process.cpuUsage()]
    action()
    const { user, system } = process.cpuUsage(used)
    return { clock: performance.now() - start, processor: (user + system) / 1000 }
  })
}

function row(name: string, took: readonly Took[]): string[] {
  const [clock, processor] = [took.map((one) => one.clock), took.map((one) => one.processor)]
  return [name, ms(median(clock)), ms(minimum(clock)), ms(median(processor)), ms(minimum(processor))]
}
