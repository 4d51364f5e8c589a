// STATUS of vf-attach where a PF is concerned: its VFs are taken away, and STATUS says so with 50, or its link, and STATUS says so
// on stderr: an ADD succeeds all the same. On the simulated NIC, whose carrier is ours to take. The rest is in test/native/attach/status.test.ts.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

let lab: Lab
let runtime: Runtime
let card: Card

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ;[card] = (await loadSimnic(lab, { totalVfs: 1 })) as [Card]
  await setVfs(lab, card, 1)
  await isUp()
})
afterAll(() => unloadSimnic(lab))

/** Both ends of the wire up, and the PF with a carrier. */
async function isUp(): Promise<void> {
  await lab.must(`ip link set ${card.wire} up; ip link set ${card.pf} up
    until [ "$(cat /sys/class/net/${card.pf}/carrier)" = 1 ]; do sleep 0.05; done`)
}

const vf = () => `${card.pci.slice(0, -1)}1`

const status = (config: Record<string, unknown> = {}) => {
  const plugin = { type: 'vf-attach', ...config }
  return runtime.call('STATUS', { ...listOf(plugin), cniVersion: '1.1.0' }, plugin, attachment(''))
}

test('STATUS says nothing and leaves nothing where all is there', async () => {
  const before = await snapshot(lab)
  for (const config of [{ deviceID: vf() }, { pf: card.pf }, { pf: card.pci }, {}]) {
    expect(await status(config)).toMatchObject({ code: 0, stdout: '', stderr: '' })
  }
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})

test.each([
  ['PF down', () => `ip link set ${card.pf} down`, /PF "simpf0" is down: its VFs reach nobody/],
  ['PF without carrier', () => `ip link set ${card.wire} down`, /PF "simpf0" has no carrier/],
])('STATUS says on stderr that %s, by the VF and by the PF', async (_, take, words) => {
  await lab.must(
    `${take()}; while [ "$(cat /sys/class/net/${card.pf}/carrier 2>/dev/null)" = 1 ]; do sleep 0.05; done`,
  )
  try {
    const hwaddr = (await lab.readFile(`/sys/class/net/${card.pf}vf0/address`)).trim()
    const kernelpath = (await lab.must(`readlink -f /sys/bus/pci/devices/${vf()}`)).trim()
    const named = [{ device: `${card.pf}vf0` }, { hwaddr }, { kernelpath }]
    for (const config of [{ deviceID: vf() }, { pf: card.pf }, ...named]) {
      const { code, stdout, stderr } = await status(config)
      expect([code, stdout, stderr]).toEqual([0, '', expect.stringMatching(words)])
    }
    // A config whose device the runtime names later depends on no PF yet.
    expect(await status()).toMatchObject({ code: 0, stdout: '' })
  } finally {
    await isUp()
  }
})

test('STATUS is code 50 for a PF whose VFs were taken away', async () => {
  await lab.must(`echo 0 >/sys/class/net/${card.pf}/device/sriov_numvfs`)
  try {
    const { code, msg } = errorOf(await status({ pf: card.pf }))
    expect(msg).toContain('has no virtual functions (sriov_numvfs is 0)')
    expect(code).toBe(50)
  } finally {
    await setVfs(lab, card, 1)
  }
})
