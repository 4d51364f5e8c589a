// Thirty containers at once behind a bridge, while another program changes the node's tables and the filters of its uplink all
// the time: each gets its ports, all of them in one map, and of none anything is left. The same on a VF, whose ports are
// filters, is in `npm run test:soak`.
// needs: veth, bridge, nft, clsact, u32
import { afterAll, beforeAll, test } from 'vitest'
import { makeBed, type PortBed } from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { runCrowd } from '../../soak/crowd.ts'
import { lab } from '../../support/lab.ts'

let node: Node
let bed: PortBed

beforeAll(async () => {
  node = await makeNode(await lab(), 'veth')
  bed = await makeBed(node, 'bridge')
})
afterAll(async () => {
  await bed?.end()
  await node?.end()
})

/** Ports of ours in the node's map. */
async function ours(): Promise<number[]> {
  const listed = await node.lab.must(
    'nft list tables | grep -q vf-flower && nft list map inet vf-flower ports4; true',
  )
  return [...listed.matchAll(/10\.1\.0\.1 \. tcp \. (\d+) /g)]
    .map(([, port]) => Number(port))
    .sort((a, b) => a - b)
}

test('thirty ADDs at once behind a bridge succeed beside a program that is never quiet, and DEL and GC leave nothing', {
  timeout: 900_000,
}, async () => {
  const words = `dev ${node.net.pf} ingress protocol ip prio 7`
  await node.lab.writeFile(
    '/run/churn',
    `add table inet other
    add chain inet other in { type nat hook prerouting priority dstnat + 5; }
    add rule inet other in tcp dport 7 redirect to :8
    delete table inet other
    `,
  )
  await node.lab.writeFile(
    '/run/churn-tc',
    `filter add ${words} u32 match ip dport 7 0xffff flowid 1:1\nfilter del ${words}\n`,
  )
  await runCrowd(bed, {
    stay: `set -e; tc qdisc add dev ${node.net.pf} clsact
      tc filter add ${words.replace('prio 7', 'prio 2')} u32 match ip dport 9 0xffff flowid 1:1
      nft -f - <<'END'
      table inet stays {
        map ports { type inet_service : inet_service; elements = { ${Array.from({ length: 100 }, (_, port) => `${port + 1} : 9`).join(', ')} } }
        chain in { type nat hook prerouting priority dstnat + 1; redirect to :tcp dport map @ports; }
      }
END`,
    leave: `tc qdisc del dev ${node.net.pf} clsact; nft delete table inet stays; rm /run/churn /run/churn-tc`,
    change: 'nft -f /run/churn && tc -b /run/churn-tc',
    calm: `tc filter del ${words} 2>/dev/null; nft delete table inet other 2>/dev/null`,
    standing: `nft list table inet stays; nft list tables | grep -v vf-flower; tc filter show dev ${node.net.pf} ingress`,
    ours,
  })
})
