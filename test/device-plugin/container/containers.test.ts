// From a node to an answer: a fake sysfs and /dev, the inventory's scan, and the access that a container gets, with the files that are
// written before the answer is given.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import { Containers, type Uses } from '../../../device-plugin/container/containers.ts'
import { NotReady } from '../../../device-plugin/container/not-ready.ts'
import type { Pool } from '../../../device-plugin/pools/pool.ts'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import { cdiDevices, faultsOf } from '../../support/device-plugin/cdi-rules.ts'
import { member, pool, poolConfig } from '../../support/device-plugin/members.ts'
import { snapshotOf } from '../../support/device-plugin/network-facts.ts'
import { temporaryFolder } from '../../support/device-plugin/temporary-folder.ts'

const pf = '0000:3b:00.0'
let root: FakeRoot
let vfs: readonly string[]
beforeEach(() => {
  root = new FakeRoot()
  root.addPf({ address: pf, driver: 'mlx5_core', vendor: '15b3', netdevs: [{ name: 'ens1' }] })
  root.setVfs(pf, 4, (index) =>
    index < 2
      ? { driver: 'vfio-pci', iommuGroup: 40 + index }
      : {
          driver: 'mlx5_core',
          rdma: {
            name: `mlx5_${index}`,
            uverbs: `uverbs${index}`,
            umad: `umad${index}`,
            issm: `issm${index}`,
          },
        },
  )
  vfs = root.vfs(pf)
  for (const name of ['vfio/vfio', 'vfio/40', 'vfio/41', 'infiniband/rdma_cm']) root.addDeviceFile(name)
})
afterEach(() => root.remove())

/** Pools over what a scan finds now: the VFs by their index. */
function poolOf(config: PoolConfig, indexes: readonly number[], selector: Selector = {}): Pool {
  const { devices } = snapshotOf(root)
  const ids = indexes.map((index) => vfs[index])
  return pool(
    config,
    devices.filter(({ id }) => ids.includes(id)).map((device) => member(device, selector)),
  )
}
const dpdk = () => poolOf(poolConfig({ name: 'dpdk' }), [0, 1])
const rdma = () => poolOf(poolConfig({ name: 'rdma' }), [2, 3], { isRdma: true })

function containers(
  pools: () => readonly Pool[],
  { uses = {} as Partial<Uses>, cdi = 'off' as 'off' | 'names' } = {},
) {
  const top = temporaryFolder()
  const roots = { sys: root.sys, dev: root.dev, cdi: `${top}/cdi`, deviceInfo: `${top}/dp` }
  const all: Uses = {
    pools,
    held: () => new Set(),
    attachmentOf: () => undefined,
    wasHeld: () => false,
    ...uses,
  }
  return { roots, part: new Containers({ roots, cdi, proc: `${top}/proc` }, all) }
}

const refusal = (answer: Promise<unknown>) =>
  answer.then(
    () => 'answered',
    (error: unknown) => (error instanceof NotReady ? error.message : `${error}`),
  )

describe('allocate', () => {
  test('two VFs of VFIO', async () => {
    const pools = [dpdk(), rdma()]
    const { part, roots } = containers(() => pools)
    const ids = [vfs[1], vfs[0]] as string[]
    const access = await part.allocate('intel.com/dpdk', ids)
    expect(access.env.PCIDEVICE_INTEL_COM_DPDK).toBe(ids.join(','))
    expect(JSON.parse(access.env.PCIDEVICE_INTEL_COM_DPDK_INFO ?? '')[vfs[0] ?? '']).toEqual({
      generic: { deviceID: vfs[0] },
      vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/40' },
    })
    expect(access.deviceNodes.map(({ hostPath }) => hostPath)).toEqual([
      '/dev/vfio/vfio',
      '/dev/vfio/41',
      '/dev/vfio/40',
    ])
    expect(readdirSync(roots.deviceInfo)).toEqual(
      ids.toSorted().map((id) => `intel.com-dpdk-${id}-device.json`),
    )
    expect(
      JSON.parse(readFileSync(`${roots.deviceInfo}/intel.com-dpdk-${vfs[0]}-device.json`, 'utf8')),
    ).toEqual({
      type: 'pci',
      version: '1.1.0',
      pci: { 'pci-address': vfs[0], 'pf-pci-address': pf },
    })
  })

  test('a VF with RDMA, by CDI: the spec names the files before the answer names the device', async () => {
    const pools = [dpdk(), rdma()]
    const { part, roots } = containers(() => pools, { cdi: 'names' })
    const access = await part.allocate('intel.com/rdma', [vfs[2] ?? ''])
    expect(access).toMatchObject({ deviceNodes: [], cdiNames: [`intel.com/net-pci=${vfs[2]}`] })
    expect(faultsOf(roots.cdi)).toEqual([])
    expect(cdiDevices(roots.cdi).get(access.cdiNames[0] ?? '')).toEqual([
      '/dev/infiniband/issm2',
      '/dev/infiniband/umad2',
      '/dev/infiniband/uverbs2',
      '/dev/infiniband/rdma_cm',
    ])
  })

  test('says that the pool, or the device in it, is gone', async () => {
    const { part } = containers(() => [dpdk()])
    expect(await refusal(part.allocate('intel.com/none', [vfs[0] ?? '']))).toBe(
      `Cannot give "${vfs[0]}" to a container: "intel.com/none" does not have it any more`,
    )
    expect(await refusal(part.allocate('intel.com/dpdk', [vfs[2] ?? '']))).toContain(
      '"intel.com/dpdk" does not have it any more',
    )
  })

  test('refuses a device that has left its driver since the scan, and one whose file is missing', async () => {
    const pools = [dpdk()]
    const { part, roots } = containers(() => pools)
    root.removeDeviceFile('vfio/41')
    expect(await refusal(part.allocate('intel.com/dpdk', [vfs[1] ?? '']))).toContain(
      'the node has no /dev/vfio/41',
    )
    root.unbind(vfs[0] ?? '')
    expect(await refusal(part.allocate('intel.com/dpdk', [vfs[0] ?? '']))).toContain(
      'it has no driver now, and was chosen with driver vfio-pci',
    )
    expect(() => readdirSync(roots.deviceInfo)).toThrow('ENOENT')
  })

  test('refuses a device that leaves the pool while it is being reset', async () => {
    const before = dpdk()
    const config = { ...before.config, reset: 'flr' } as const
    let now: readonly Pool[] = [{ config, members: before.members }]
    const wasHeld = () => {
      now = [{ config, members: [] }]
      return true
    }
    root.setValue(vfs[0] ?? '', 'reset', '')
    writeFileSync(`${root.folderOf(vfs[0] ?? '')}/config`, Buffer.alloc(64, 1))
    const { part } = containers(() => now, { uses: { wasHeld } })
    expect(await refusal(part.allocate('intel.com/dpdk', [vfs[0] ?? '']))).toContain(
      '"intel.com/dpdk" does not have it any more',
    )
    expect(readFileSync(`${root.folderOf(vfs[0] ?? '')}/reset`, 'utf8')).toBe('1')
  })

  test('refuses where a file that the answer counts on can not be written', async () => {
    const pools = [dpdk()]
    const { part, roots } = containers(() => pools, { cdi: 'names' })
    writeFileSync(roots.cdi, '')
    expect(await refusal(part.allocate('intel.com/dpdk', [vfs[0] ?? '']))).toMatch(
      /its CDI spec can not be written: /,
    )
  })
})

test('update: an answer’s entry outlives its device while a pod has it', async () => {
  let pools: readonly Pool[] = [dpdk()]
  const held = new Set<string>()
  const { part, roots } = containers(() => pools, { cdi: 'names', uses: { held: () => held } })
  const { cdiNames } = await part.allocate('intel.com/dpdk', [vfs[0] ?? ''])
  held.add(vfs[0] ?? '')
  root.setVfs(pf, 0)
  pools = [dpdk()]
  part.update()
  expect(cdiDevices(roots.cdi).get(cdiNames[0] ?? '')).toEqual(['/dev/vfio/vfio', '/dev/vfio/40'])
  expect(readdirSync(roots.deviceInfo)).toHaveLength(1)
})
