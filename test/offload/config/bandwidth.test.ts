// The bandwidth of a config is read as the Go plugin bandwidth reads it.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const read = (config: Readonly<Record<string, unknown>>) => readOffloadConfig(requestOf(config)).rates
const both = { ingressRate: 8000, ingressBurst: 80, egressRate: 16_000, egressBurst: 160 }
const limits = {
  toPod: { rate: 8000, burst: 80 },
  fromPod: { rate: 16_000, burst: 160 },
  outside: false,
}

test('a pod asks for limits where the list declares the capability; keys of the config limit every pod', () => {
  const limited = (config: Readonly<Record<string, unknown>>) => readOffloadConfig(requestOf(config)).limited
  const capabilities = { bandwidth: true }
  expect(limited({ capabilities })).toBe('asking')
  expect(limited({ ingressRate: 8000, ingressBurst: 80 })).toBe('every')
  expect(limited({ egressRate: 8000, egressBurst: 80, capabilities })).toBe('every')
  for (const config of [{}, { capabilities: { portMappings: true } }, { capabilities: { bandwidth: false } }])
    expect(limited(config)).toBe('none')
  // Keys of the config win over those of the runtime, whatever they say.
  expect(limited({ ingressRate: 0, ingressBurst: 0, capabilities })).toBe('none')
})

describe('where the wishes stand', () => {
  test('at the top, or as the capability', () => {
    expect(read(both)).toEqual(limits)
    expect(read({ runtimeConfig: { bandwidth: both } })).toEqual(limits)
  })

  test('one direction alone is one limit', () => {
    expect(read({ ingressRate: 8000, ingressBurst: 80 })).toEqual({ toPod: limits.toPod, outside: false })
    expect(read({ egressRate: 16_000, egressBurst: 160 })).toEqual({
      fromPod: limits.fromPod,
      outside: false,
    })
  })

  test('those at the top win entirely, even with nothing but a zero: no direction comes from the other place', () => {
    const runtimeConfig = { bandwidth: both }
    expect(read({ ingressRate: 9000, ingressBurst: 90, runtimeConfig })).toEqual({
      toPod: { rate: 9000, burst: 90 },
      outside: false,
    })
    expect(read({ ingressRate: 0, runtimeConfig })).toEqual({ outside: false })
  })

  test('keys are found in any case, as Go decodes them', () => {
    expect(read({ runtimeConfig: { bandWidth: both } })).toEqual(limits)
    expect(
      read({
        runtimeConfig: {
          bandwidth: { IngressRate: 8000, IngressBurst: 80, EGRESSRATE: 16_000, egressburst: 160 },
        },
      }),
    ).toEqual(limits)
  })

  test.each([
    {},
    { runtimeConfig: {} },
    { runtimeConfig: { bandwidth: null } },
    { runtimeConfig: { bandwidth: {} } },
    { runtimeConfig: { bandwidth: { ingressRate: 0, ingressBurst: 0, egressRate: null } } },
    { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 },
  ])('%j asks for nothing', (config) => {
    expect(read(config)).toEqual({ outside: false })
  })

  test('bandwidth.require', () => {
    expect(read({ bandwidth: { require: 'outside' } })).toEqual({ outside: true })
    expect(read({ ...both, Bandwidth: { Require: 'outside' } })).toEqual({ ...limits, outside: true })
    expect(read({ bandwidth: {} })).toEqual({ outside: false })
  })
})

describe('code 7 with the key and the value', () => {
  test.each<[Readonly<Record<string, unknown>>, string]>([
    [
      { ingressRate: 8000 },
      'ingressRate 8000 without ingressBurst: a rate and its burst must be given together',
    ],
    [
      { ingressBurst: 80 },
      'ingressBurst 80 without ingressRate: a rate and its burst must be given together',
    ],
    [{ egressRate: 8000, egressBurst: 0 }, 'egressRate 8000 without egressBurst'],
    [{ ...both, egressRate: 0 }, 'egressBurst 160 without egressRate'],
    [
      { runtimeConfig: { bandwidth: { egressBurst: 80 } } },
      'runtimeConfig.bandwidth.egressBurst 80 without runtimeConfig.bandwidth.egressRate',
    ],
    [
      { ...both, ingressBurst: 4 * 2 ** 30 * 8 },
      'ingressBurst 34359738368: must be less than 34359738360 bits (4 GiB)',
    ],
    [{ ...both, egressBurst: 34_359_738_360 }, 'egressBurst 34359738360: must be less than'],
    [{ ...both, ingressRate: 999 }, 'ingressRate 999: must be 0 or 1000 to 1000000000000000 bits per second'],
    [{ ...both, ingressRate: 1e15 + 1 }, 'ingressRate 1000000000000001: must be'],
    [{ ...both, ingressRate: -1 }, 'ingressRate -1: must be an integer of bits, 0 or more'],
    [{ ...both, ingressRate: 1.5 }, 'ingressRate 1.5: must be an integer'],
    [{ ...both, egressBurst: '80' }, 'egressBurst "80": must be an integer'],
    [{ runtimeConfig: { bandwidth: 5 } }, 'runtimeConfig.bandwidth 5: must be an object'],
    [{ bandwidth: 'outside' }, 'bandwidth "outside": must be an object with the key "require"'],
    [{ bandwidth: { require: 'nic' } }, 'bandwidth.require "nic": must be "outside"'],
  ])('%j', (config, message) => {
    const refusal = refusalOf(() => read(config))
    expect(refusal.code).toBe(7)
    expect(refusal.message).toContain(`Cannot use ${message}`)
  })

  test('a burst of 4 GiB less two bytes is taken, and no number is taken for another one', () => {
    const burst = 4 * 2 ** 30 * 8 - 16
    expect(read({ ...both, ingressBurst: burst }).toPod).toEqual({ rate: 8000, burst })
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 1e15 }),
        fc.integer({ min: 1, max: 34_359_738_359 }),
        (rate, burst) => {
          const { toPod, fromPod } = read({
            ...{ ingressRate: rate, ingressBurst: burst, egressRate: rate, egressBurst: burst },
          })
          expect(toPod).toEqual({ rate, burst })
          expect(fromPod).toEqual({ rate, burst })
        },
      ),
      { seed: 4 },
    )
  })
})
