// Commands of the documents that need a card: the blocks that are marked so are run on simnic, whose cards have the names of the pages. They print what
// the pages show.
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadSimnic, unloadSimnic, watchKernelLog } from '../../../hack/lab/bed/simnic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { blocksOf, pages } from '../../support/docs/blocks.ts'
import { newReader } from '../../support/docs/run.ts'
import { executable } from '../../support/executable.ts'
import { lab as sharedLab } from '../../support/lab.ts'

/** The build for tests, which stands for an install: to write that takes the virtual machine half a minute. */
const dist = dirname(executable('test/vf-flower'))
const byPage = pages().flatMap((page) => {
  const blocks = blocksOf(page).filter(({ mark }) => mark === 'lab')
  return blocks.length === 0 ? [] : [{ page, blocks }]
})

let lab: Lab
let trouble: () => Promise<string[]>
beforeAll(async () => {
  lab = await sharedLab()
  trouble = await watchKernelLog(lab)
  const cards = await loadSimnic(lab, { cards: 3 })
  await lab.must(cards.map(({ pf }, at) => `ip link set ${pf} name ens1f${at}`).join('\n'))
  await lab.must(OUTSIDE)
  await lab.must(`mkdir -p /opt/cni/bin; ln -s ${dist}/vf-attach ${dist}/vf-offload /opt/cni/bin/`)
})
afterAll(async () => {
  await lab.must('rm /opt/cni/bin/vf-attach /opt/cni/bin/vf-offload')
  await lab.must('ip link del br-telco; ip netns del outside')
  await unloadSimnic(lab)
  expect(await trouble()).toEqual([])
})

/** A machine on the wires of the cards, in their VLANs. */
const OUTSIDE = `set -e
  ip netns add outside; ip -n outside link add cable type bridge
  for at in 0 1 2; do
    ip link set simwire$at netns outside; ip -n outside link set simwire$at up
  done
  for at in 1 2; do ip -n outside link set simwire$at master cable; done
  ip -n outside link set cable up; ip -n outside address add 192.168.7.20/24 dev cable
  ip -n outside link add link simwire0 name tagged type vlan id 100
  ip -n outside link set tagged up; ip -n outside address add 192.168.100.20/24 dev tagged`

/** The effect of a block, by words of it. */
const effects: Readonly<Record<string, () => Promise<void>>> = {
  'offload.json >offloaded.json': async () => {
    const server = await lab.spawn(
      ['ip', 'netns', 'exec', 'function', 'socat', 'UDP-RECVFROM:2152,fork', 'SYSTEM:cat'],
      { timeoutMs: 0 },
    )
    expect(
      await lab.must(`until ip netns exec function ss -Hlun 'sport = 2152' | grep -q .; do sleep 0.05; done
        ip netns exec outside bash -c \
          'exec 3<>/dev/udp/192.168.100.1/2152; echo session request >&3; timeout 60 head -1 <&3'`),
    ).toBe('session request\n')
    server.kill('SIGKILL')
    await server.wait()
    // Request and answer went by the card alone.
    expect(await lab.must(`${dist}/vfctl show function`)).toMatch(
      /in the NIC\n(.*\n {6}hardware [1-9]\d* packets .*, software 0 packets 0 bytes\n ){2}/,
    )
  },
  'type bond': async () => {
    const ask = 'ip netns exec outside ping -c 1 -W 20 192.168.7.10'
    await lab.must(`${ask}
      ip link set ens1f1 vf 0 state disable
      until ip netns exec bonded grep -q 'Currently Active Slave: net2' /proc/net/bonding/bond0; do sleep 0.05; done
      ${ask}`)
  },
}

test.each(byPage)(
  '$page',
  async ({ blocks }) => {
    const reader = await newReader(lab, { PATH: `${dist}:/usr/sbin:/usr/bin:/sbin:/bin` })
    for (const block of blocks) {
      await reader.run(block)
      for (const [words, effect] of Object.entries(effects)) if (block.text.includes(words)) await effect()
    }
    // A page is one session, of many starts of programs in emulation.
  },
  300_000,
)
