// The comparison with the peer's device plugin finds each difference that kubelet, a pod or Multus could notice, and no other.
import { expect, test } from 'vitest'
import { differences } from './compare.ts'
import { documented, reasonFor } from './documented.ts'
import type { Observed } from './observed.ts'

const answer = {
  envs: { PCIDEVICE_X_A: '0000:3a:10.0' },
  mounts: [],
  devices: [
    { container_path: '/dev/vfio/vfio', host_path: '/dev/vfio/vfio', permissions: 'rw' },
    { container_path: '/dev/vfio/4', host_path: '/dev/vfio/4', permissions: 'rw' },
  ],
  annotations: {},
  cdi_devices: [],
}
const observed: Observed = {
  ...{
    exit: null,
    log: '',
    deviceInfo: { 'a.json': { type: 'pci', pci: { 'pci-address': '0000:3a:10.0' } } },
  },
  resources: {
    'x/a': {
      way: 'watcher',
      devices: [{ id: '0000:3a:10.0', healthy: true, numa: 0 }],
      allocations: { '0000:3a:10.0': answer },
    },
  },
  ...{ cdi: { 'x/net-pci=0000:3a:10.0': {} }, left: [], exitAtTerm: 0 },
}
const resource = observed.resources['x/a'] as NonNullable<(typeof observed.resources)[string]>
const withAnswer = (part: object): Observed => ({
  ...observed,
  resources: { 'x/a': { ...resource, allocations: { '0000:3a:10.0': { ...answer, ...part } } } },
})

test('two that behave alike have no difference, whatever their logs and the order of their files', () => {
  expect(differences(observed, { ...observed, log: 'other words' })).toEqual([])
  expect(differences(observed, withAnswer({ devices: [...answer.devices].reverse() }))).toEqual([])
})

test.each<[string, Observed, string]>([
  ['a resource', { ...observed, resources: {} }, 'resources/x/a/way'],
  ['a variable', withAnswer({ envs: { PCIDEVICE_X_A: 'other' } }), 'env/PCIDEVICE_X_A'],
  ['a device file', withAnswer({ devices: answer.devices.slice(1) }), 'device//dev/vfio/vfio'],
  ['the way of CDI names', withAnswer({ cdi_devices: [{ name: 'x/net-pci=1' }] }), 'cdi names are'],
  [
    'device information',
    { ...observed, deviceInfo: { 'a.json': { type: 'vdpa' } } },
    'device-info/a.json/type',
  ],
  ['a CDI device', { ...observed, cdi: {} }, 'cdi/x/net-pci=0000:3a:10.0'],
  ['an end', { ...observed, exit: 0 }, 'ends by itself'],
  [
    'a NUMA node',
    { ...observed, resources: { 'x/a': { ...resource, devices: [{ id: '0000:3a:10.0', healthy: true }] } } },
    'devices/0000:3a:10.0',
  ],
])('%s that differs is a difference', (_, other, path) => {
  expect(differences(observed, other).map((one) => one.path)).toContainEqual(expect.stringContaining(path))
})

test('a difference that nobody has documented has no reason', () => {
  expect(reasonFor('any', { path: 'resources/x/a/0000/env/NEW', peer: '1', ours: '2' })).toBeUndefined()
  expect(new Set(documented.map(({ id }) => id)).size).toBe(documented.length)
})
