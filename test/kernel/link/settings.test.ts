// Differences of two arrays of settings become writes to files below net/ipv4/conf and net/ipv6/conf.
import { expect, test } from 'vitest'
import { settingOps, settingsOf } from '../../../src/kernel/link/settings.ts'
import { factsOf } from '../../attach/model.ts'

const link = factsOf({ name: 'eth1', altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: false })
const hex = (numbers: readonly number[]) =>
  [...new Uint8Array(Int32Array.from(numbers).buffer)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
const count = { v4: 33, v6: 59 }
/** An array of zeros, with these numbers at their places. */
const array = (family: 'v4' | 'v6', set: Readonly<Record<number, number>> = {}) =>
  hex(Array.from({ length: count[family] }, (_, at) => set[at] ?? 0))
const values = (was: Parameters<typeof settingOps>[1], now: Parameters<typeof settingOps>[2]) =>
  settingOps('eth1', was, now).map((op) => (op.do === 'sysctl.set' ? `${op.key}=${op.value}` : op.do))

test('equal and unknown arrays need no operation', () => {
  const both = { v4: array('v4', { 7: 2 }), v6: array('v6', { 3: 1 }) }
  expect(values(both, both)).toEqual([])
  expect(values({}, both)).toEqual([])
  expect(values(both, {})).toEqual([])
})

test('each number that differs is written to its own file, in the unit of the file', () => {
  // IPV4_DEVCONF_RP_FILTER and _ARP_IGNORE of linux/ip.h, and DEVCONF_ACCEPT_RA, _RTR_SOLICITS, _RTR_SOLICIT_INTERVAL,
  // _DISABLE_IPV6, _RA_DEFRTR_METRIC and _ACCEPT_RA_MIN_LFT of linux/ipv6.h.
  const was = {
    v4: array('v4', { 7: 2, 18: 1 }),
    v6: array('v6', { 3: 2, 7: -1, 8: 7000, 26: 1, 52: -1, 58: 30 }),
  }
  expect(values(was, { v4: array('v4'), v6: array('v6') })).toEqual([
    'net/ipv4/conf/eth1/rp_filter=2',
    'net/ipv4/conf/eth1/arp_ignore=1',
    'net/ipv6/conf/eth1/accept_ra=2',
    'net/ipv6/conf/eth1/router_solicitations=-1',
    'net/ipv6/conf/eth1/router_solicitation_interval=7',
    'net/ipv6/conf/eth1/disable_ipv6=1',
    'net/ipv6/conf/eth1/ra_defrtr_metric=4294967295',
    'net/ipv6/conf/eth1/accept_ra_min_lft=30',
  ])
})

test('values that cannot be set are left out', () => {
  const was = { v4: array('v4', { 1: 1 }), v6: array('v6', { 25: 1, 36: 1 }) }
  expect(values(was, { v4: array('v4'), v6: array('v6') })).toEqual([])
})

test('settings are read by family from IFLA_AF_SPEC', () => {
  // AF_INET (2) with IFLA_INET_CONF (1) of one number, AF_INET6 (10) with IFLA_INET6_FLAGS (1) and IFLA_INET6_CONF (2).
  const bytes = Uint8Array.from([
    ...[12, 0, 2, 0, 8, 0, 1, 0, 9, 0, 0, 0],
    ...[20, 0, 10, 0, 8, 0, 1, 0, 0, 0, 0, 128, 8, 0, 2, 0, 7, 0, 0, 0],
  ])
  expect(settingsOf({ ...link, afSpec: bytes })).toEqual({ v4: '09000000', v6: '07000000' })
  expect(settingsOf(link)).toEqual({})
})
