// CHECK of vf-attach on igb VFs: for each thing that an ADD did the kernel is changed with ip, and CHECK names it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CniResult, cniRuntime, type Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { attachConfig, attachment, errorOf, listOf, pluginPath, testRuntime } from '../support/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../support/snapshot.ts'
import { addClusterInterface, deletePod, newPod, type Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

const MAC = '02:00:00:00:00:51'
const RECORDS = '/var/lib/cni/vf-flower/attach'
const ADDRESSES = '/var/lib/cni/networks/lab-net'

let lab: Lab
let runtime: Runtime
/** With {@link LEDGER} among its folders. */
let ledger: Runtime
let topology: Topology
let before: Snapshot
let pod: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  ledger = cniRuntime(lab, [LEDGER, ...pluginPath])
  topology = await makeVfs(lab, 2)
  before = await snapshot(lab)
})

afterAll(async () => {
  if (topology === undefined) return
  await removeVfs(lab, topology)
  await lab.must(`rm -rf ${LEDGER}`)
})

beforeEach(async () => {
  pod = await newPod(lab, 'pod-one')
})

afterEach(async () => {
  await runtime.del(listOf(config()), attachment(pod))
  await deletePod(lab, 'pod-one')
  // host-local goes on counting; every test wants its first address.
  await lab.must('rm -rf /var/lib/cni/networks')
})

function config(more: Record<string, unknown> = {}) {
  const ranges = [
    [{ subnet: '10.77.0.0/24', gateway: '10.77.0.1' }],
    [{ subnet: 'fd00:77::/64', gateway: 'fd00:77::1' }],
  ]
  const routes = [{ dst: '10.2.0.0/16' }, { dst: 'fd00:2::/64' }]
  const wishes = { mac: MAC, vlan: 9, vlanQoS: 2, spoofchk: 'off', trust: 'on', max_tx_rate: 300, mtu: 1400 }
  return attachConfig(topology.vfs[0]?.pci ?? '', {
    ...wishes,
    announce: { count: 0 },
    ipam: { type: 'host-local', ranges, routes },
    ...more,
  })
}

async function check(result: CniResult, more: Record<string, unknown> = {}, netns = pod) {
  const plugin = config(more)
  return runtime.call('CHECK', listOf(plugin), plugin, attachment(netns), { prevResult: result })
}

/** What is done to the kernel between ADD and CHECK. $PF, $VF: names; $OTHER: the second VF's interface. */
const env = () => ({ PF: topology.pf, OTHER: topology.vfs[1]?.netdev ?? '', RECORDS, ADDRESSES })

const inPod = 'ip -n pod-one'

/** Folder of an IPAM plugin that answers with one address and a route, which the distribution's can't do in every detail. */
const LEDGER = '/tmp/attach-check'
const LEDGER_SCRIPT = (route: object) => {
  const ips = [{ address: '10.77.0.2/24', gateway: '10.77.0.1' }]
  const answer = JSON.stringify({ cniVersion: '1.0.0', ips, routes: [route] })
  return `#!/bin/sh\ncat >/dev/null\n[ $CNI_COMMAND != ADD ] || echo '${answer}'\n`
}

describe('CHECK names what is not as ADD left it', () => {
  test('nothing: it succeeds and says nothing', async () => {
    const result = await runtime.add(listOf(config()), attachment(pod))
    expect(await check(result)).toMatchObject({ code: 0, stdout: '' })
  })

  test.each([
    ['VLAN', 'ip link set $PF vf 0 vlan 12 qos 2', [/VF 0 of "\w+" has vlan \{"id":12,/, /not \{"id":9,/]],
    ['VLAN priority', 'ip link set $PF vf 0 vlan 9 qos 3', [/has vlan .*"qos":3.* not .*"qos":2/]],
    ['no VLAN', 'ip link set $PF vf 0 vlan 0', [/has vlan \{"id":0,/]],
    ['spoof check', 'ip link set $PF vf 0 spoofchk on', [/has spoofchk true, not false/]],
    ['trust', 'ip link set $PF vf 0 trust off', [/has trust false, not true/]],
    ['rate', 'ip link set $PF vf 0 max_tx_rate 200', [/has rate .*"max":200.* not .*"max":300/]],
    ["PF's MAC", 'ip link set $PF vf 0 mac 02:00:00:00:00:99', [/has mac 02:00:00:00:00:99, not 02:/]],
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
      `${inPod} link add other up type dummy; ${inPod} route del 10.2.0.0/16; ${inPod} route add 10.2.0.0/16 dev other`,
      [/lacks route 10\.2\.0\.0\/16/],
    ],
    [
      'new name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine`,
      [/"net1" is not in the pod/],
    ],
    ['moved out', `${inPod} link set net1 netns 1`, [/"net1" is not in the pod/]],
    [
      'software interface under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine
      ${inPod} link add net1 address ${MAC} mtu 1400 up type dummy
      ${inPod} address add 10.77.0.2/24 dev net1; ${inPod} address add fd00:77::2/64 dev net1 nodad
      ${inPod} route add 10.2.0.0/16 via 10.77.0.1 dev net1; ${inPod} route add fd00:2::/64 via fd00:77::1 dev net1`,
      [/"net1" is of kind "dummy", not "0000:/],
    ],
    [
      'VF given back to the host, another one under the name',
      `${inPod} link set net1 down; ${inPod} link set net1 name mine; ${inPod} link set mine netns 1
      ip link set $OTHER netns pod-one name net1 up`,
      [/"net1" is "0000:[^"]*", not "0000:/],
      // DEL finds its own; the other one the test has to take back.
      `ip -n pod-one link set net1 down name $OTHER netns 1`,
    ],
    [
      'record',
      'mkdir /run/away && mv "$RECORDS"/* /run/away',
      [/there is no record of this attachment/],
      'mv /run/away/* "$RECORDS" && rmdir /run/away',
    ],
    ['IPAM', 'rm "$ADDRESSES/10.77.0.2"; rm "$ADDRESSES"/fd00*', [/IPAM plugin "host-local"/]],
  ] as [string, string, RegExp[], string?][])('%s', async (_, change, words, mend = 'true') => {
    const result = await runtime.add(listOf(config()), attachment(pod))
    await lab.must(change, { env: env() })
    const error = errorOf(await check(result))
    await lab.must(mend, { env: env() })
    for (const word of words) expect(error.msg).toMatch(word)
    if (!words.some((word) => word.source.includes('IPAM'))) expect(error.code).toBe(104)
  })

  test.each(['net/ipv4/conf/net1/arp_notify', 'net/ipv6/conf/net1/ndisc_notify'])(
    'setting %s, by which the kernel announces',
    async (setting) => {
      const more = { announce: undefined }
      const result = await runtime.add(listOf(config(more)), attachment(pod))
      expect(await check(result, more)).toMatchObject({ code: 0, stdout: '' })
      await lab.must(`ip netns exec pod-one sh -c 'echo 0 >/proc/sys/${setting}'`)
      const { code, msg } = errorOf(await check(result, more))
      expect(msg).toContain(`setting ${setting} is 0, not 1`)
      expect(code).toBe(104)
    },
  )

  test('a route with all that IPAM may ask for', async () => {
    const route = { dst: '10.2.0.0/16', priority: 7, table: 77, mtu: 1350, advmss: 1300 }
    await lab.writeFile(`${LEDGER}/ledger`, LEDGER_SCRIPT(route), 0o755)
    const more = { ipam: { type: 'ledger' } }
    const result = await ledger.add(listOf(config(more)), attachment(pod))
    await ledger.check(listOf(config(more)), attachment(pod), result)
    const plain = `${inPod} route replace 10.2.0.0/16 via 10.77.0.1 dev net1 metric 7 table 77`
    for (const [rest, words] of [
      ['mtu 1350', 'mtu 1350'],
      ['mtu 1350 advmss 1200', 'mtu 1350 advmss 1200'],
      ['mtu 1200 advmss 1300', 'mtu 1200 advmss 1300'],
    ] as const) {
      await lab.must(`${plain} ${rest}`)
      const plugin = config(more)
      const { code, msg } = errorOf(
        await ledger.call('CHECK', listOf(plugin), plugin, attachment(pod), { prevResult: result }),
      )
      expect(msg).toContain(
        'lacks route 10.2.0.0/16 via 10.77.0.1 dev net1 table 77 metric 7 mtu 1350 advmss 1300',
      )
      expect(msg).toContain(`but has 10.2.0.0/16 via 10.77.0.1 dev net1 table 77 metric 7 ${words}`)
      expect(code).toBe(104)
    }
  })

  test('several things at once: all of them', async () => {
    const result = await runtime.add(listOf(config()), attachment(pod))
    await lab.must(
      `ip link set $PF vf 0 trust off; ${inPod} link set net1 mtu 1300; ${inPod} route del 10.2.0.0/16`,
      {
        env: env(),
      },
    )
    const { msg } = errorOf(await check(result))
    expect(msg).toMatch(/trust false.*MTU 1300.*lacks route 10\.2/)
  })

  test('a route that the pod had before: it is not asked for, those of the ADD are', async () => {
    await addClusterInterface(lab, 'pod-one', 7)
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '10.2.0.0/16' }]
    const more = { ipam: { ...(config().ipam as object), routes } }
    const result = await runtime.add(listOf(config(more)), attachment(pod))
    for (const family of ['-4', '-6']) {
      expect(await lab.must(`${inPod} ${family} route show default`)).toMatch(/^default via \S+ dev eth0/)
    }
    expect(await check(result, more)).toMatchObject({ code: 0, stdout: '' })
    await lab.must(`${inPod} route del 10.2.0.0/16`)
    const { code, msg } = errorOf(await check(result, more))
    expect(msg).toContain('lacks route 10.2.0.0/16 via 10.77.0.1 dev net1')
    expect(msg).not.toContain('/0')
    expect(code).toBe(104)
  })

  test("the interface's own MAC, where the PF has set none", async () => {
    // Another VF: igb does not tell whether a PF has set a MAC or heard it from the VF, so DEL sets the one it saw.
    const more = { deviceID: topology.vfs[1]?.pci, mac: undefined, trust: undefined }
    const result = await runtime.add(listOf(config(more)), attachment(pod))
    await lab.must(`${inPod} link set net1 address 02:00:00:00:00:77`)
    const error = errorOf(await check(result, more))
    expect(error).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/"net1" has MAC 02:00:00:00:00:77, not /),
    })
  })

  test('the namespace of another pod', async () => {
    const result = await runtime.add(listOf(config()), attachment(pod))
    const other = await newPod(lab, 'pod-two')
    const error = errorOf(await check(result, {}, other))
    await deletePod(lab, 'pod-two')
    expect(error.code).toBe(104)
    expect(error.msg).toContain(`"${other}" is not the namespace of the ADD`)
    expect(error.msg).toContain('"net1" is not in the pod')
  })

  test('an ADD that was killed before its end', async () => {
    const result = await runtime.add(listOf(config()), attachment(pod))
    await runtime.del(listOf(config()), attachment(pod))
    const killed = await runtime.call('ADD', listOf(config()), config(), attachment(pod), {
      env: { VF_FLOWER_FAULT: 'file:2:before:SIGKILL' },
    })
    expect(killed.signal).toBe('SIGKILL')
    const error = errorOf(await check(result))
    expect(error).toMatchObject({ code: 104, msg: expect.stringContaining('its ADD never came to an end') })
  })
})

test('after DEL nothing of all that is left', async () => {
  await deletePod(lab, 'pod-one')
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
