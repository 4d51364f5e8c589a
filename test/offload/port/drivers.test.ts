// The table of facts about drivers says for each where it can be read, and the sentences that users see name driver and source.
import { expect, test } from 'vitest'
import {
  ignoredActions,
  policedByPort,
  policeHindrance,
  policerRefusal,
  rateStep,
} from '../../../src/offload/port/driver-words.ts'
import { driverFacts } from '../../../src/offload/port/drivers.ts'

const names = ['bnxt_en', 'cxgb4', 'i40e', 'ice', 'mlx5_core', 'nfp', 'sfc_ef100']

test('each fact has a function and a file', () => {
  for (const name of names) {
    const facts = Object.values(driverFacts(name))
    expect(facts.length).toBeGreaterThan(0)
    for (const { source } of facts) expect(source).toMatch(/^\w+\(\) of [\w/-]+\.c$/)
  }
})

test('nothing is known of other drivers, nor where there is none', () => {
  for (const driver of ['veth', '', 'constructor', undefined]) {
    expect(driverFacts(driver)).toEqual({})
    expect(rateStep(driver)).toBe(1)
    expect(ignoredActions(driver, ['csum', 'police'])).toBeUndefined()
    expect(policeHindrance(driver, 2 ** 40)).toBeUndefined()
    expect(policedByPort(driver)).toBeUndefined()
  }
})

test('drivers in which the order of filters is open', () => {
  expect(names.filter((name) => driverFacts(name).dropsPriorities !== undefined)).toEqual([
    ...['bnxt_en', 'ice', 'nfp', 'sfc_ef100'],
  ])
  expect(driverFacts('sfc')).toBe(driverFacts('sfc_ef100'))
})

test('what is ignored is named, and nothing else', () => {
  expect(ignoredActions('bnxt_en', ['csum'])).toBe(
    'driver "bnxt_en" accepts and ignores action csum (bnxt_tc_parse_actions() of broadcom/bnxt/bnxt_tc.c)',
  )
  expect(ignoredActions('bnxt_en', ['vlan', 'pedit'])).toBeUndefined()
  expect(policeHindrance('bnxt_en', 1)).toContain('ignores action police')
})

test('a policer’s rate of 2^32 bytes/s and more is lost on nfp alone', () => {
  expect(policeHindrance('nfp', 2 ** 32 - 1)).toBeUndefined()
  expect(policeHindrance('nfp', 2 ** 32)).toMatch(/^driver "nfp" .*4294967296 bytes\/s.*qos_conf\.c\)$/)
  expect(policeHindrance('mlx5_core', 2 ** 32)).toBeUndefined()
})

test('a card without meters says so in few words or none: the sentence has the cards that have them', () => {
  const missing =
    /^no flow meters \(ConnectX-6 Dx and newer have them\): the driver said "EOPNOTSUPP(: mlx5_core: Failed to get flow meter)?"$/
  const refused = (code: string, extack?: string, driver = 'mlx5_core') =>
    policerRefusal(driver, { code, extack }, extack === undefined ? code : `${code}: ${extack}`)
  expect(refused('EOPNOTSUPP')).toMatch(missing)
  expect(refused('EOPNOTSUPP', 'mlx5_core: Failed to get flow meter')).toMatch(missing)
  for (const said of [
    refused('EINVAL', 'mlx5_core: Failed to get flow meter'),
    refused('EOPNOTSUPP', 'mlx5_core: can not offload'),
    refused('EOPNOTSUPP', undefined, 'nfp'),
  ])
    expect(said).toMatch(/^the driver said "/)
})
