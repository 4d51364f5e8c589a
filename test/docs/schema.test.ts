// docs/schema has the schemas of the sources, and the examples of the documents are valid by them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { examineConfig } from '../../device-plugin/config/read-config.ts'
import { everySchema, schemaFileText, schemaFolder } from '../../hack/docs.ts'
import { isObject, type JsonObject, type JsonValue } from '../../src/lib/json.ts'
import { problems } from '../support/json-schema.ts'

const top = join(import.meta.dirname, '../..')
const schemaOf = (name: string): JsonObject => everySchema[name]?.() ?? {}

test('docs/schema has what the sources say (sh hack/bun.sh hack/docs.ts writes it)', () => {
  expect(readdirSync(schemaFolder).sort()).toEqual(
    Object.keys(everySchema)
      .map((name) => `${name}.json`)
      .sort(),
  )
  for (const [name, schema] of Object.entries(everySchema))
    expect(readFileSync(join(schemaFolder, `${name}.json`), 'utf8')).toBe(schemaFileText(schema))
})

const pages = ['README.md', ...readdirSync(join(top, 'docs')).filter((name) => name.endsWith('.md'))].map(
  (name) => join(top, name === 'README.md' ? '' : 'docs', name),
)
const blocks = pages.flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/^```json\n([\s\S]*?)^```/gm)].map(
    ([, text = '']) => JSON.parse(text) as JsonValue,
  ),
)
const objects = blocks.filter(isObject)
const entries = objects.flatMap((one) => (Array.isArray(one.plugins) ? one.plugins : [one])).filter(isObject)

describe('the examples of the documents', () => {
  test.each(['vf-attach', 'vf-offload'])('%s: there is one, and its schema allows them all', (type) => {
    const own = entries.filter((entry) => entry.type === type)
    expect(own.length).toBeGreaterThan(0)
    expect(own.flatMap((entry) => problems(schemaOf(type), entry))).toEqual([])
  })

  test('the policy: there is one, and its schema allows it', () => {
    const own = objects.filter((one) => 'stateDirs' in one)
    expect(own.length).toBeGreaterThan(0)
    expect(own.flatMap((one) => problems(schemaOf('policy'), one))).toEqual([])
  })
})

describe('a schema and the device plugin', () => {
  const schema = schemaOf('vf-device-plugin')
  const pool = { resourceName: 'nic', selectors: [{}] }
  test.each<[JsonObject, string[]]>([
    [{ ...pool, selectors: { pfNames: ['p0#0-3, 7', 'p1'], rootDevices: ['0000:3b:00.0#1'] } }, []],
    [{ ...pool, health: { badAfter: 0.5 }, additionalInfo: { '*': { a: 'b' } } }, []],
    [{ ...pool, selectors: [{ exclude: { drivers: ['iavf'] } }, { exclude: [{ isRdma: true }] }] }, []],
    [{ selectors: [{}] }, [' required']],
    [{ ...pool, resourceName: '-' }, ['/resourceName pattern']],
    [{ ...pool, ResourcePrefix: 'a.b' }, [' additionalProperties']],
    [{ ...pool, selectors: [{ vendors: ['intel'] }] }, ['/selectors anyOf']],
    [{ ...pool, selectors: { pciAddresses: ['eth0'] } }, ['/selectors anyOf']],
    [{ ...pool, selectors: { pfNames: ['p0#1,'] } }, ['/selectors anyOf']],
    [{ ...pool, selectors: { exclude: { needVhostNet: true } } }, ['/selectors anyOf']],
    [
      { ...pool, health: { goodAfter: 3601, carier: true } },
      ['/health additionalProperties', '/health/goodAfter maximum'],
    ],
    [{ ...pool, reset: 'pm' }, ['/reset enum']],
  ])('%j: %j', (one, found) => {
    const at = found.map((line) => `/resourceList/0${line}`)
    expect(problems(schema, { resourceList: [one] })).toEqual(at)
    const examined = examineConfig(JSON.stringify({ resourceList: [one] }), { resourcePrefix: 'intel.com' })
    // A key in another spelling is one that an editor marks and the program takes.
    expect(examined.config === undefined).toBe(found.length > 0 && !('ResourcePrefix' in one))
  })

  test('the example of its page is valid, and is read without a word', () => {
    const own = objects.filter((one) => 'resourceList' in one)
    expect(own.length).toBeGreaterThan(0)
    for (const one of own) {
      expect(problems(schema, one)).toEqual([])
      expect(examineConfig(JSON.stringify(one), { resourcePrefix: 'intel.com' }).findings).toEqual([])
    }
  })
})

describe('a schema and the plugin', () => {
  const pci = '0000:3b:02.1'
  const mapping = { hostPort: 8080, containerPort: 80 }
  test.each<[string, Record<string, JsonValue>, string[]]>([
    [
      'vf-attach',
      { deviceID: pci, vlan: 100, vlanQoS: 3, vlanProto: '802.1AD', mac: 'CA-FE-C0-FF-EE-00' },
      [],
    ],
    ['vf-attach', { deviceID: 'mlx5_core.sf.4', spoofchk: 'on', trust: false, announce: { count: 0 } }, []],
    ['vf-attach', { device: 'ens5f0', hwaddr: '0200.0000.0001', dns: { nameservers: ['10.1.0.53'] } }, []],
    ['vf-attach', { deviceID: 'eth0' }, ['/deviceID pattern']],
    [
      'vf-attach',
      { vlan: 4095, mtu: 67, link_state: 'up' },
      ['/vlan maximum', '/link_state enum', '/mtu minimum'],
    ],
    ['vf-attach', { spoofchk: 'yes' }, ['/spoofchk anyOf']],
    ['vf-attach', { announce: { carrier: -1 } }, ['/announce/carrier minimum']],
    ['vf-attach', { device: 'this-is-too-long' }, ['/device maxLength']],
    ['vf-attach', { stateDir: 'run' }, ['/stateDir pattern']],
    ['vf-offload', { runtimeConfig: { portMappings: [{ ...mapping, protocol: 'UDP' }] } }, []],
    [
      'vf-offload',
      { ingressRate: 0, egressRate: 1000, egressBurst: 8000, allowedHostPorts: [80, '1-9'] },
      [],
    ],
    ['vf-offload', { offload: 'never', nat: 'nic' }, ['/offload enum']],
    [
      'vf-offload',
      { runtimeConfig: { portMappings: [{ hostPort: 0 }] } },
      ['/runtimeConfig/portMappings/0 required', '/runtimeConfig/portMappings/0/hostPort minimum'],
    ],
    ['vf-offload', { ingressRate: 999 }, ['/ingressRate anyOf']],
    ['vf-offload', { bandwidth: { require: 'nic' } }, ['/bandwidth/require enum']],
    ['policy', { logFiles: '/var/log' }, ['/logFiles type']],
    ['policy', { LogFiles: [] }, [' additionalProperties']],
    ['policy', { nodePortRange: '20000-21000', allowedHostPorts: [80] }, []],
  ])('%s %j: %j', (name, config, found) => {
    const type = name === 'policy' ? {} : { type: name }
    expect(problems(schemaOf(name), { ...type, ...config })).toEqual(found)
  })
})
