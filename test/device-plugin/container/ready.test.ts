// The second look before a container gets a device: each reason to refuse, as the sentence that a pod's event shows, and the reset of
// a device that a pod had. sysfs, /dev and /proc are folders laid out here.
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Attachment } from '../../../device-plugin/allocations/attachment.ts'
import { NotReady } from '../../../device-plugin/container/not-ready.ts'
import { makeReady, type ReadySources } from '../../../device-plugin/container/ready/ready.ts'
import { resetFunction } from '../../../device-plugin/container/ready/reset.ts'
import type { Device } from '../../../device-plugin/inventory/snapshot.ts'
import { poolConfig, vf, vfioVf } from '../../support/device-plugin/members.ts'
import { temporaryFolder } from '../../support/device-plugin/temporary-folder.ts'

const address = '0000:3b:02.1'
const answering = Buffer.from('8680541507041000', 'hex')
const silent = Buffer.alloc(8, 0xff)

/** A node with one function on a driver. */
function node(driver: string | undefined = 'iavf') {
  const top = temporaryFolder()
  const folder = `${top}/sys/bus/pci/devices/${address}`
  mkdirSync(folder, { recursive: true })
  if (driver !== undefined) symlinkSync(`../../drivers/${driver}`, `${folder}/driver`)
  writeFileSync(`${folder}/config`, answering)
  writeFileSync(`${folder}/reset`, '')
  const sources = (facts: Partial<ReadySources> = {}): ReadySources => ({
    sys: `${top}/sys`,
    dev: `${top}/dev`,
    proc: `${top}/proc`,
    attachmentOf: () => undefined,
    wasHeld: () => true,
    ...facts,
  })
  return { top, folder, sources }
}

const attachment: Attachment = {
  device: address,
  containerID: 'c1',
  ifname: 'net1',
  network: 'blue',
  alive: true,
  pendingClose: false,
  pod: { namespace: 'default', name: 'web' },
}

async function reasonOf(device: Device, sources: ReadySources, pool = poolConfig()): Promise<string> {
  const error = await makeReady(device, pool, sources).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return 'ready'
  expect(error).toBeInstanceOf(NotReady)
  const { message } = error as NotReady
  expect(message.split('\n')).toHaveLength(1)
  return message.replace(/^Cannot give "[^"]+" to a container: /, '')
}

describe('a device', () => {
  test('that is as it was is ready, and not reset', async () => {
    const { folder, sources } = node()
    expect(await reasonOf(vf(1), sources())).toBe('ready')
    expect(readFileSync(`${folder}/reset`, 'utf8')).toBe('')
  })

  test('that is gone', async () => {
    const { folder, sources } = node()
    rmSync(folder, { recursive: true })
    expect(await reasonOf(vf(1), sources())).toBe('it is not on the node any more')
  })

  test('a subfunction that is gone, although its function is there', async () => {
    const { top, sources } = node('mlx5_core')
    const sf = vf(4, { id: 'mlx5_core.sf.4', type: 'auxNetDevice', pci: address, driver: 'mlx5_core' })
    expect(await reasonOf(sf, sources())).toBe('it is not on the node any more')
    mkdirSync(`${top}/sys/bus/auxiliary/devices/mlx5_core.sf.4`, { recursive: true })
    expect(await reasonOf(sf, sources())).toBe('ready')
  })

  test.each([
    ['iavf', 'vfio-pci', 'it has driver vfio-pci now, and was chosen with driver iavf'],
    ['iavf', undefined, 'it has no driver now, and was chosen with driver iavf'],
    [undefined, 'iavf', 'it has driver iavf now, and was chosen with no driver'],
  ] as const)('with driver %s before and %s now', async (before, now, words) => {
    const { sources } = node(now ?? '')
    const { folder, sources: bare } = node()
    if (now === undefined) rmSync(`${folder}/driver`)
    expect(await reasonOf(vf(1, { driver: before }), now === undefined ? bare() : sources())).toBe(words)
  })

  test('that the node uses, unless the pool allows it', async () => {
    const { sources } = node()
    const used = vf(1, { hostUses: ['has the default route by eth0'] })
    expect(await reasonOf(used, sources())).toBe('the node uses it: it has the default route by eth0')
    expect(await reasonOf(used, sources(), poolConfig({ allowHostUsed: true }))).toBe('ready')
  })

  test.each([
    [attachment, 'pod "default/web" has it'],
    [{ ...attachment, pod: undefined }, 'container "c1" has it'],
    [{ ...attachment, alive: false }, 'it is not restored yet since pod "default/web" had it'],
    [
      { ...attachment, alive: false, pendingClose: true },
      'a program of pod "default/web", which is gone, still has it open',
    ],
  ] as const)('that an attachment has: %#', async (found, words) => {
    const { sources } = node()
    expect(await reasonOf(vf(1), sources({ attachmentOf: () => found }))).toBe(words)
  })

  test('of a dead pod is restored where somebody can, and looked at again', async () => {
    const { sources } = node()
    let left: Attachment | undefined = { ...attachment, alive: false }
    const restore = async () => {
      left = undefined
    }
    expect(await reasonOf(vf(1), sources({ attachmentOf: () => left, restore }))).toBe('ready')
  })

  test('of a living pod is not restored', async () => {
    const { sources } = node()
    const restore = () => Promise.reject(new RangeError('restored'))
    expect(await reasonOf(vf(1), sources({ attachmentOf: () => attachment, restore }))).toBe(
      'pod "default/web" has it',
    )
  })

  test('that a program has open', async () => {
    const { folder, top, sources } = node('vfio-pci')
    writeFileSync(`${folder}/enable`, '1\n')
    symlinkSync('../../../../kernel/iommu_groups/41', `${folder}/iommu_group`)
    expect(await reasonOf(vfioVf(1), sources())).toBe('a program has it open (its device is enabled)')
    mkdirSync(`${top}/proc/77/fd`, { recursive: true })
    writeFileSync(`${top}/proc/77/comm`, 'testpmd\n')
    symlinkSync('/dev/vfio/41', `${top}/proc/77/fd/9`)
    expect(await reasonOf(vfioVf(1), sources())).toBe('process 77 (testpmd) has it open')
    writeFileSync(`${folder}/enable`, '0\n')
    expect(await reasonOf(vfioVf(1), sources())).toBe('ready')
  })
})

describe('reset: flr', () => {
  const flr = poolConfig({ reset: 'flr' })

  test('a device that a pod had is reset, another one is not', async () => {
    const { folder, sources } = node()
    expect(await reasonOf(vf(1), sources({ wasHeld: () => false }), flr)).toBe('ready')
    expect(readFileSync(`${folder}/reset`, 'utf8')).toBe('')
    expect(await reasonOf(vf(1), sources(), flr)).toBe('ready')
    expect(readFileSync(`${folder}/reset`, 'utf8')).toBe('1')
  })

  test('a device that somebody has is refused without a reset', async () => {
    const { folder, sources } = node()
    await reasonOf(vf(1), sources({ attachmentOf: () => attachment }), flr)
    expect(readFileSync(`${folder}/reset`, 'utf8')).toBe('')
  })

  test('a function without a reset', async () => {
    const { folder, sources } = node()
    rmSync(`${folder}/reset`)
    expect(await reasonOf(vf(1), sources(), flr)).toBe('it has no reset, and reset of its pool is flr')
  })

  test('a reset that the kernel refuses', async () => {
    const { folder, sources } = node()
    rmSync(`${folder}/reset`)
    mkdirSync(`${folder}/reset`)
    expect(await reasonOf(vf(1), sources(), flr)).toMatch(/^its reset failed: EISDIR/)
  })

  test('is over when the configuration space answers', async () => {
    const { folder, sources } = node()
    writeFileSync(`${folder}/config`, silent)
    let isOver = false
    const done = makeReady(vf(1), flr, sources()).then(() => {
      isOver = true
    })
    while (readFileSync(`${folder}/reset`, 'utf8') === '') await turn()
    for (let count = 0; count < 5; count++) await turn()
    expect(isOver).toBe(false)
    writeFileSync(`${folder}/config`, answering)
    await done
  })

  test('ends with a refusal when it never answers', async () => {
    const { folder } = node()
    writeFileSync(`${folder}/config`, silent)
    await expect(resetFunction(address, folder, 30)).rejects.toThrow('its reset has taken over 30 ms')
  })

  test('ends with a refusal when the kernel does not come back', async () => {
    const { folder } = node()
    rmSync(`${folder}/reset`)
    execFileSync('mkfifo', [`${folder}/reset`])
    const free = () => closeSync(openSync(`${folder}/reset`, constants.O_RDONLY | constants.O_NONBLOCK))
    onTestFinished(free)
    await expect(resetFunction(address, folder, 30)).rejects.toThrow('its reset has taken over 30 ms')
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
