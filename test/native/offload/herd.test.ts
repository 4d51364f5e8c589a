// As many ADDs at once as a node has pods, while one of them is stopped with the node's lock and one that waits for it: none
// fails, each has its turn in about the order in which it came, and of all that they have made nothing is left after as many
// DELs at once. VF_TEST_ALL=1 takes 200 of them, and stops for 12 s, as `npm run test:soak` does.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import type { HerdAnswer, HerdOrder } from '../../soak/herd-guest.ts'
import { lab } from '../../support/lab.ts'

const long = process.env.VF_TEST_ALL === '1'
const COUNT = long ? 200 : 60
const STOPPED = long ? 12_000 : 2_000

let vm: Lab
beforeAll(async () => {
  vm = await lab()
  const each = Array.from({ length: COUNT }, (_, at) => [
    `netns add h${at}`,
    `link add p${at} up type veth peer name eth0 netns h${at}`,
    `address add 10.244.0.1/32 dev p${at}`,
    `route add ${ipOf(at)}/32 dev p${at}`,
  ]).flat()
  // Otherwise the ADDs would wait for things that IPv6 does by itself.
  await vm.must(`set -e
    for when in all default; do echo 1 >/proc/sys/net/ipv6/conf/$when/disable_ipv6; done
    ip -b - <<'END'
link add u0 up type veth peer name u1
link set u1 up
address add 10.1.0.1/24 dev u0
${each.join('\n')}
END
    for at in $(seq 0 ${COUNT - 1}); do ip -n h$at -b - <<END
link set lo up
address add 10.244.1.$((at + 2))/32 dev eth0
link set eth0 up
route add 10.244.0.1/32 dev eth0
route add default via 10.244.0.1
END
    done`)
})
afterAll(() =>
  vm?.must(
    `for at in $(seq 0 ${COUNT - 1}); do echo "link del p$at"; echo "netns del h$at"; done | ip -b -; ip link del u0`,
  ),
)

const ipOf = (at: number) => `10.244.1.${at + 2}`
const portOf = (at: number) => 20_000 + at

async function herd(verb: 'ADD' | 'DEL', stop?: HerdOrder['stop']): Promise<HerdAnswer[]> {
  const calls = Array.from({ length: COUNT }, (_, at) => {
    const interfaces = [{ name: `p${at}` }, { name: 'eth0', sandbox: `/run/netns/h${at}` }]
    const ips = [{ address: `${ipOf(at)}/32`, gateway: '10.244.0.1', interface: 1 }]
    const portMappings = [{ hostPort: portOf(at), containerPort: 80, protocol: 'tcp' }]
    const config = {
      ...{ cniVersion: '1.0.0', name: 'herd', type: 'vf-offload' },
      ...{ prevResult: { cniVersion: '1.0.0', interfaces, ips }, runtimeConfig: { portMappings } },
    }
    const env = { CNI_COMMAND: verb, CNI_CONTAINERID: `herd${at}`, CNI_NETNS: `/run/netns/h${at}` }
    return { env: { ...env, CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' }, stdin: JSON.stringify(config) }
  })
  const order: HerdOrder = {
    ...{ file: `${pluginPath[0]}/vf-offload`, calls, pause: 10 },
    ...(stop === undefined ? {} : { stop }),
  }
  const argv = ['sh', 'hack/bun.sh', 'test/soak/herd-guest.ts']
  const { code, stdout, stderr } = await vm.exec(argv, { stdin: JSON.stringify(order), timeoutMs: 0 })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const answers = JSON.parse(stdout) as HerdAnswer[]
  const last = Math.max(...answers.map(({ ended }) => ended))
  const processor = answers.reduce((sum, one) => sum + one.processor, 0)
  console.log(
    `${COUNT} ${verb}s in ${last} ms, ${Math.round(processor)} ms of the processor; order kept to ${alike(answers).toFixed(3)}`,
  )
  return answers
}

/** Spearman's correlation between the order of starts and that of ends, of those that were not stopped: 1 is the same order. */
function alike(answers: readonly HerdAnswer[]): number {
  const own = answers.filter(({ wasStopped }) => !wasStopped)
  const byEnd = own.map((one, start) => ({ start, ended: one.ended })).sort((a, b) => a.ended - b.ended)
  const squares = byEnd.reduce((sum, { start }, end) => sum + (start - end) ** 2, 0)
  return 1 - (6 * squares) / (own.length ** 3 - own.length)
}

async function ours(): Promise<number[]> {
  const listed = await vm.must(
    'nft list tables | grep -q vf-flower && nft list map inet vf-flower ports4; true',
  )
  const found = [...listed.matchAll(/10\.1\.0\.1 \. tcp \. (\d+) /g)].map(([, port]) => Number(port))
  return found.sort((a, b) => a - b)
}

const failed = (answers: readonly HerdAnswer[]) =>
  answers.filter(({ code }) => code !== 0).map(({ text }) => text)

test('none of a crowd fails, though one is stopped with the lock and one in line', {
  timeout: 180_000,
}, async () => {
  const before = await snapshot(vm)
  const added = await herd('ADD', {
    ...{ lock: '/run/vf-flower/lock', holder: STOPPED, waiting: STOPPED },
  })
  expect(failed(added)).toEqual([])
  expect(added.filter(({ wasStopped }) => wasStopped)).toHaveLength(2)
  expect(alike(added)).toBeGreaterThan(0.8)
  expect(await ours()).toEqual(Array.from({ length: COUNT }, (_, at) => portOf(at)))
  const removed = await herd('DEL')
  expect(failed(removed)).toEqual([])
  expect(alike(removed)).toBeGreaterThan(0.8)
  expect(await ours()).toEqual([])
  expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
})
