// The same mappings of one pod behind a bridge, by the distribution's Go plugin portmap (iptables) and by vf-offload: the
// same askers reach it, programs of the node at 127.0.0.1 too, and clients keep their addresses with both.
// needs: veth, bridge, nft, iptables
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forgetPortmap } from '../../../hack/lab/bed/plugins.ts'
import { makeBed, type PortBed } from '../../../hack/lab/bed/port-bed.ts'
import { makeNode, type Node } from '../../../hack/lab/bed/port-node.ts'
import { reachability } from '../../scenarios/matrix.ts'
import { USUAL } from '../../scenarios/scenario.ts'
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

test('who reaches a mapped port is the same with portmap and with vf-offload', async () => {
  const nobody = await reachability(bed)
  expect(new Set(Object.values(nobody))).toEqual(new Set(['nobody']))
  const config = { type: 'portmap', snat: true }
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const portmap = async (command: string) => {
    const { code, stdout, stderr } = await bed.call(command, bed.one, USUAL, { config, env })
    if (code !== 0) throw new Error(`portmap ${command}: ${stdout}${stderr}`)
  }
  await portmap('ADD')
  const theirs = await reachability(bed)
  await portmap('DEL')
  await forgetPortmap(node.lab, 'cni-bed')
  await bed.expectClean()
  await bed.add(bed.one, USUAL)
  const ours = await reachability(bed)
  expect(ours).toEqual(theirs)
  expect(Object.values(ours).filter((who) => who.startsWith('pod-one'))).toHaveLength(22)
  await bed.reset()
})
