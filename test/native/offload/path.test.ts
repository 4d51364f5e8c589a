// The files that run in an ADD of one mapping behind a veth pair, by lines counted: docs/architecture.md names each that does more
// than a little.
// needs: veth, bridge, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachToBridge, offload, type PodName } from '../../../hack/lab/bed/bridge-bed.ts'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import { firsts, helpers, path } from '../../support/add-path.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'
import {
  type CountedProgram,
  compileWithCounters,
  LINES_VARIABLE,
  lineCounts,
} from '../../support/line-counters.ts'

/** Lines that a file may run without being named. */
const few = 10

// Before the node starts: it sees the files that are there by then.
let program: CountedProgram
beforeAll(() => {
  program = compileWithCounters('vf-offload')
})
afterAll(() => program.remove())

let node: BridgeNode
useBridgeNode((made) => {
  node = made
})
useFreshPods(() => node, ['pod-one', 'pod-two'])

/** Attaches a pod with one mapping; returns the number of lines that ran, by file. */
async function linesOfAdd(pod: PodName, hostPort: number): Promise<Map<string, number>> {
  const prevResult = await attachToBridge(node.lab, node.runtime, pod)
  const file = `/run/lines-of-${pod}`
  const counted = cniRuntime(node.lab, [program.folder, ...pluginPath], ['env', `${LINES_VARIABLE}=${file}`])
  await offload(counted, 'ADD', pod, {
    prevResult,
    ports: [{ hostPort, containerPort: 80, protocol: 'tcp' }],
  })
  return lineCounts(await node.lab.must(`cat ${file}`))
}

/** Fails for a file that runs more than a little and is in no list, and for one in a list that does not run. The log is left out. */
function compare(
  counts: ReadonlyMap<string, number>,
  named: readonly string[],
  must: readonly string[],
): void {
  const busy = [...counts].filter(([file, lines]) => lines > few && !file.startsWith('src/lib/log/'))
  expect(busy.filter(([file]) => !named.includes(file))).toEqual([])
  expect(must.filter((file) => (counts.get(file) ?? 0) === 0)).toEqual([])
}

test('the path of an ADD and the files beside it are all that runs more than ten lines', async () => {
  const onPath = path.map(({ file }) => file)
  const first = await linesOfAdd('pod-two', 8081)
  compare(first, [...onPath, ...helpers, ...firsts], firsts)
  const second = await linesOfAdd('pod-one', 8080)
  compare(second, [...onPath, ...helpers], [...onPath, ...helpers])
})
