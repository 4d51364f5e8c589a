// The two sources of allocations: kubelet's podresources service, asked over a unix socket whose server writes its messages byte by
// byte, and kubelet's checkpoint file in the forms of its versions, with its watch.

import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SourceUnavailable } from '../../../device-plugin/allocations/holding.ts'
import { checkpoint, checkpointName } from '../../../device-plugin/kubelet/checkpoint.ts'
import { podResources } from '../../../device-plugin/kubelet/podresources.ts'
import { eventually } from '../../support/eventually.ts'
import { listResponse, type PodResourcesServer, servePodResources } from './podresources-server.ts'

let folder = ''
let server: PodResourcesServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sources-'))
})
afterEach(() => {
  server?.stop()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

describe('podresources', () => {
  const socket = () => join(folder, 'kubelet.sock')
  const pod = (name: string, ...ids: string[]) => ({
    ...{ name, namespace: 'default' },
    containers: [
      { name: 'app', devices: [{ resource: 'intel.com/vfs', ids }] },
      { name: 'sidecar', devices: [] },
    ],
  })

  test('lists devices with pod and container, and passes over what it has no use for', async () => {
    server = await servePodResources(socket())
    server.answer = () => listResponse([pod('one', '0000:3b:02.1', '0000:3b:02.2'), pod('none')])
    const holder = { resource: 'intel.com/vfs', pod: { namespace: 'default', name: 'one' }, container: 'app' }
    expect(await podResources(socket()).read()).toEqual([
      { ...holder, device: '0000:3b:02.1' },
      { ...holder, device: '0000:3b:02.2' },
    ])
    expect(server.asked).toBe(1)
  })

  test('an empty node is an answer', async () => {
    server = await servePodResources(socket())
    expect(await podResources(socket()).read()).toEqual([])
  })

  test('a socket without a server, an error of the server and bytes that are no message are no answer', async () => {
    const source = podResources(socket())
    await expect(source.read()).rejects.toThrow(SourceUnavailable)
    await expect(source.read()).rejects.toThrow(
      new SourceUnavailable(`Cannot list devices at "${socket()}": connect ENOENT ${socket()}`),
    )
    server = await servePodResources(socket())
    server.answer = () => {
      throw new RangeError('not ready')
    }
    await expect(source.read()).rejects.toThrow('not ready')
    server.answer = () => Buffer.from([0x0a, 0x7f, 0x01])
    await expect(source.read()).rejects.toThrow(SourceUnavailable)
  })

  test('a question that nobody answers is given up when the process ends', async () => {
    const mute = createServer()
    const isAsked = new Promise((resolve) => mute.once('connection', resolve))
    await new Promise<void>((resolve) => mute.listen(socket(), resolve))
    const source = podResources(socket())
    const answer = source.read()
    await isAsked
    source.end?.()
    await expect(answer).rejects.toThrow(/Cancelled/i)
    mute.close()
  })

  test('a kubelet that was started anew is asked at once', async () => {
    const source = podResources(socket())
    server = await servePodResources(socket())
    await source.read()
    server.stop()
    await expect(source.read()).rejects.toThrow(SourceUnavailable)
    server = await servePodResources(socket())
    expect(await source.read()).toEqual([])
  })

  test('an answer of 10 MB is taken, one of over 16 MiB is refused', async () => {
    server = await servePodResources(socket())
    const names = (count: number) =>
      Array.from({ length: count }, (_, at) => `device-${at}-${'x'.repeat(1_000)}`)
    server.answer = () => listResponse([pod('one', ...names(10_000))])
    expect(await podResources(socket()).read()).toHaveLength(10_000)
    server.answer = () => listResponse([pod('one', ...names(17_000))])
    await expect(podResources(socket()).read()).rejects.toThrow(SourceUnavailable)
  })
})

describe('checkpoint', () => {
  const path = () => join(folder, checkpointName)
  const entry = (DeviceIDs: unknown) => ({
    ...{ PodUID: '4a5f', ContainerName: 'app', ResourceName: 'intel.com/vfs', DeviceIDs, AllocResp: 'CgA=' },
  })
  const write = (value: unknown) => {
    writeFileSync(`${path()}.new`, typeof value === 'string' ? value : JSON.stringify(value))
    renameSync(`${path()}.new`, path())
  }
  const file = (...PodDeviceEntries: unknown[]) => ({
    Data: { PodDeviceEntries, RegisteredDevices: { 'intel.com/vfs': ['0000:3b:02.1'] } },
    Checksum: 1415926535,
  })
  const holder = {
    ...{ resource: 'intel.com/vfs', container: 'app' },
    pod: { namespace: '', name: '', uid: '4a5f' },
  }
  const read = () => checkpoint(folder).read()

  test.each([
    ['by NUMA node', { '0': ['a'], '1': ['b'], '-1': ['c'] }, ['a', 'b', 'c']],
    ['as a list, before 1.20', ['a', 'b'], ['a', 'b']],
    ['none at a node', { '0': null, '1': ['b'] }, ['b']],
    ['none', null, []],
    ['an empty list', [], []],
    ['no nodes', {}, []],
  ])('devices %s', async (_, ids, devices) => {
    write(file(entry(ids)))
    expect(await read()).toEqual(devices.map((device) => ({ ...holder, device })))
  })

  test('nothing in use, and keys of later versions', async () => {
    write({ Data: { PodDeviceEntries: null, RegisteredDevices: null, BootID: 'x' }, Checksum: 0, Version: 2 })
    expect(await read()).toEqual([])
  })

  test.each([
    ['', 'is no checkpoint'],
    ['{', 'is no checkpoint'],
    [{}, 'Data'],
    [{ Data: { PodDeviceEntries: [{}] } }, 'PodUID'],
    [file(entry({ '0': [1] })), 'DeviceIDs'],
    [file(entry('a')), 'DeviceIDs'],
  ])('another text is no answer: %j', async (text, words) => {
    write(text)
    await expect(read()).rejects.toThrow(SourceUnavailable)
    await expect(read()).rejects.toThrow(words)
  })

  test('no file, a folder in its place and no folder are no answer', async () => {
    await expect(read()).rejects.toThrow('it is not there')
    mkdirSync(path())
    await expect(read()).rejects.toThrow(SourceUnavailable)
    rmSync(folder, { recursive: true })
    await expect(read()).rejects.toThrow('it is not there')
  })

  test('the watch tells of a file that is renamed over the former one, and of no other file', async () => {
    write(file())
    let changes = 0
    const end = checkpoint(folder).watch?.(() => changes++)
    writeFileSync(join(folder, 'kubelet.sock'), '')
    write(file(entry(['a'])))
    await eventually(() => expect(changes).toBeGreaterThan(0))
    const before = changes
    writeFileSync(join(folder, 'other.sock'), '')
    write(file(entry(['b'])))
    await eventually(() => expect(changes).toBeGreaterThan(before))
    end?.()
  })

  test('the watch finds a folder that is removed and made again, and one that comes later', async () => {
    const later = join(folder, 'later')
    let changes = 0
    const end = checkpoint(later, 5).watch?.(() => changes++)
    const again = async (text: string) => {
      const before = changes
      mkdirSync(later)
      writeFileSync(join(later, checkpointName), text)
      await eventually(() => expect(changes).toBeGreaterThan(before))
      const between = changes
      writeFileSync(join(later, checkpointName), `${text}${text}`)
      await eventually(() => expect(changes).toBeGreaterThan(between))
      const last = changes
      rmSync(later, { recursive: true })
      await eventually(() => expect(changes).toBeGreaterThan(last))
    }
    for (const text of ['a', 'ab', 'abc']) await again(text)
    end?.()
  })

  test('a folder that is not there fails no watch', () => {
    const end = checkpoint(join(folder, 'none')).watch?.(() => undefined)
    end?.()
  })
})
