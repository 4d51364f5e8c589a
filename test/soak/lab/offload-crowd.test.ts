// Thirty containers at once, while another program adds and removes filters of its own on the same uplink all the time: each
// gets its ports, and of none anything is left. On a VF of a simulated NIC in legacy mode (simnic, from source, not hardware).
// Takes minutes in emulation: part of `npm run test:soak` alone. test/native/offload/crowd.test.ts has a pod behind a bridge.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeBed, type PortBed } from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { lab } from '../../support/lab.ts'
import { runCrowd } from '../crowd.ts'

const FOREIGN = 100

let node: Node
let bed: PortBed

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
  bed = await makeBed(node, 'simnic-legacy')
})
afterAll(async () => {
  await node?.lab.must('rm -f /run/churn')
  await bed?.end()
  await node?.end()
})

const words = (prio: number) => `dev ${node.net.pf} ingress protocol ip prio ${prio}`

/** Filters of ours on the uplink by port, as tc lists them. */
async function ours(): Promise<number[]> {
  const listed = await node.lab.must(`tc filter show dev ${node.net.pf} ingress`)
  return listed
    .split(/^filter /m)
    .filter((text) => text.includes('cookie 7666'))
    .map((text) => Number(/dst_port (\d+)/.exec(text)?.[1]))
    .sort((a, b) => a - b)
}

test('thirty ADDs at once, then DEL and GC, with and without records, beside a program that is never quiet', {
  timeout: 900_000,
}, async () => {
  const prios = [1, 3, 4, 5, 20]
  const lines = prios.flatMap((prio) => [
    `filter add ${words(prio)} flower ip_proto udp dst_port 7 action pass`,
    `filter del ${words(prio)}`,
  ])
  await node.lab.writeFile('/run/churn', `${lines.join('\n')}\n`)
  await runCrowd(bed, {
    stay: `set -e; tc qdisc add dev ${node.net.pf} clsact
      seq -f 'filter add ${words(2)} flower ip_proto tcp dst_port %g action pass' ${FOREIGN} | tc -b -`,
    leave: `tc qdisc del dev ${node.net.pf} clsact`,
    change: 'tc -b /run/churn',
    calm: prios.map((prio) => `tc filter del ${words(prio)} 2>/dev/null`).join('\n'),
    standing: `tc filter show ${words(2)} | grep -c dst_port`,
    ours,
  })
  expect(await node.lab.must('nft list tables')).toBe('')
})
