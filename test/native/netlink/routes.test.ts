// Routes and policy rules against the kernel, with iproute2 as the judge: what our messages make is read by `ip -j`, what
// `ip` makes is read by our decoders. All in a namespace of its own.
// needs: ifb
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { draft, drive, dump, json, request } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { RT_SCOPE, RTN, RTPROT } from '../../../src/netlink/rtnl/route.ts'
import { FR_ACT } from '../../../src/netlink/rtnl/rule.ts'
import { lab } from '../../support/lab.ts'

const on = 'nl-routes'
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
    link add d0 address 02:00:00:00:00:01 up type ifb
    address add 10.5.0.1/24 dev d0
    address add fd05::1/64 dev d0 nodad
END`)
})
afterAll(() => deletePod(vm, on))

const ip = <T = Record<string, unknown>>(command: string): Promise<T[]> =>
  json<T>(vm, `ip -n ${on} -j ${command}`)

/** The interface's number in the namespace. */
async function indexOf(name: string): Promise<number> {
  const [link] = await ip<{ ifindex: number }>(`link show dev ${name}`)
  return link?.ifindex ?? 0
}

describe('routes', () => {
  test('that we add and remove are what ip shows', async () => {
    const index = await indexOf('d0')
    const common = { rtm_type: RTN.RTN_UNICAST, rtm_protocol: RTPROT.RTPROT_STATIC, RTA_OIF: index }
    const v4 = { ...common, rtm_family: AF.AF_INET }
    const v6 = { ...common, rtm_family: AF.AF_INET6 }
    const doomed = {
      ...v4,
      rtm_dst_len: 32,
      RTA_DST: '10.9.9.9',
      RTA_TABLE: 70_000,
      rtm_scope: RT_SCOPE.RT_SCOPE_LINK,
    }
    await drive(
      vm,
      [
        request(
          draft('newRoute', {
            ...v4,
            rtm_dst_len: 16,
            RTA_DST: '10.7.0.0',
            RTA_GATEWAY: '10.5.0.254',
            RTA_PRIORITY: 5,
            RTA_METRICS: { RTAX_MTU: 1200, RTAX_ADVMSS: 1100 },
          }),
        ),
        request(draft('newRoute', { ...v4, RTA_GATEWAY: '10.5.0.254', RTA_TABLE: 70_000 })),
        request(draft('newRoute', doomed)),
        request(draft('deleteRoute', doomed)),
        request(
          draft('newRoute', {
            ...v6,
            rtm_dst_len: 48,
            RTA_DST: 'fd07::',
            RTA_GATEWAY: 'fd05::fe',
            RTA_PRIORITY: 77,
            RTA_TABLE: 70_000,
            RTA_METRICS: { RTAX_MTU: 1290 },
          }),
        ),
      ],
      { on },
    )
    expect(await ip('-d route show 10.7.0.0/16')).toEqual([
      {
        type: 'unicast',
        dst: '10.7.0.0/16',
        gateway: '10.5.0.254',
        dev: 'd0',
        protocol: 'static',
        scope: 'global',
        metric: 5,
        flags: [],
        metrics: [{ mtu: 1200, advmss: 1100 }],
      },
    ])
    expect(await ip('-d route show table 70000')).toEqual([
      {
        type: 'unicast',
        dst: 'default',
        gateway: '10.5.0.254',
        dev: 'd0',
        protocol: 'static',
        scope: 'global',
        flags: [],
      },
    ])
    expect(await ip('-6 -d route show table 70000')).toEqual([
      {
        type: 'unicast',
        dst: 'fd07::/48',
        gateway: 'fd05::fe',
        dev: 'd0',
        protocol: 'static',
        scope: 'global',
        metric: 77,
        flags: [],
        metrics: [{ mtu: 1290 }],
        pref: 'medium',
      },
    ])
  })

  test('that ip adds are read, also those of a single table, and as the answer which one is taken', async () => {
    const index = await indexOf('d0')
    await vm.must(`ip -n ${on} -b - <<END
      route add 10.20.0.0/14 dev d0 table 70000 scope link src 10.5.0.1 metric 9
      route add 10.30.0.0/16 via 10.5.0.200 dev d0 onlink
      route add blackhole 10.40.0.0/16
END`)
    const filter = { rtm_family: AF.AF_INET, RTA_TABLE: 70_000 }
    const asked = { rtm_family: AF.AF_INET, rtm_dst_len: 32, RTA_DST: '10.30.1.2' }
    const [table, main, taken] = await drive(
      vm,
      [
        dump(draft('dumpRoutes', filter)),
        dump(draft('dumpRoutes', { rtm_family: AF.AF_INET, RTA_TABLE: 254 })),
        request(draft('getRoute', asked)),
      ],
      { on },
    )
    expect(table.map(({ value }) => value.RTA_TABLE)).toEqual([70_000, 70_000])
    expect(table.map(({ value }) => value.RTA_DST)).toEqual([undefined, '10.20.0.0'])
    expect(table[1]?.value).toMatchObject({
      rtm_dst_len: 14,
      RTA_PREFSRC: '10.5.0.1',
      RTA_PRIORITY: 9,
      rtm_scope: RT_SCOPE.RT_SCOPE_LINK,
      RTA_OIF: index,
    })
    const byDestination = new Map(main.map(({ value }) => [value.RTA_DST, value]))
    expect(main).toHaveLength((await ip('route')).length)
    expect(byDestination.get('10.30.0.0')).toMatchObject({ RTA_GATEWAY: '10.5.0.200', rtm_flags: 4 })
    expect(byDestination.get('10.40.0.0')).toMatchObject({ rtm_type: RTN.RTN_BLACKHOLE })
    expect(taken.messages[0]?.value).toMatchObject({
      RTA_GATEWAY: '10.5.0.200',
      RTA_OIF: index,
      RTA_PREFSRC: '10.5.0.1',
    })
  })
})

test('policy rules that we add are what ip shows, and those of ip are read', async () => {
  const action = FR_ACT.FR_ACT_TO_TBL
  await drive(
    vm,
    [
      request(
        draft('newRule', {
          family: AF.AF_INET,
          src_len: 32,
          action,
          FRA_SRC: '10.5.0.1',
          FRA_TABLE: 70_000,
          FRA_PRIORITY: 30_000,
        }),
      ),
      request(
        draft('newRule', {
          family: AF.AF_INET6,
          src_len: 64,
          action,
          FRA_SRC: 'fd05::',
          FRA_TABLE: 70_000,
          FRA_PRIORITY: 30_001,
        }),
      ),
    ],
    { on },
  )
  expect(await ip('rule show priority 30000')).toEqual([
    { priority: 30_000, src: '10.5.0.1', table: '70000' },
  ])
  expect(await ip('-6 rule show priority 30001')).toEqual([
    { priority: 30_001, src: 'fd05::', srclen: 64, table: '70000' },
  ])
  await vm.must(`ip -n ${on} rule add fwmark 5/7 iif d0 ipproto tcp dport 80-90 blackhole priority 40`)
  const [rules] = await drive(vm, [dump(draft('dumpRules', AF.AF_INET))], { on })
  expect(rules.map(({ value }) => value.FRA_PRIORITY ?? 0)).toEqual([0, 40, 30_000, 32_766, 32_767])
  expect(rules[1]?.value).toMatchObject({
    action: FR_ACT.FR_ACT_BLACKHOLE,
    FRA_FWMARK: 5,
    FRA_FWMASK: 7,
    FRA_IIFNAME: 'd0',
    FRA_IP_PROTO: 6,
    FRA_DPORT_RANGE: { start: 80, end: 90 },
  })
})
