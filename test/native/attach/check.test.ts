// CHECK of vf-attach on an interface of software: for each thing that an ADD did, whatever the device, the kernel is changed with
// ip, and CHECK names it. The PF's side is in test/lab/attach/check.test.ts.
// needs: veth, bridge, ifb
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { addClusterInterface } from '../../../hack/lab/bed/topology.ts'
import type { CniResult } from '../../../hack/lab/cni-runtime.ts'
import { BED_FOLDER } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const MAC = '02:00:00:00:00:51'
const RECORDS = '/var/lib/cni/vf-flower/attach'
const ADDRESSES = '/var/lib/cni/networks/lab-net'

let bed: NativeBed

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
beforeEach(async () => {
  // Of a test before this one: whatever it did to the pod goes with the pod, and with it the interface.
  await bed.rebuild()
})
afterEach(async () => {
  await bed.del({ type: 'vf-attach' }, 'pod-one')
})

function config(more: Record<string, unknown> = {}) {
  const ranges = [
    [{ subnet: '10.77.0.0/24', gateway: '10.77.0.1' }],
    [{ subnet: 'fd00:77::/64', gateway: 'fd00:77::1' }],
  ]
  const routes = [{ dst: '10.2.0.0/16' }, { dst: 'fd00:2::/64' }]
  return onNic(bed.nic(), {
    ...{ mac: MAC, mtu: 1400, announce: { count: 0 } },
    ipam: { type: 'host-local', ranges, routes },
    ...more,
  })
}

const check = (result: CniResult, more: Record<string, unknown> = {}, netns = '/run/netns/pod-one') =>
  bed.call('CHECK', config(more), 'pod-one', { prevResult: result, netns })
const failed = (result: CniResult, more: Record<string, unknown> = {}, netns = '/run/netns/pod-one') =>
  bed.refused('CHECK', config(more), 'pod-one', { prevResult: result, netns })

/** Names for the changes of the kernel between ADD and CHECK. */
const env = () => ({ NIC: bed.nic().netdev, OTHER: bed.nic(1).netdev, RECORDS, ADDRESSES })

const inPod = 'ip -n pod-one'

/** An IPAM plugin that answers with one address and a route, which the distribution's can't do in every detail. */
const LEDGER_SCRIPT = (route: object) => {
  const ips = [{ address: '10.77.0.2/24', gateway: '10.77.0.1' }]
  const answer = JSON.stringify({ cniVersion: '1.0.0', ips, routes: [route] })
  return `#!/bin/sh\ncat >/dev/null\n[ $CNI_COMMAND != ADD ] || echo '${answer}'\n`
}

describe('CHECK names what is not as ADD left it', () => {
  test('CHECK succeeds and says nothing after an ADD', async () => {
    const result = await bed.add(config(), 'pod-one')
    expect(await check(result)).toMatchObject({ code: 0, stdout: '' })
  })

  test.each([
    ['interface down', `${inPod} link set net1 down`, [/"net1" is down/]],
    ['MTU', `${inPod} link set net1 mtu 1300`, [/"net1" has MTU 1300, not 1400/]],
    ['IPv4 address', `${inPod} address del 10.77.0.2/24 dev net1`, [/"net1" lacks address 10\.77\.0\.2\/24/]],
    ['IPv6 address', `${inPod} address del fd00:77::2/64 dev net1`, [/"net1" lacks address fd00:77::2\/64/]],
    [
      'prefix length',
      `${inPod} address add 10.77.0.2/16 dev net1; ${inPod} address del 10.77.0.2/24 dev net1`,
      [/lacks address 10\.77\.0\.2\/24/],
    ],
    [
      'IPv6 off',
      'ip netns exec pod-one sh -c "echo 1 >/proc/sys/net/ipv6/conf/net1/disable_ipv6"',
      [/lacks address fd00:77::2\/64/, /lacks route fd00:2::\/64/],
    ],
    [
      'IPv4 route',
      `${inPod} route del 10.2.0.0/16`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1 dev net1/],
    ],
    ['IPv6 route', `${inPod} route del fd00:2::/64`, [/lacks route fd00:2::\/64 via fd00:77::1 dev net1/]],
    [
      'gateway of a route',
      `${inPod} route replace 10.2.0.0/16 via 10.77.0.7 dev net1`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1/],
    ],
    [
      'gateway taken from a route',
      `${inPod} route replace 10.2.0.0/16 dev net1`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1 dev net1, but has 10\.2\.0\.0\/16 dev net1/],
    ],
    [
      'metric of a route',
      `${inPod} route del 10.2.0.0/16; ${inPod} route add 10.2.0.0/16 via 10.77.0.1 dev net1 metric 5`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1 dev net1, but has [^;]* metric 5/],
    ],
    [
      'table of a route',
      `${inPod} route del 10.2.0.0/16; ${inPod} route add 10.2.0.0/16 via 10.77.0.1 dev net1 table 9`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1 dev net1, but has [^;]* table 9/],
    ],
    [
      'MTU of a route',
      `${inPod} route replace 10.2.0.0/16 via 10.77.0.1 dev net1 mtu 1300`,
      [/lacks route 10\.2\.0\.0\/16 via 10\.77\.0\.1 dev net1, but has [^;]* mtu 1300/],
    ],
    [
      'MSS of a route',
      `${inPod} route replace fd00:2::/64 via fd00:77::1 dev net1 advmss 1200`,
      [/lacks route fd00:2::\/64 via fd00:77::1 dev net1, but has [^;]* advmss 1200/],
    ],
    [
      'setting of IPv6',
      'ip netns exec pod-one sh -c "echo 0 >/proc/sys/net/ipv6/conf/net1/optimistic_dad"',
      [/setting net\/ipv6\/conf\/net1\/optimistic_dad is 0, not 1/],
    ],
    [
      'route by way of another interface',
      `${inPod} link add other type ifb; ${inPod} link set other up; ${inPod} route del 10.2.0.0/16; ${inPod} route add 10.2.0.0/16 dev other`,
      [/lacks route 10\.2\.0\.0\/16/],
    ],
    [
      'new name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine`,
      [/"net1" is not in the pod/],
    ],
    ['moved out', `${inPod} link set net1 netns 1`, [/"net1" is not in the pod/]],
    [
      'interface of another kind under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine
      ${inPod} link add net1 address ${MAC} mtu 1400 type ifb; ${inPod} link set net1 up
      ${inPod} address add 10.77.0.2/24 dev net1; ${inPod} address add fd00:77::2/64 dev net1 nodad
      ${inPod} route add 10.2.0.0/16 via 10.77.0.1 dev net1; ${inPod} route add fd00:2::/64 via fd00:77::1 dev net1`,
      [/"net1" is of kind "ifb", not "netdev:nic0"/],
    ],
    [
      'given back to the host, another one under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine; ${inPod} link set mine netns 1
      ip link set $OTHER netns pod-one name net1 up`,
      [/"net1" has MAC 02:00:00:00:f0:01, not 02:00:00:00:00:51/],
    ],
    [
      'record',
      'mkdir /run/away && mv "$RECORDS"/* /run/away',
      [/there is no record of this attachment/],
      'mv /run/away/* "$RECORDS" && rmdir /run/away',
    ],
    ['IPAM', 'rm "$ADDRESSES/10.77.0.2"; rm "$ADDRESSES"/fd00*', [/IPAM plugin "host-local"/]],
  ] as [string, string, RegExp[], string?][])('%s', async (_, change, words, mend = 'true') => {
    const result = await bed.add(config(), 'pod-one')
    await bed.lab.must(change, { env: env() })
    const error = await failed(result)
    await bed.lab.must(mend, { env: env() })
    for (const word of words) expect(error.msg).toMatch(word)
    if (!words.some((word) => word.source.includes('IPAM'))) expect(error.code).toBe(104)
  })

  test.each(['net/ipv4/conf/net1/arp_notify', 'net/ipv6/conf/net1/ndisc_notify'])(
    'setting %s, by which the kernel announces',
    async (setting) => {
      const more = { announce: undefined }
      const result = await bed.add(config(more), 'pod-one')
      expect(await check(result, more)).toMatchObject({ code: 0, stdout: '' })
      await bed.lab.must(`ip netns exec pod-one sh -c 'echo 0 >/proc/sys/${setting}'`)
      const { code, msg } = await failed(result, more)
      expect(msg).toContain(`setting ${setting} is 0, not 1`)
      expect(code).toBe(104)
    },
  )

  test('CHECK compares a route with all that IPAM may ask for', async () => {
    const route = { dst: '10.2.0.0/16', priority: 7, table: 77, mtu: 1350, advmss: 1300 }
    await bed.lab.writeFile(`${BED_FOLDER}/ledger`, LEDGER_SCRIPT(route), 0o755)
    const more = { ipam: { type: 'ledger' } }
    const result = await bed.add(config(more), 'pod-one')
    expect(await check(result, more)).toMatchObject({ code: 0, stdout: '' })
    const plain = `${inPod} route replace 10.2.0.0/16 via 10.77.0.1 dev net1 metric 7 table 77`
    for (const [rest, words] of [
      ['mtu 1350', 'mtu 1350'],
      ['mtu 1350 advmss 1200', 'mtu 1350 advmss 1200'],
      ['mtu 1200 advmss 1300', 'mtu 1200 advmss 1300'],
    ] as const) {
      await bed.lab.must(`${plain} ${rest}`)
      const { code, msg } = await failed(result, more)
      expect(msg).toContain(
        'lacks route 10.2.0.0/16 via 10.77.0.1 dev net1 table 77 metric 7 mtu 1350 advmss 1300',
      )
      expect(msg).toContain(`but has 10.2.0.0/16 via 10.77.0.1 dev net1 table 77 metric 7 ${words}`)
      expect(code).toBe(104)
    }
  })

  test('CHECK names several differences at once', async () => {
    const result = await bed.add(config(), 'pod-one')
    await bed.lab.must(
      `${inPod} link set net1 mtu 1300; ${inPod} route del 10.2.0.0/16; ${inPod} address del fd00:77::2/64 dev net1`,
    )
    const { msg } = await failed(result)
    expect(msg).toMatch(/MTU 1300.*lacks address fd00:77::2\/64.*lacks route 10\.2/)
  })

  test('CHECK asks for the routes of the ADD, and for none that the pod had before', async () => {
    await addClusterInterface(bed.lab, 'pod-one', 7)
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '10.2.0.0/16' }]
    const more = { ipam: { ...(config().ipam as object), routes } }
    const result = await bed.add(config(more), 'pod-one')
    for (const family of ['-4', '-6']) {
      expect(await bed.lab.must(`${inPod} ${family} route show default`)).toMatch(/^default via \S+ dev eth0/)
    }
    expect(await check(result, more)).toMatchObject({ code: 0, stdout: '' })
    await bed.lab.must(`${inPod} route del 10.2.0.0/16`)
    const { code, msg } = await failed(result, more)
    expect(msg).toContain('lacks route 10.2.0.0/16 via 10.77.0.1 dev net1')
    expect(msg).not.toContain('/0')
    expect(code).toBe(104)
  })

  test("CHECK compares the interface's own MAC", async () => {
    const more = { mac: undefined }
    const result = await bed.add(config(more), 'pod-one')
    await bed.lab.must(`${inPod} link set net1 address 02:00:00:00:00:77`)
    expect(await failed(result, more)).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/"net1" has MAC 02:00:00:00:00:77, not /),
    })
  })

  test('CHECK refuses the namespace of another pod', async () => {
    const result = await bed.add(config(), 'pod-one')
    const error = await failed(result, {}, '/run/netns/pod-two')
    expect(error.code).toBe(104)
    expect(error.msg).toContain('"/run/netns/pod-two" is not the namespace of the ADD')
    expect(error.msg).toContain('"net1" is not in the pod')
  })

  test('CHECK names an ADD that was killed before its end', async () => {
    const result = await bed.add(config(), 'pod-one')
    await bed.del(config(), 'pod-one')
    const killed = await bed.call('ADD', config(), 'pod-one', {
      env: { VF_FLOWER_FAULT: 'file:2:before:SIGKILL' },
    })
    expect(killed.signal).toBe('SIGKILL')
    const error = await failed(result)
    expect(error).toMatchObject({ code: 104, msg: expect.stringContaining('its ADD never came to an end') })
  })
})
