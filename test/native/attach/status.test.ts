// STATUS of vf-attach: what an ADD needs is taken away, one thing at a time, and STATUS says so with 50; it asks the IPAM plugin
// as well and changes nothing. What depends on a PF is in test/lab/attach/status.test.ts.
// needs: veth
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachment, errorOf, listOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const FOLDER = '/run/attach-status'
const [NIC, OTHER] = ['nic0', 'nic1']
const MAC = '02:00:00:00:0c:01'

let lab: Lab
let runtime: Runtime

beforeAll(async () => {
  lab = await sharedLab()
  runtime = cniRuntime(lab, [FOLDER, ...pluginPath])
  // An IPAM plugin that is ready while it has a database, and that keeps what it was asked.
  await lab.writeFile(
    `${FOLDER}/ledger`,
    `#!/bin/sh
cat >${FOLDER}/asked
[ ! -e ${FOLDER}/away ] || { echo '{"code":50,"msg":"the database is away"}'; exit 1; }
`,
    0o755,
  )
  await lab.must(`ip link add ${NIC} address ${MAC} type veth peer name ${OTHER}`)
})
afterAll(() => lab?.must(`ip link del ${NIC}; rm -rf ${FOLDER}`))

const status = (config: Record<string, unknown> = {}) => {
  const plugin = { type: 'vf-attach', ...config }
  return runtime.call('STATUS', { ...listOf(plugin), cniVersion: '1.1.0' }, plugin, attachment(''))
}

test('STATUS says nothing and leaves nothing where all is there', async () => {
  const before = await snapshot(lab)
  for (const config of [{ device: NIC }, { hwaddr: MAC }, {}]) {
    expect(await status(config)).toMatchObject({ code: 0, stdout: '', stderr: '' })
  }
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})

test.each([
  ['device', { deviceID: '0000:99:00.1' }, /no such PCI device/],
  ['PF', { pf: 'none0' }, /pf "none0": no physical function/],
  ['interface', { device: 'none0' }, /device "none0": no interface of the host/],
  ['MAC', { hwaddr: '02:00:00:00:99:99' }, /hwaddr "02:00:00:00:99:99": no interface of the host/],
  ['folder in sysfs', { kernelpath: '/sys/devices/none' }, /kernelpath "\/sys\/devices\/none"/],
  ['auxiliary device', { deviceID: 'mlx5_core.sf.99' }, /no such device on the auxiliary bus/],
  ['folder of state', { stateDir: `${FOLDER}/ledger/state` }, /ENOTDIR/],
])('STATUS is code 50 where %s is missing', async (_, config, words) => {
  const { code, msg, details = '' } = errorOf(await status(config))
  expect(`${msg} ${details}`).toMatch(words)
  expect(msg).toContain('Cannot serve an ADD')
  expect(code).toBe(50)
})

test.each([
  ['a value', { vlan: 5000 }, 'Cannot use vlan 5000: must be'],
  ['a word', { deviceID: '0000:99:00.1', spoofchk: 'yes' }, 'Cannot use spoofchk "yes": must be'],
  ['another device than the rest', { device: OTHER, hwaddr: MAC }, 'they must be the same'],
])('STATUS is code 50 for %s that an ADD would refuse', async (_, config, words) => {
  const { code, msg } = errorOf(await status(config))
  expect(msg).toContain('Cannot serve an ADD')
  expect(msg).toContain(words)
  expect(code).toBe(50)
})

test('the IPAM plugin is asked with the whole config, and its answer is passed on', async () => {
  const config = { device: NIC, ipam: { type: 'ledger', book: 7 } }
  expect(await status(config)).toMatchObject({ code: 0, stdout: '' })
  expect(JSON.parse(await lab.readFile(`${FOLDER}/asked`))).toMatchObject(config)
  await lab.must(`touch ${FOLDER}/away`)
  expect(errorOf(await status(config))).toMatchObject({
    code: 50,
    msg: expect.stringContaining('the database is away'),
  })
  await lab.must(`rm ${FOLDER}/away`)
})
