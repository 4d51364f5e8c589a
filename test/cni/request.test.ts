// A request holds parameters, config and stdin as runtimes send them.
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../src/cni/policy.ts'
import type { Request } from '../../src/cni/request.ts'
import { get, isObject } from '../../src/lib/json.ts'
import {
  type Answer,
  addEnv,
  type Call,
  confFixture,
  confFixtures,
  fakePlugin,
  runVerb,
} from '../support/run-verb.ts'

/** The request that a plugin gets from this call, whatever the verb. */
function requestOf(call: Call): { request: Request | undefined; answer: Answer } {
  let request: Request | undefined
  const take = (got: Request) => {
    request = got
  }
  const add = (got: Request) => {
    request = got
    return got.prevResult ?? {}
  }
  const answer = runVerb(fakePlugin({ add, del: take, check: take, gc: take, status: take }), call)
  return { request, answer }
}

test('a request holds the parameters, the config as written, and stdin byte for byte', () => {
  const stdin = ' {"Name":"net", "TYPE":"vf-attach","cniVersion":"1.1.0","Vlan":5}\n'
  const { request } = requestOf({
    env: { ...addEnv, CNI_ARGS: 'A=1', HOME: '/root', UNSET: undefined },
    stdin,
  })
  expect(request).toEqual({
    command: 'ADD',
    containerID: 'some-container',
    netns: '/var/run/netns/some',
    ifname: 'net1',
    args: new Map([['A', '1']]),
    path: ['/opt/cni/bin'],
    cniVersion: '1.1.0',
    name: 'net',
    type: 'vf-attach',
    config: { Name: 'net', TYPE: 'vf-attach', cniVersion: '1.1.0', Vlan: 5 },
    stdin,
    prevResult: undefined,
    policy: defaultPolicy,
    validAttachments: undefined,
    env: { ...addEnv, CNI_ARGS: 'A=1', HOME: '/root' },
  })
})

describe('valid attachments of a GC', () => {
  const of = (more: object) =>
    requestOf({
      env: { CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin' },
      stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'net', ...more }),
    })
  const a = { containerID: 'a', ifname: 'net1' }
  const b = { containerID: 'b', ifname: 'net2' }

  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])('are read from %s', (key) => {
    expect(of({ [key]: [a, b] }).request?.validAttachments).toEqual([a, b])
    expect(of({ [key]: [] }).request?.validAttachments).toEqual([])
  })

  test('are undefined when the key is absent or null, which differs from empty', () => {
    expect(of({}).request).toHaveProperty('validAttachments', undefined)
    expect(of({ 'cni.dev/valid-attachments': null }).request).toHaveProperty('validAttachments', undefined)
    expect(
      of({ 'cni.dev/valid-attachments': null, 'cni.dev/attachments': [a] }).request?.validAttachments,
    ).toEqual([a])
  })

  test('are those of both keys together', () => {
    const { request } = of({ 'cni.dev/valid-attachments': [a], 'cni.dev/attachments': [b] })
    expect(request?.validAttachments).toEqual([a, b])
  })

  test.each([
    [{}],
    [[{}]],
    [[{ containerID: 'a' }]],
    [[{ containerID: 'a', ifname: '' }]],
    [['a']],
    [[a, null]],
    ['x'],
  ])('that cannot be read are error 7, not "none": %j', (list) => {
    const { request, answer } = of({ 'cni.dev/valid-attachments': list })
    expect(request).toBeUndefined()
    expect(answer.object).toMatchObject({
      code: 7,
      msg: expect.stringContaining('cni.dev/valid-attachments'),
    })
  })

  test('are no business of other verbs', () => {
    const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'net', 'cni.dev/attachments': 'x' })
    expect(requestOf({ env: { CNI_COMMAND: 'STATUS' }, stdin }).answer.exitCode).toBe(0)
  })
})

describe('what runtimes really send', () => {
  test.each(confFixtures().map((fixture) => [fixture.name, fixture] as const))(
    '%s is understood',
    (name, fixture) => {
      const { request, answer } = requestOf(fixture)
      expect(answer).toMatchObject({ exitCode: 0, stderr: '' })
      const plugin = name.endsWith('vf-attach') ? 'vf-attach' : 'vf-offload'
      expect(request).toMatchObject({
        command: fixture.env.CNI_COMMAND,
        name: 'vf-net',
        type: plugin,
        stdin: fixture.stdin,
      })
    },
  )

  test.each(['containerd-add-vf-offload', 'multus-add-vf-offload'])(
    '%s passes its prevResult through unchanged',
    (name) => {
      const fixture = confFixture(name)
      const { request, answer } = requestOf(fixture)
      expect(answer.object).toEqual(request?.config.prevResult)
    },
  )

  test('Multus gives the device to each plugin at the top level, and to runtimeConfig only where declared', () => {
    for (const name of [
      'multus-add-vf-attach',
      'multus-del-vf-attach',
      'multus-add-vf-offload',
      'multus-del-vf-offload',
    ]) {
      const { request } = requestOf(confFixture(name))
      const config = request?.config ?? {}
      expect([get(config, 'deviceid'), get(config, 'PCIBUSID')]).toEqual(['0000:81:02.3', '0000:81:02.3'])
      const runtime = get(config, 'runtimeConfig')
      expect(isObject(runtime) && get(runtime, 'deviceID')).toBe(
        name.endsWith('attach') ? '0000:81:02.3' : undefined,
      )
      expect(get(config, 'capabilities')).toBeDefined()
    }
  })

  test('Multus 4 gives both ids to each plugin, and each argument twice: the last value counts', () => {
    for (const name of ['add', 'check', 'del', 'status'].flatMap((verb) =>
      ['vf-attach', 'vf-offload'].map((plugin) => `multus4-${verb}-${plugin}`),
    )) {
      const fixture = confFixture(name)
      expect(fixture.env.CNI_PATH).toMatch(/^\/opt\/cni\/bin:/)
      const { request } = requestOf(fixture)
      const config = request?.config ?? {}
      expect([get(config, 'deviceID'), get(config, 'pciBusID')]).toEqual(['0000:81:02.3', '0000:81:02.3'])
      const [first, last] = name.includes('status') ? [] : ['1', 'web-0']
      expect([request?.args.get('IgnoreUnknown'), request?.args.get('K8S_POD_NAME')]).toEqual([first, last])
    }
  })

  test('CRI-O sends null for no valid attachments, and cnitool no list at all: neither says that none is valid', () => {
    for (const plugin of ['vf-attach', 'vf-offload']) {
      expect(confFixture(`crio-gc-${plugin}`).stdin).toContain('"cni.dev/valid-attachments":null')
      expect(confFixture(`cnitool-gc-${plugin}`).stdin).not.toContain('attachments')
      for (const runtime of ['crio', 'cnitool']) {
        const { request } = requestOf(confFixture(`${runtime}-gc-${plugin}`))
        expect(request).toMatchObject({ command: 'GC', validAttachments: undefined })
      }
    }
  })

  test('containerd spells the members of its capabilities as Go does, and CRI-O bursts exceed 32 bits', () => {
    const mappings = get(
      get(
        requestOf(confFixture('containerd-add-vf-offload')).request?.config ?? {},
        'runtimeConfig',
      ) as never,
      'portMappings',
    )
    expect(mappings).toMatchObject([
      { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
      { HostIP: '192.0.2.10' },
    ])
    const bandwidth = get(
      get(requestOf(confFixture('multus-add-vf-offload')).request?.config ?? {}, 'runtimeConfig') as never,
      'bandwidth',
    )
    expect(bandwidth).toMatchObject({ ingressBurst: 18446744073709551615n, egressBurst: 34359738359 })
  })
})
