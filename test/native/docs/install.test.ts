// docs/install.md, read as a new user reads it: its blocks are run in their order on a node with the distribution's containerd. They print what the page
// shows, the pod of the page answers on the wire, and at the end the node is as before.
// needs: veth, bridge, nft, tbf, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { blocksOf } from '../../support/docs/blocks.ts'
import { type ReadersNode, readersNode } from '../../support/docs/node.ts'
import { FOLDER, newReader, type Reader } from '../../support/docs/run.ts'
import { lookAtFiles, standInForSystemd } from '../../support/install-node.ts'
import { lab as sharedLab } from '../../support/lab.ts'

let lab: Lab
let node: ReadersNode
let reader: Reader
let before: readonly string[]
beforeAll(async () => {
  lab = await sharedLab()
  node = await readersNode(lab)
  await standInForSystemd(lab)
  before = await lookAtFiles(lab)
  reader = await newReader(lab, node.env)
  // The release after this one, unpacked beside it.
  await lab.must(`mkdir -p ${FOLDER}/new; ln -s "$PWD/dist/test" ${FOLDER}/new/dist`)
})
afterAll(() => node?.end())

test('docs/install.md', async () => {
  for (const block of blocksOf('docs/install.md').filter(({ mark }) => mark === 'node')) {
    await reader.run(block)
    // Each install puts an agent of its build there.
    if (/flower install$|"\$FORMER" install/m.test(block.text))
      expect(JSON.parse(await lab.must('vfctl node --json'))).toMatchObject({ agent: { isOurs: true } })
    if (block.text.includes('curl')) expect(await node.fromTheWire(8080)).toBe('it works\n')
  }
  // Files of the runtime and of the plugins of others are theirs.
  const after = (await lookAtFiles(lab)).filter(
    (line) => !/ \/var\/lib\/cni\/(results|networks)(\/| |$)/.test(line),
  )
  expect(after).toEqual(before)
  // A busy machine.
}, 240_000)
