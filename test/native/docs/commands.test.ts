// The commands of all pages but docs/install.md, which has a test of its own: on a node with the distribution's containerd, on which the program is
// installed with its example network and a pod runs, as the pages suppose. They print what the pages show.
// needs: veth, bridge, nft, tbf, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { blocksOf, pages } from '../../support/docs/blocks.ts'
import { type ReadersNode, readersNode } from '../../support/docs/node.ts'
import { newReader } from '../../support/docs/run.ts'
import { builds, mustInstall, standInForSystemd } from '../../support/install-node.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const [release] = builds
const byPage = pages().flatMap((page) => {
  const blocks = page === 'docs/install.md' ? [] : blocksOf(page).filter(({ mark }) => mark === 'node')
  return blocks.length === 0 ? [] : [{ page, blocks }]
})

let lab: Lab
let node: ReadersNode
/** Commands of the page of the install, which begin and end the pod. */
const install = blocksOf('docs/install.md')
const begin = install.find(({ text }) => text.includes('crictl run '))?.text ?? ''
const end = install.find(({ text }) => text.includes('crictl rmp'))?.text ?? ''

beforeAll(async () => {
  lab = await sharedLab()
  node = await readersNode(lab)
  await standInForSystemd(lab)
  const { code, stdout, stderr } = await lab.exec([release.program, 'install', '--network', 'example'], {
    env: node.env,
  })
  expect([code, code === 0 ? '' : `${stdout}${stderr}`]).toEqual([0, ''])
  await lab.must(`cd /run && ${begin}`, { env: node.env })
})
afterAll(async () => {
  await lab.must(end, { env: node.env })
  await mustInstall(lab, release.program, 'uninstall')
  await node.end()
})

/** Something that the reader does between two blocks, by words of the first one. */
const between: Readonly<Record<string, () => Promise<void>>> = {
  // "Start the pod again": a second pod with the port of the first one.
  '"level": "debug"': async () => {
    const again = begin.replaceAll('"web"', '"again"').replace('"uid": "1"', '"uid": "2"')
    const { code, stderr } = await lab.exec(
      ['sh', '-c', `mkdir -p /run/again && cd /run/again && ${again}`],
      { env: node.env },
    )
    expect([code, stderr]).toEqual([1, expect.stringContaining('port 8080 is taken by container/interface')])
  },
}

test.each(byPage)('$page', async ({ blocks }) => {
  const reader = await newReader(lab, node.env)
  for (const block of blocks) {
    await reader.run(block)
    for (const [words, act] of Object.entries(between)) if (block.text.includes(words)) await act()
  }
})
