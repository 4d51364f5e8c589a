// The product's wire tables against those of the simulator, which were written apart: every message that one encodes, the other reads
// as the same. And against bytes put together by hand, so that both cannot be wrong in the same way.
import type { MethodDefinition } from '@grpc/proto-loader'
import { describe, expect, test } from 'vitest'
import { callOf, serviceOf } from '../../../device-plugin/kubelet/wire.ts'
import { call } from '../../../hack/lab/kubelet/wire.ts'

const plugin = 'v1beta1.DevicePlugin'
const cases: readonly (readonly [Parameters<typeof callOf>[0], string, object, object])[] = [
  [
    'v1beta1.Registration',
    'Register',
    {
      ...{ version: 'v1beta1', endpoint: 'e.sock', resource_name: 'x.org/a' },
      options: { pre_start_required: true, get_preferred_allocation_available: false },
    },
    {},
  ],
  [
    plugin,
    'GetDevicePluginOptions',
    {},
    { pre_start_required: false, get_preferred_allocation_available: true },
  ],
  [
    plugin,
    'ListAndWatch',
    {},
    { devices: [{ ID: 'a', health: 'Healthy', topology: { nodes: [{ ID: 3 }] } }] },
  ],
  [
    plugin,
    'GetPreferredAllocation',
    {
      container_requests: [
        { available_deviceIDs: ['a', 'b'], must_include_deviceIDs: ['b'], allocation_size: 2 },
      ],
    },
    { container_responses: [{ deviceIDs: ['b', 'a'] }] },
  ],
  [
    plugin,
    'Allocate',
    { container_requests: [{ devices_ids: ['a', 'b'] }] },
    {
      container_responses: [
        {
          envs: { A: '1', B: '2' },
          mounts: [{ container_path: '/c', host_path: '/h', read_only: true }],
          devices: [{ container_path: '/dev/c', host_path: '/dev/h', permissions: 'rw' }],
          annotations: { k: 'v' },
          cdi_devices: [{ name: 'v/c=n' }],
        },
      ],
    },
  ],
  [plugin, 'PreStartContainer', { devices_ids: ['a'] }, {}],
  [
    'pluginregistration.Registration',
    'GetInfo',
    {},
    { type: 'DevicePlugin', name: 'x.org/a', endpoint: '/e', supported_versions: ['v1beta1', 'v1'] },
  ],
  [
    'pluginregistration.Registration',
    'NotifyRegistrationStatus',
    { plugin_registered: true, error: 'none' },
    {},
  ],
]

describe('product and simulator agree', () => {
  test.each(cases)('on %s.%s', (service, method, request, answer) => {
    const [ours, theirs]: MethodDefinition<object, object>[] = [
      callOf(service, method),
      call(service, method),
    ]
    if (ours === undefined || theirs === undefined) throw new Error('unreachable')
    expect(ours.path).toBe(theirs.path)
    expect([ours.requestStream, ours.responseStream]).toEqual([theirs.requestStream, theirs.responseStream])
    for (const [left, right] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      expect(right.requestDeserialize(left.requestSerialize(request))).toEqual(request)
      expect(right.responseDeserialize(left.responseSerialize(answer))).toEqual(answer)
    }
  })

  test('on the calls that there are', () => {
    for (const name of [
      'v1beta1.DevicePlugin',
      'v1beta1.Registration',
      'pluginregistration.Registration',
    ] as const)
      for (const method of Object.keys(serviceOf(name)))
        expect(call(name, method).path).toBe(`/${name}/${method}`)
  })
})

describe('bytes', () => {
  const text = (value: string) => [value.length, ...Buffer.from(value)]

  test('of a list: one device in node 0, one unhealthy without a node', () => {
    const first = [0x0a, ...text('a'), 0x12, ...text('Healthy'), 0x1a, 4, 0x0a, 2, 0x08, 0]
    const second = [0x0a, ...text('b'), 0x12, ...text('Unhealthy')]
    const bytes = Buffer.from([0x0a, first.length, ...first, 0x0a, second.length, ...second])
    const { responseDeserialize } = callOf(plugin, 'ListAndWatch')
    expect(responseDeserialize(bytes)).toEqual({
      devices: [
        { ID: 'a', health: 'Healthy', topology: { nodes: [{ ID: 0 }] } },
        { ID: 'b', health: 'Unhealthy', topology: null },
      ],
    })
  })

  test('of an answer to Allocate: CDI names are field 5', () => {
    const name = [0x0a, ...text('v/c=n')]
    const container = [0x2a, name.length, ...name]
    const { responseSerialize } = callOf(plugin, 'Allocate')
    const answer = { container_responses: [{ cdi_devices: [{ name: 'v/c=n' }] }] }
    expect([...responseSerialize(answer)]).toEqual([0x0a, container.length, ...container])
  })

  test('of a registration', () => {
    const options = [0x08, 1, 0x10, 1]
    const bytes = [
      0x0a,
      ...text('v1beta1'),
      0x12,
      ...text('e'),
      0x1a,
      ...text('x.org/a'),
      0x22,
      4,
      ...options,
    ]
    const { requestSerialize } = callOf('v1beta1.Registration', 'Register')
    const request = {
      ...{ version: 'v1beta1', endpoint: 'e', resource_name: 'x.org/a' },
      options: { pre_start_required: true, get_preferred_allocation_available: true },
    }
    expect([...requestSerialize(request)]).toEqual(bytes)
  })
})
