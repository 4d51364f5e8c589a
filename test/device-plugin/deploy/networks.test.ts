// The networks of the manifests' examples: vf-attach and vf-offload read each config as Multus hands it to them, with the wishes of the pods that
// name the network, and know every key. What pods wish for is declared as a capability.
import { beforeAll, describe, expect, test } from 'vitest'
import { readAttachConfig } from '../../../src/attach/config/config.ts'
import { attachSchema } from '../../../src/attach/config/schema.ts'
import { isObject, type JsonObject, type JsonValue, parse } from '../../../src/lib/json.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { offloadSchema } from '../../../src/offload/config/schema.ts'
import { problems } from '../../support/json-schema.ts'
import { at, deploy, list, podAnnotations, podSpec } from '../../support/kubernetes/manifests.ts'
import { kubectl, notRun, render } from '../../support/kubernetes/render.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const device = '0000:3b:02.1'
const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'net1', mac: '02:00:00:00:00:01', sandbox: '/var/run/netns/pod' }],
  ips: [{ address: '10.20.1.1/16', interface: 0 }],
}

/** A pod's part in a network: the values that Multus hands to plugins that declare them. */
type Wishes = Readonly<Record<string, JsonValue>>

let objects: readonly JsonObject[] = []
let networks: ReadonlyMap<string, JsonObject>
beforeAll(async () => {
  if ('reason' in kubectl) return
  objects = await render(`${deploy}/examples`)
  networks = new Map(
    objects
      .filter(({ kind }) => kind === 'NetworkAttachmentDefinition')
      .map((one) => [
        String(at(one, 'metadata', 'name')),
        parse(String(at(one, 'spec', 'config'))) as JsonObject,
      ]),
  )
})

/** Wishes by network: of annotations, and for a first interface those that kubelet has from the pod's spec. */
function wishesOf(name: string): readonly Wishes[] {
  return objects.flatMap((one) => {
    const annotations = podAnnotations(one)
    const elements = parse(
      String(annotations['k8s.v1.cni.cncf.io/networks'] ?? '[]'),
    ) as readonly JsonObject[]
    const own = elements
      .filter((element) => element.name === name)
      .map(({ name: _, interface: __, ...wishes }) => wishes as Wishes)
    if (annotations['v1.multus-cni.io/default-network'] !== `vf-flower-examples/${name}`) return own
    const ports = list(podSpec(one), 'containers', 0, 'ports')
    return [
      ...own,
      {
        portMappings: ports.map(({ hostPort = 0, containerPort = 0 }) => ({
          hostPort,
          containerPort,
          protocol: 'TCP',
        })),
      },
    ]
  })
}

/** The call of a plugin of a list, as Multus makes it. */
function requestFor(config: JsonObject, plugin: JsonObject, wishes: Wishes) {
  const declared = isObject(plugin.capabilities) ? Object.keys(plugin.capabilities) : []
  const all: Wishes = {
    ...wishes,
    CNIDeviceInfoFile: '/var/run/k8s.cni.cncf.io/devinfo/cni/container-net1-device.json',
  }
  const runtimeConfig = Object.fromEntries(Object.entries(all).filter(([key]) => declared.includes(key)))
  return requestOf({
    ...plugin,
    ...{
      cniVersion: config.cniVersion,
      name: config.name,
      runtimeConfig,
      deviceID: device,
      pciBusID: device,
    },
    ...(plugin.type === 'vf-offload' ? { prevResult } : {}),
  })
}

const ours = () => [...networks].filter(([name]) => name !== 'bond')

describe(`the networks${notRun}`, () => {
  test('are lists of a version that has no STATUS, under the names of their objects', (context) => {
    context.skip('reason' in kubectl, notRun)
    expect(networks.size).toBe(7)
    for (const [name, config] of networks) {
      expect({ ...config, plugins: [] }).toEqual({
        cniVersion: name === 'bond' ? '0.3.1' : '1.0.0',
        name,
        plugins: [],
      })
      expect(list(config, 'plugins')).toHaveLength((config.plugins as readonly unknown[]).length)
    }
    expect(ours()).toHaveLength(6)
  })

  test('are read by the plugins without a word, alone and with the wishes of each pod', (context) => {
    context.skip('reason' in kubectl, notRun)
    let mappings = 0
    let limits = 0
    for (const [name, config] of ours())
      for (const plugin of list(config, 'plugins')) {
        const schema = plugin.type === 'vf-attach' ? attachSchema() : offloadSchema()
        expect({
          name,
          problems: problems(schema, { ...plugin, cniVersion: String(config.cniVersion), name }),
        }).toEqual({ name, problems: [] })
        for (const wishes of [{}, ...wishesOf(name)]) {
          const request = requestFor(config, plugin, wishes)
          if (plugin.type === 'vf-attach') {
            expect({ name, warnings: readAttachConfig(request).warnings }).toEqual({ name, warnings: [] })
            continue
          }
          expect(plugin.type).toBe('vf-offload')
          const read = readOffloadConfig(request)
          expect({ name, warnings: read.warnings }).toEqual({ name, warnings: [] })
          mappings += read.mappings.length
          limits += read.rates.toPod === undefined ? 0 : 1
        }
      }
    // Ports of web, limited and telco; limits of one pod.
    expect({ mappings, limits }).toEqual({ mappings: 3, limits: 1 })
  })

  test('declare what pods wish for', (context) => {
    context.skip('reason' in kubectl, notRun)
    for (const [name, config] of networks) {
      const declared = list(config, 'plugins').flatMap(({ capabilities }) =>
        isObject(capabilities) ? Object.keys(capabilities) : [],
      )
      for (const wishes of wishesOf(name))
        expect(declared).toEqual(expect.arrayContaining(Object.keys(wishes)))
    }
  })

  test('a key that a plugin does not know, a value that it refuses, and a port that a network does not allow are found', (context) => {
    context.skip('reason' in kubectl, notRun)
    const second = networks.get('vf-second') ?? {}
    const [attach = {}, offload = {}] = list(second, 'plugins')
    expect(readAttachConfig(requestFor(second, { ...attach, vlans: 100 }, {})).warnings).toHaveLength(1)
    expect(refusalOf(() => readAttachConfig(requestFor(second, { ...attach, vlan: 5000 }, {}))).code).toBe(7)
    expect(readOffloadConfig(requestFor(second, { ...offload, ofload: 'off' }, {})).warnings).toHaveLength(1)
    const portMappings = [{ hostPort: 22, containerPort: 22, protocol: 'tcp' }]
    expect(refusalOf(() => readOffloadConfig(requestFor(second, offload, { portMappings }))).code).toBe(7)
  })
})
