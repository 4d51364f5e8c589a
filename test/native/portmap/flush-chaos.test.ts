// Pods that want the same ports come and go at the same time, by chance, while the rules of the node are flushed all the time:
// no port ever has two owners, no call fails but for a port that somebody has, and what stands in the end stands. The seed is
// printed; VF_SOAK_SEED has another run, VF_FLUSH_CALLS a longer one.
// needs: veth, bridge, nft
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeList,
  offload,
  PODS,
  type PodName,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, HOST, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { type Random, randomFrom, seedOf } from '../../soak/seed.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const names = Object.keys(PODS) as PodName[]
const wanted = [30_000, 30_001]
const calls = Number(process.env.VF_FLUSH_CALLS ?? 40)
let lab: Lab
let runtime: Runtime
const results = new Map<PodName, CniResult>()

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await lab.must(`ip link add nic0 type veth peer name far1
    ip address add ${HOST.v4}/24 dev nic0; ip link set nic0 up; ip link set far1 up`)
  await warmBridge(lab, runtime)
  for (const pod of names) {
    await newPod(lab, pod)
    results.set(pod, await attachToBridge(lab, runtime, pod))
  }
})
afterAll(async () => {
  for (const pod of names) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
  await lab.must('ip link del nic0; ip link del cni0')
})

/** The owner of each port and the time since when, as the answers tell. */
class Owners {
  readonly #ports = new Map<number, PodName>()
  readonly twice: string[] = []

  take(port: number, pod: PodName): void {
    const other = this.#ports.get(port)
    if (other !== undefined) this.twice.push(`${port}: ${other} and ${pod}`)
    this.#ports.set(port, pod)
  }

  /** Before the DEL: from then on the port may be anybody's. */
  leave(pod: PodName): void {
    for (const [port, owner] of this.#ports) if (owner === pod) this.#ports.delete(port)
  }

  get all(): readonly (readonly [number, PodName])[] {
    return [...this.#ports]
  }
}

const call = (verb: string, pod: PodName, port: number): Promise<ExecResult> => {
  const ports = [{ hostPort: port, containerPort: 80 }]
  const prevResult = results.get(pod)
  const config = { localhost: port === wanted[0] }
  return tryOffload(runtime, verb, pod, {
    config,
    ports,
    ...(prevResult === undefined ? {} : { prevResult }),
  })
}

const codeOf = (result: ExecResult) => (result.code === 0 ? 0 : Number(JSON.parse(result.stdout).code))

/** One pod's life. Returns what no call may answer. */
async function live(pod: PodName, random: Random, owners: Owners): Promise<string[]> {
  const wrong: string[] = []
  let has: number | undefined
  const called = async (verb: string, port: number, allowed: readonly number[]) => {
    const result = await call(verb, pod, port)
    const code = codeOf(result)
    if (!allowed.includes(code)) wrong.push(`${verb} ${pod} ${port}: ${result.stdout}${result.stderr}`)
    return code
  }
  for (let step = 0; step < calls; step++) {
    const port = has ?? random.pick(wanted)
    if (has === undefined) {
      if ((await called('ADD', port, [0, 100, 11])) !== 0) continue
      has = port
      owners.take(port, pod)
    } else if (random.chance(40)) await called('CHECK', port, [0, 104])
    else {
      owners.leave(pod)
      await called('DEL', port, [0])
      has = undefined
    }
  }
  return wrong
}

async function flushAllTheTime(random: Random, isOver: () => boolean): Promise<number> {
  let flushes = 0
  for (; !isOver(); flushes++) {
    await lab.must('nft flush ruleset')
    await delay(random.below(60))
  }
  return flushes
}

test('no port has two owners, whenever the rules are flushed', {
  timeout: 600_000 + 1_000 * calls,
}, async () => {
  const seed = seedOf(process.env)
  const before = await snapshot(lab)
  const owners = new Owners()
  let isOver = false
  const flushing = flushAllTheTime(randomFrom(seed + 100), () => isOver)
  const lives = await Promise.all(names.map((pod, at) => live(pod, randomFrom(seed + at), owners)))
  isOver = true
  console.log(`seed ${seed}: ${calls} calls of each of ${names.length} pods beside ${await flushing} flushes`)
  expect({ twice: owners.twice, wrong: lives.flat() }).toEqual({ twice: [], wrong: [] })

  // The next call of anybody gives back what the last flush has taken.
  const spare = names.find((pod) => owners.all.every(([, owner]) => owner !== pod))
  if (spare !== undefined) await offload(runtime, 'DEL', spare)
  else await runtime.call('STATUS', bridgeList('pod-one'), { type: 'vf-offload' }, podOf('pod-one'))
  for (const [port, pod] of owners.all) expect((await call('CHECK', pod, port)).stdout).toBe('')
  for (const pod of names) await offload(runtime, 'DEL', pod)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
