// The tests that the kubelet simulator passes, and each real kubelet that is given to them: all that a device plugin and a reader of
// podresources can tell of a kubelet. The plugin is the one that takes notes (hack/lab/kubelet/recorder.ts). No order is asked for of two
// things whose order is left to chance in a real one.
import { beforeEach, expect, test } from 'vitest'
import type { ContainerWish, SocketFolder } from '../../../hack/lab/kubelet/api.ts'
import type { Note, OfferedId, Recorder, RecorderOptions } from '../../../hack/lab/kubelet/recorder.ts'

/** A pod of the contract; its name is its own in all of a file. */
export interface ContractPod {
  readonly name: string
  readonly containers: readonly ContainerWish[]
}

/** A kubelet under test. It runs before each test, and knows no pod. */
export interface ContractBed {
  /** kubelet's folder, as plugins see it. */
  readonly root: string
  /** Behind the name of a pod in podresources: `/`, or more. */
  readonly suffix: string
  /** Another plugin. */
  plugin(): Promise<Recorder>
  /** SIGTERM, or what comes to the same, and a start. Pods go on. */
  restart(): Promise<void>
  /** Runs a pod; fails with kubelet's words when kubelet does not admit it. */
  run(pod: ContractPod): Promise<void>
  end(name: string): Promise<void>
  /** The text of a file below the root; undefined: there is none. */
  file(name: string): Promise<string | undefined>
  /** Removes the sockets of plugins in a folder of the root. */
  removeSockets(folder: SocketFolder): Promise<void>
}

/** Both ways to register. */
export const PATHS = { legacy: 'device-plugins', watcher: 'plugins_registry' } as const
type Way = keyof typeof PATHS

const WAIT_MS = 60_000
let count = 0

/** Declares the tests. */
export function kubeletContract(open: () => ContractBed): void {
  let bed: ContractBed
  let resource: string
  let pods: string[]
  // Names of resources are not used again: kubelet remembers one for minutes after its plugin has gone.
  beforeEach(() => {
    bed = open()
    resource = `x${++count}.org/a`
    pods = []
    return async () => {
      for (const pod of pods) await bed.end(pod)
    }
  })

  const devices = (...ids: readonly string[]): OfferedId[] => ids.map((id) => ({ id }))
  const folder = (way: Way) => `${bed.root}/${PATHS[way]}`
  const run = async (wants: number, ...more: readonly ContainerWish[]) => {
    const name = `pod-${++count}`
    pods.push(name)
    await bed.run({ name, containers: [{ name: 'main', wants: { [resource]: wants } }, ...more] })
    return name
  }
  /** A plugin that is registered, and whose devices kubelet has. */
  const registered = async (way: Way, changes: Partial<RecorderOptions> = {}): Promise<Recorder> => {
    const plugin = await bed.plugin()
    const options = { resource, devices: devices('a', 'b', 'c'), preferred: true, ...changes }
    await plugin.serve({ socket: `${folder(way)}/x-${++count}.sock`, ...options })
    if (way === 'legacy') expect(await plugin.register(folder(way))).toBe('OK')
    else await plugin.heard('NotifyRegistrationStatus', 1)
    const healthy = options.devices.filter((one) => one.healthy ?? true)
    await hasAllocatable(
      plugin,
      healthy.map(({ id, numa }) => id + nodeOf(numa)),
      options.resource,
    )
    await plugin.notes()
    return plugin
  }
  const nodeOf = (numa: number | undefined) => (numa === undefined ? '' : `@${numa}`)
  const own = (lines: readonly string[], name = resource) =>
    lines.flatMap((line) => (line.includes(`${name}=`) ? [line.replace(`${name}=`, '')] : []))
  const comes = async (look: () => Promise<readonly string[]>, wanted: readonly string[]) => {
    const end = Date.now() + WAIT_MS
    for (;;) {
      const now = await look()
      if (String(now) === String(wanted) || Date.now() > end) return expect(now).toEqual(wanted)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const hasAllocatable = (plugin: Recorder, wanted: readonly string[], name = resource) =>
    comes(async () => own((await plugin.resources(bed.root)).allocatable, name), wanted)
  const given = async (plugin: Recorder) =>
    own((await plugin.resources(bed.root)).given.map((line) => line.replace(bed.suffix, '/')))
  const names = (notes: readonly Note[]) => notes.map(([name]) => name)

  test('Register: kubelet connects and asks for options before it answers, then watches', async () => {
    const plugin = await bed.plugin()
    await plugin.serve({ socket: `${folder('legacy')}/x-${++count}.sock`, resource, devices: devices('a') })
    expect(await plugin.register(folder('legacy'))).toBe('OK')
    await plugin.heard('ListAndWatch', 1)
    const notes = await plugin.notes()
    expect(notes[0]).toEqual(['GetDevicePluginOptions', 'localhost'])
    expect(names(notes).slice(1).sort()).toEqual(['ListAndWatch', 'answer of Register'])
    await hasAllocatable(plugin, ['a'])
    await plugin.close()
    await hasAllocatable(plugin, [])
  })

  test('Register: other versions, names that are no extended resource, and sockets that nobody serves are refused', async () => {
    const plugin = await bed.plugin()
    await plugin.serve({ socket: `${folder('legacy')}/x-${++count}.sock`, resource, devices: devices('a') })
    const refusal = (changes: object) => plugin.register(folder('legacy'), changes)
    expect(await refusal({ version: 'v1beta2' })).toBe(
      'UNKNOWN: requested API version "v1beta2" is not supported by kubelet. Supported version is ["v1beta1"]',
    )
    for (const name of [
      'noslash',
      'kubernetes.io/a',
      'a.kubernetes.io/b',
      'requests.x.org/a',
      'x.org/-a',
      'X.org/a',
    ])
      expect(await refusal({ resource: name })).toBe(`UNKNOWN: the ResourceName "${name}" is invalid`)
    expect(await refusal({ endpoint: 'nobody.sock' })).toMatch(/^UNKNOWN: failed to dial device plugin: ./)
    expect(names(await plugin.notes())).not.toContain('GetDevicePluginOptions')
    await plugin.close()
  })

  test('plugins_registry: kubelet finds the socket, asks for its name and options, watches, and tells that it did', async () => {
    const plugin = await bed.plugin()
    await plugin.serve({ socket: `${folder('watcher')}/x-${++count}.sock`, resource, devices: devices('a') })
    await plugin.heard('NotifyRegistrationStatus', 1)
    await plugin.heard('ListAndWatch', 1)
    const notes = await plugin.notes()
    expect(notes.slice(0, 2)).toEqual([['GetInfo'], ['GetDevicePluginOptions', 'localhost']])
    expect(notes).toContainEqual(['NotifyRegistrationStatus', true, ''])
    await hasAllocatable(plugin, ['a'])
    await plugin.close()
    await hasAllocatable(plugin, [])
  })

  test('plugins_registry: plugins of another version, name or kind hear why they are refused', async () => {
    const plugin = await bed.plugin()
    const refusal = async (changes: Partial<RecorderOptions>) => {
      const socket = `${folder('watcher')}/x-${++count}.sock`
      await plugin.serve({ socket, resource, devices: devices('a'), ...changes })
      await plugin.heard('NotifyRegistrationStatus', 1)
      const note = (await plugin.notes()).find(([name]) => name === 'NotifyRegistrationStatus')
      await plugin.close()
      return note?.slice(1).map((one) => String(one).replace(socket, 'SOCKET'))
    }
    const failed = 'RegisterPlugin error -- plugin validation failed with err:'
    expect(await refusal({ versions: ['v1beta2', 'v2'] })).toEqual([
      'false',
      `${failed} manager version, v1beta1, is not among plugin supported versions [v1beta2 v2]`,
    ])
    expect(await refusal({ resource: 'noslash' })).toEqual([
      'false',
      `${failed} invalid name of device plugin socket: the ResourceName "noslash" is invalid`,
    ])
    expect(await refusal({ type: 'Toaster' })).toEqual([
      'false',
      'RegisterPlugin error -- no handler registered for plugin type: Toaster at socket SOCKET',
    ])
  })

  test('a pod: the plugin is asked which device it prefers, for Allocate, and before the container starts', async () => {
    const plugin = await registered('legacy', { preStart: true })
    const first = await run(1)
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b', 'c'], [], 1],
      ['Allocate', ['c']],
      ['PreStartContainer', ['c']],
    ])
    const second = await run(2)
    // All that is left: the plugin is asked all the same.
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b'], [], 2],
      ['Allocate', ['a', 'b']],
      ['PreStartContainer', ['a', 'b']],
    ])
    expect(await given(plugin)).toEqual([`${first}/main c`, `${second}/main a`, `${second}/main b`])
    await expect(run(1)).rejects.toThrow(
      `requested number of devices unavailable for ${resource}. Requested: 1, Available: 0`,
    )
    expect(await plugin.notes()).toEqual([])
    // Devices of pods are allocatable too.
    await hasAllocatable(plugin, ['a', 'b', 'c'])
    await bed.end(first)
    await run(1)
    expect(await plugin.notes()).toContainEqual(['Allocate', ['c']])
    await plugin.close()
  })

  test('a plugin that declares neither is asked for Allocate alone; its words of refusal reach the pod', async () => {
    const plugin = await registered('watcher', { preferred: false })
    await run(3)
    expect(await plugin.notes()).toEqual([['Allocate', ['a', 'b', 'c']]])
    await plugin.close()
    const refusing = await registered('watcher', { refuse: 'no, said the card', devices: devices('z') })
    await expect(run(1)).rejects.toThrow('rpc error: code = Unknown desc = no, said the card')
    await refusing.close()
  })

  test('a container for initialisation hands its devices on; the next must have them', async () => {
    const plugin = await registered('legacy')
    const init = { name: 'first', wants: { [resource]: 1 }, isInit: true }
    const pod = await run(2, init)
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b', 'c'], [], 1],
      ['Allocate', ['c']],
      ['GetPreferredAllocation', ['a', 'b', 'c'], ['c'], 2],
      ['Allocate', ['b', 'c']],
    ])
    expect(await given(plugin)).toEqual([`${pod}/main b`, `${pod}/main c`])
    await plugin.close()
  })

  test('an unhealthy device is given to nobody; a pod keeps one that becomes so; NUMA nodes are shown', async () => {
    const all = [{ id: 'a', numa: 0 }, { id: 'b', numa: 0, healthy: false }, { id: 'c' }]
    const plugin = await registered('watcher', { devices: all })
    const pod = await run(1)
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'c'], [], 1],
      ['Allocate', ['c']],
    ])
    await plugin.list([
      { id: 'a', numa: 0 },
      { id: 'b', numa: 0 },
      { id: 'c', healthy: false },
    ])
    await hasAllocatable(plugin, ['a@0', 'b@0'])
    expect(await given(plugin)).toEqual([`${pod}/main c`])
    await run(1)
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b'], [], 1],
      ['Allocate', ['b']],
    ])
    await plugin.close()
  })

  test('the end of the stream: nothing is healthy, pods keep what they have, and none comes before the next registration', async () => {
    const plugin = await registered('legacy')
    const pod = await run(1)
    await plugin.notes()
    await plugin.endStreams()
    await hasAllocatable(plugin, [])
    expect(await given(plugin)).toEqual([`${pod}/main c`])
    await expect(run(1)).rejects.toThrow(
      `no healthy devices present; cannot allocate unhealthy devices ${resource}`,
    )
    expect(await plugin.register(folder('legacy'))).toBe('OK')
    await hasAllocatable(plugin, ['a', 'b', 'c'])
    await plugin.notes()
    await run(1)
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b'], [], 1],
      ['Allocate', ['b']],
    ])
    await plugin.close()
  })

  test('a restart: sockets of device-plugins are gone and those of plugins_registry are found, pods keep devices by the checkpoint', async () => {
    const other = await registered('watcher', { resource: `${resource}-other`, devices: devices('o') })
    const plugin = await registered('legacy')
    const pod = await run(1)
    const checkpoint = JSON.parse((await bed.file('device-plugins/kubelet_internal_checkpoint')) ?? '')
    expect(Object.keys(checkpoint)).toEqual(['Data', 'Checksum'])
    expect(checkpoint.Data.RegisteredDevices[resource].toSorted()).toEqual(['a', 'b', 'c'])
    const entry = checkpoint.Data.PodDeviceEntries.find(
      ({ ResourceName }: { ResourceName: string }) => ResourceName === resource,
    )
    expect(entry).toMatchObject({ ContainerName: 'main', DeviceIDs: { '-1': ['c'] } })
    expect(Buffer.from(entry.AllocResp, 'base64').toString()).toBe('\n\x08\n\x03IDS\x12\x01c')
    await plugin.notes()
    await other.notes()
    await bed.restart()
    await plugin.heard('ListAndWatch cancelled', 1)
    await other.heard('NotifyRegistrationStatus', 1)
    expect(names(await other.notes())).toContain('GetInfo')
    // A kubelet that has just started may not know its pods yet.
    await comes(() => given(plugin), [`${pod}/main c`])
    await hasAllocatable(plugin, [])
    await expect(run(1)).rejects.toThrow(
      `no healthy devices present; cannot allocate unhealthy devices ${resource}`,
    )
    // The socket was removed under the plugin, so nobody reaches it.
    expect(await plugin.register(folder('legacy'))).toMatch(/^UNKNOWN: failed to dial device plugin: ./)
    await plugin.close()
    const again = await registered('legacy')
    await run(1)
    expect(await again.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b'], [], 1],
      ['Allocate', ['b']],
    ])
    await again.close()
    await other.close()
  })

  test.each(['legacy', 'watcher'] as const)(
    'a second socket of a resource, %s: its list counts, and the end of the first ends it too, until it comes again',
    async (way) => {
      const first = await registered(way, { devices: devices('a') })
      const second = await registered(way, { devices: devices('a', 'b') })
      expect(names(await first.notes())).toEqual([])
      await first.close()
      await second.heard('ListAndWatch cancelled', 1)
      await hasAllocatable(second, [])
      if (way === 'legacy') {
        expect(await second.register(folder(way))).toBe('OK')
        await hasAllocatable(second, ['a', 'b'])
      }
      await second.close()
    },
  )

  test('Register of a socket that kubelet has: it connects once more, and the end of the first stream ends the second', async () => {
    const plugin = await registered('legacy')
    expect(await plugin.register(folder('legacy'))).toBe('OK')
    await plugin.heard('ListAndWatch', 1)
    expect(names(await plugin.notes()).sort()).toEqual([
      'GetDevicePluginOptions',
      'ListAndWatch',
      'answer of Register',
    ])
    await plugin.list(devices('a', 'b'))
    await hasAllocatable(plugin, ['a', 'b'])
    await run(1)
    // One of the connections is asked, once.
    expect(await plugin.notes()).toEqual([
      ['GetPreferredAllocation', ['a', 'b'], [], 1],
      ['Allocate', ['b']],
    ])
    await plugin.endStreams(1)
    await plugin.heard('ListAndWatch cancelled', 1)
    await hasAllocatable(plugin, [])
    expect(await plugin.register(folder('legacy'))).toBe('OK')
    await hasAllocatable(plugin, ['a', 'b'])
    await plugin.close()
  })

  test('a socket that is removed under a stream: the watched folder ends the stream, the other does not', async () => {
    const watched = await registered('watcher')
    await bed.removeSockets('plugins_registry')
    await watched.heard('ListAndWatch cancelled', 1)
    await hasAllocatable(watched, [])
    await watched.close()
    const legacy = await registered('legacy')
    await bed.removeSockets('device-plugins')
    await legacy.list(devices('a'))
    await hasAllocatable(legacy, ['a'])
    await legacy.close()
  })
}
