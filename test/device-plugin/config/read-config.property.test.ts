// Properties of the reader of configs: keys in any case mean the same, configs of the documented form are taken, no text makes it throw,
// and each finding points into the text.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { poolKeys } from '../../../device-plugin/config/keys/keys.ts'
import { selectorKeys } from '../../../device-plugin/config/keys/selector-keys.ts'
import { examineConfig } from '../../../device-plugin/config/read-config.ts'

const options = { resourcePrefix: 'intel.com' }
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
const pci = fc.tuple(hex(4), hex(2), fc.nat(31), fc.nat(7)).map(([domain, bus, device, fn]) => {
  return `${domain}:${bus}:${device.toString(16).padStart(2, '0')}.${fn}`
})
const listOf = (one: fc.Arbitrary<string>) => fc.array(one, { maxLength: 3 })
const item = fc.oneof(
  fc.nat(200).map(String),
  fc.tuple(fc.nat(100), fc.nat(100)).map(([first, more]) => `${first}-${first + more}`),
)
const indexed = (pf: fc.Arbitrary<string>) =>
  fc
    .tuple(pf, fc.array(item, { maxLength: 3 }))
    .map(([name, items]) => (items.length === 0 ? name : `${name}#${items.join(',')}`))

const common = {
  vendors: listOf(hex(4)),
  devices: listOf(hex(4)),
  drivers: listOf(fc.constantFrom('iavf', 'vfio-pci')),
}
const net = {
  pfNames: listOf(indexed(fc.constantFrom('ens1f0', 'p0', 'enp94s0f1np1'))),
  rootDevices: listOf(indexed(pci)),
  linkTypes: fc.constantFrom(['ether'], ['infiniband'], []),
  isRdma: fc.boolean(),
  needVhostNet: fc.boolean(),
}
const partly = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { requiredKeys: [] })
const pool = fc.oneof(
  partly({
    ...common,
    ...net,
    pciAddresses: listOf(pci),
    acpiIndexes: listOf(fc.constant('101')),
    pKeys: listOf(fc.constant('0xABCD')),
  }).map((selector) => ({ deviceType: 'netDevice', selector })),
  partly({ ...common, pciAddresses: listOf(pci) }).map((selector) => ({
    deviceType: 'accelerator',
    selector,
  })),
  partly({ ...common, ...net }).map((selector) => ({
    deviceType: 'auxNetDevice',
    selector: { ...selector, auxTypes: ['sf'] },
  })),
)
/** Configs as the documentation of the SR-IOV network device plugin has them, in their official spelling. */
const documented = fc
  .array(
    fc.tuple(
      pool,
      fc.boolean(),
      partly({ excludeTopology: fc.boolean(), resourcePrefix: fc.constant('example.com') }),
    ),
    { maxLength: 4 },
  )
  .map((pools) => ({
    resourceList: pools.map(([{ deviceType, selector }, isList, more], index) => ({
      resourceName: `pool_${index}`,
      deviceType,
      selectors: isList ? [selector] : selector,
      ...more,
    })),
  }))

test('configs of the documented form are taken without a finding', () => {
  fc.assert(
    fc.property(documented, (config) => {
      const { config: read, findings } = examineConfig(JSON.stringify(config), options)
      expect(findings).toEqual([])
      expect(read?.pools.map(({ name }) => name)).toEqual(
        config.resourceList.map(({ resourceName }) => resourceName),
      )
    }),
  )
})

test('keys in any case mean the same', () => {
  const names = ['resourceList', ...Object.keys(poolKeys), ...Object.keys(selectorKeys)]
  const changed = fc.tuple(
    ...names.map((name) => fc.mixedCase(fc.constant(name), { untoggleAll: (text) => text })),
  )
  fc.assert(
    fc.property(documented, changed, (config, spellings) => {
      const text = JSON.stringify(config)
      const other = names.reduce(
        (before, name, index) => before.replaceAll(`"${name}":`, `"${spellings[index]}":`),
        text,
      )
      expect(examineConfig(other, options)).toEqual(examineConfig(text, options))
    }),
  )
})

test('no text makes the reader throw, and each finding points into the text', () => {
  const key = fc.oneof(
    fc.constantFrom(
      'resourceList',
      'SelectorObj',
      '*',
      ...Object.keys(poolKeys),
      ...Object.keys(selectorKeys),
    ),
    fc.string(),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom(
        null,
        true,
        false,
        0,
        -1,
        1e300,
        '',
        'p0#1',
        '8086',
        'sf',
        'netDevice',
        'auxNetDevice',
        '0000:3b:02.1',
      ),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  }))
  const near = fc
    .array(value, { maxLength: 3 })
    .map((resourceList) => JSON.stringify({ resourceList }, null, 1))
  fc.assert(
    fc.property(
      fc.oneof(
        near,
        value.map((one) => JSON.stringify(one)),
        fc.string(),
      ),
      (text) => {
        const { config, findings } = examineConfig(text, options)
        expect(config === undefined).toBe(findings.some(({ severity }) => severity === 'error'))
        const lines = text.split('\n')
        for (const { line, column, key: name, text: sentence } of findings) {
          expect(column).toBeGreaterThan(0)
          expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? -2) + 1)
          expect([name === '', sentence === '']).toEqual([false, false])
        }
      },
    ),
    { numRuns: 300 },
  )
})
