// STATUS of vf-attach: what an ADD needs is taken away, one thing at a time, and STATUS says so with 50, or with 51 where
// running pods are cut off too; it asks the IPAM plugin as well and changes nothing. On the simulated NIC, whose carrier is
// ours to take.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cniRuntime, type Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { attachment, errorOf, listOf, pluginPath } from '../support/plugins.ts'
import { type Card, loadSimnic, setVfs, unloadSimnic } from '../support/simnic.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'

const FOLDER = '/run/attach-status'

let lab: Lab
let runtime: Runtime
let card: Card

beforeAll(async () => {
  lab = await sharedLab()
  runtime = cniRuntime(lab, [FOLDER, ...pluginPath])
  ;[card] = (await loadSimnic(lab, { totalVfs: 1 })) as [Card]
  await setVfs(lab, card, 1)
  // An IPAM plugin that is ready while it has a database, and that keeps what it was asked.
  await lab.writeFile(
    `${FOLDER}/ledger`,
    `#!/bin/sh
cat >${FOLDER}/asked
[ ! -e ${FOLDER}/away ] || { echo '{"code":50,"msg":"the database is away"}'; exit 1; }
`,
    0o755,
  )
  await isUp()
})
afterAll(async () => {
  await unloadSimnic(lab)
  await lab.must(`rm -rf ${FOLDER}`)
})

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

test('all is there: it says nothing and leaves nothing', async () => {
  const before = await snapshot(lab)
  for (const config of [{ deviceID: vf() }, { pf: card.pf }, { pf: card.pci }, {}]) {
    expect(await status(config)).toMatchObject({ code: 0, stdout: '', stderr: '' })
  }
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})

test.each([
  ['PF down', () => `ip link set ${card.pf} down`, /PF "simpf0" is down: its VFs reach nobody/],
  ['PF without carrier', () => `ip link set ${card.wire} down`, /PF "simpf0" has no carrier/],
])('%s: code 51, by the VF and by the PF', async (_, take, words) => {
  await lab.must(
    `${take()}; while [ "$(cat /sys/class/net/${card.pf}/carrier 2>/dev/null)" = 1 ]; do sleep 0.05; done`,
  )
  try {
    const hwaddr = (await lab.readFile(`/sys/class/net/${card.pf}vf0/address`)).trim()
    const kernelpath = (await lab.must(`readlink -f /sys/bus/pci/devices/${vf()}`)).trim()
    const named = [{ device: `${card.pf}vf0` }, { hwaddr }, { kernelpath }]
    for (const config of [{ deviceID: vf() }, { pf: card.pf }, ...named]) {
      const { code, msg } = errorOf(await status(config))
      expect(msg).toMatch(words)
      expect(code).toBe(51)
    }
    // A config whose device the runtime names later depends on no PF yet.
    expect(await status()).toMatchObject({ code: 0, stdout: '' })
  } finally {
    await isUp()
  }
})

test.each([
  ['device', { deviceID: '0000:99:00.1' }, /no such PCI device/],
  ['PF', { pf: 'none0' }, /pf "none0": no physical function/],
  ['interface', { device: 'none0' }, /device "none0": no interface of the host/],
  ['MAC', { hwaddr: '02:00:00:00:99:99' }, /hwaddr "02:00:00:00:99:99": no interface of the host/],
  ['folder in sysfs', { kernelpath: '/sys/devices/none' }, /kernelpath "\/sys\/devices\/none"/],
  ['auxiliary device', { deviceID: 'mlx5_core.sf.99' }, /no such device on the auxiliary bus/],
  ['folder of state', { stateDir: '/etc/hostname/state' }, /ENOTDIR/],
])('%s missing: code 50', async (_, config, words) => {
  const { code, msg, details = '' } = errorOf(await status(config))
  expect(`${msg} ${details}`).toMatch(words)
  expect(msg).toContain('Cannot serve an ADD')
  expect(code).toBe(50)
})

test.each([
  ['a value', { vlan: 5000 }, 'Cannot use vlan 5000: must be'],
  ['a word', { deviceID: '0000:99:00.1', spoofchk: 'yes' }, 'Cannot use spoofchk "yes": must be'],
  ['another device than the rest', { device: 'simwire0' }, 'they must be the same'],
])('%s that an ADD would refuse: code 50', async (_, more, words) => {
  const { code, msg } = errorOf(await status({ deviceID: vf(), ...more }))
  expect(msg).toContain('Cannot serve an ADD')
  expect(msg).toContain(words)
  expect(code).toBe(50)
})

test('a PF whose VFs were taken away: code 50', async () => {
  await lab.must(`echo 0 >/sys/class/net/${card.pf}/device/sriov_numvfs`)
  try {
    const { code, msg } = errorOf(await status({ pf: card.pf }))
    expect(msg).toContain('has no virtual functions (sriov_numvfs is 0)')
    expect(code).toBe(50)
  } finally {
    await setVfs(lab, card, 1)
  }
})

test('the IPAM plugin is asked with the whole config, and its answer is passed on', async () => {
  const config = { deviceID: vf(), ipam: { type: 'ledger', book: 7 } }
  expect(await status(config)).toMatchObject({ code: 0, stdout: '' })
  expect(JSON.parse(await lab.readFile(`${FOLDER}/asked`))).toMatchObject(config)
  await lab.must(`touch ${FOLDER}/away`)
  expect(errorOf(await status(config))).toMatchObject({
    code: 50,
    msg: expect.stringContaining('the database is away'),
  })
  await lab.must(`rm ${FOLDER}/away`)
})
