// A pod with all rights in its own namespace cannot reach another pod's end of a pair on the host, the node's lock, or the
// DEL of its own attachment. CHECK sees what it did to its own end.
// needs: veth, bridge, tbf, nft
import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  attachToBridge,
  BRIDGE,
  bridgeList,
  chained,
  mainOnly,
  PODS,
  type PodName,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { type ErrorObject, errorOf, json, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import { ask, drive } from '../../../hack/lab/driver/client.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { identityOf } from '../../../src/offload/state/identity.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { RatePod, SMALL_TO_POD, shapersOf } from '../../support/rate-veth.ts'

const [victim, hostile] = ['pod-one', 'pod-two'] as const

let lab: Lab
let runtime: Runtime

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
})
afterAll(() => lab.must('ip link del cni0'))

/** Numbers of both ends of a pod's pair, as the pod tells them. */
async function ends(pod: PodName): Promise<{ readonly ifindex: number; readonly peer: number }> {
  const [link] = await json(lab, `ip -n ${pod} -j link show dev eth0`)
  return { ifindex: Number(link?.ifindex), peer: Number(link?.link_index) }
}

describe('a pod whose eth0 has the numbers of another pod’s pair', () => {
  let other: RatePod
  let bed: RatePod
  const child = 'hostile-child'
  beforeAll(async () => {
    other = await RatePod.attach(lab, runtime, victim)
    bed = await RatePod.attach(lab, runtime, hostile)
    const { ifindex, peer } = await ends(victim)
    await lab.must(`set -e
      ip netns add ${child}
      ip -n ${hostile} link del eth0
      ip -n ${hostile} link add eth0 index ${ifindex} type veth peer name far index ${peer} netns ${child}
      ip -n ${hostile} link set eth0 up`)
    expect(await ends(hostile)).toEqual({ ifindex, peer })
  })
  afterEach(async () => {
    await bed.del()
    await other.del()
  })
  afterAll(async () => {
    await lab.must(`ip netns delete ${child}`)
    await bed?.end()
    await other?.end()
  })
  const limited = async () => (await shapersOf(lab)).map(({ dev }) => dev)

  test('gets no limit of the other one’s end: its own is in the pod, and ADD says so', async () => {
    const { code, stderr } = await bed.call('ADD', SMALL_TO_POD)
    expect(await limited()).not.toContain(other.peer)
    // This machine's kernel may have no filter that a limit in the pod is made of.
    if (code === 0) expect(stderr).toContain('the other end of "eth0" is not on the host')
  })

  test('does not take the other one’s limit away, with a record or without', async () => {
    await other.add(SMALL_TO_POD)
    await bed.call('ADD', SMALL_TO_POD)
    await bed.del()
    await bed.del()
    expect(await limited()).toContain(other.peer)
    await silently(other.call('CHECK', SMALL_TO_POD, other.attached))
  })

  test('is not in the way of the other one’s limit', async () => {
    await bed.call('ADD', SMALL_TO_POD)
    await other.add(SMALL_TO_POD)
    expect(await limited()).toContain(other.peer)
  })

  test.each([
    [victim, true],
    [hostile, false],
  ])('of %s the kernel knows the end on the host: %s', async (pod, isThere) => {
    const [link] = await drive(lab, [ask('link', 'pod', 'eth0')], { netns: `/run/netns/${pod}` })
    if (link === undefined) throw new Error('the pod has no eth0')
    const [found] = await drive(lab, [ask('peer', link)], { netns: `/run/netns/${pod}` })
    if (isThere) expect(found).toMatchObject({ name: other.peer, kind: 'veth' })
    else expect(found ?? undefined).toBeUndefined()
  })
})

describe('a pod with a mapped port', () => {
  let result: CniResult
  beforeAll(async () => {
    await newPod(lab, hostile)
    result = await attachToBridge(lab, runtime, hostile)
  })
  afterEach(() => tryOffload(runtime, 'DEL', hostile))
  afterAll(async () => {
    await runtime.del(mainOnly(bridgeList(hostile)), podOf(hostile))
    await deletePod(lab, hostile)
  })
  const add = () => silentResult(tryOffload(runtime, 'ADD', hostile, { prevResult: result }))
  const check = () => tryOffload(runtime, 'CHECK', hostile, { prevResult: result })
  const gc = () =>
    runtime.call(
      'GC',
      { ...bridgeList(hostile), cniVersion: '1.1.0' },
      { ...chained(), 'cni.dev/valid-attachments': [] },
      podOf(hostile),
    )
  const reserved = async () => (await lab.must('nft list ruleset')).includes('8080')
  const inPod = (commands: string) =>
    lab.must(`ip -n ${hostile} -b - <<END
${commands}
END`)

  const rename = (from: string, to: string) =>
    `ip -n ${hostile} link set ${from} down; ip -n ${hostile} link set ${from} name ${to}`
  test.each([
    ['calls it something else', rename('eth0', 'hidden'), rename('hidden', 'eth0')],
    [
      'puts it into a namespace of its own',
      `ip netns add hostile-child; ip -n ${hostile} link set eth0 netns hostile-child`,
      `ip -n hostile-child link set eth0 netns ${hostile}; ip netns delete hostile-child`,
    ],
  ])('that %s keeps its port at GC while it lives', async (_, hide, show) => {
    await add()
    const { peer } = await ends(hostile)
    await lab.must(hide)
    try {
      expect(await failed(gc())).toMatchObject({ code: 103, msg: expect.stringContaining('gcLive') })
      expect(await reserved()).toBe(true)
    } finally {
      await lab.must(show)
      await again()
    }
    expect((await ends(hostile)).peer).toBe(peer)
  })

  /** The interface as the bridge plugin has made it: what a move or a rename took is given back. */
  async function again(): Promise<void> {
    const { v4, v6 } = PODS[hostile]
    await lab.must(`ip -n ${hostile} link set eth0 up
      ip -n ${hostile} address replace ${v4}/16 dev eth0
      ip -n ${hostile} address replace ${v6}/64 dev eth0 nodad
      ip -n ${hostile} route replace default via ${BRIDGE.v4}
      ip -n ${hostile} -6 route replace default via ${BRIDGE.v6}`)
  }

  test.each([
    ['its MAC', 'link set eth0 address 02:00:00:00:99:01', 'has MAC 02:00:00:00:99:01, it had'],
    ['its state', 'link set eth0 down', 'interface "eth0" in the pod is down'],
    [
      'its address',
      `address del ${PODS[hostile].v4}/16 dev eth0`,
      `does not have address ${PODS[hostile].v4} any more`,
    ],
    ['its way out', 'route del default', 'no default route by "eth0" any more for IPv4'],
    ['its way out of IPv6', '-6 route del default', 'no default route by "eth0" any more for IPv6'],
    ['its name', 'link set eth0 down\nlink set eth0 name hidden', 'the pod has no such interface'],
  ])('that has changed %s: CHECK names it', async (_, change, words) => {
    await add()
    const [before] = await json(lab, `ip -n ${hostile} -j link show dev eth0`)
    await silently(check())
    for (const line of change.split('\n')) await lab.must(`ip -n ${hostile} ${line}`)
    try {
      expect(await failed(check())).toMatchObject({ code: 104, msg: expect.stringContaining(words) })
    } finally {
      await lab.must(`ip -n ${hostile} link show dev eth0 >&2 || ip -n ${hostile} link set hidden name eth0
        ip -n ${hostile} link set eth0 address ${String(before?.address)}`)
      await again()
    }
    await silently(check())
  })

  test('that has another pair in its place: CHECK names the other end', async () => {
    await add()
    const { ifindex } = await ends(hostile)
    const [before] = await json(lab, `ip -n ${hostile} -j link show dev eth0`)
    await lab.must(`set -e
      ip -n ${hostile} link set eth0 down
      ip -n ${hostile} link set eth0 name aside
      ip netns add hostile-child
      ip -n ${hostile} link set aside netns hostile-child
      ip -n ${hostile} link add eth0 index ${ifindex} address ${String(before?.address)} type veth peer name far`)
    try {
      await again()
      await lab.must(`ip -n ${hostile} link set far up`)
      expect(await failed(check())).toMatchObject({
        code: 104,
        msg: expect.stringContaining('the other end of "eth0" is not on the host, it was interface'),
      })
    } finally {
      await lab.must(`set -e
        ip -n ${hostile} link del eth0
        ip -n hostile-child link set aside netns ${hostile}
        ip netns delete hostile-child
        ip -n ${hostile} link set aside name eth0`)
      await again()
    }
  })

  test('may have whatever else it likes, which CHECK takes for no difference', async () => {
    await add()
    await inPod(`link add own type veth peer name far
link set own up
link set far up
link property add dev eth0 altname uplink
address add 10.99.0.1/24 dev eth0
route add 10.98.0.0/16 dev own
route add default dev own metric 900
rule add from 10.99.0.1 lookup 99
link set eth0 promisc on txqueuelen 77`)
    try {
      await silently(check())
    } finally {
      await inPod(`link del own
link property del dev eth0 altname uplink
address del 10.99.0.1/24 dev eth0
rule del from 10.99.0.1 lookup 99
link set eth0 promisc off txqueuelen 1000`)
    }
  })

  test('may have many routes of IPv6: CHECK finds the default route behind them, and misses it', async () => {
    await add()
    const routes = (verb: string) => `for n in $(seq 60); do
        echo "route ${verb} fd00:98:$n::/64 dev eth0"
      done | ip -n ${hostile} -6 -b -`
    await lab.must(routes('add'))
    try {
      await silently(check())
      await lab.must(`ip -n ${hostile} -6 route del default`)
      const words = 'no default route by "eth0" any more for IPv6'
      expect(await failed(check())).toMatchObject({ code: 104, msg: expect.stringContaining(words) })
    } finally {
      await lab.must(routes('del'))
      await again()
    }
  })

  const sbr = (command: string) =>
    runtime.call(command, bridgeList(hostile), { type: 'sbr' }, podOf(hostile), { prevResult: result })
  const moved = () => silentResult(sbr('ADD'))
  test.each([
    ['before', [moved, add]],
    ['behind', [add, moved]],
  ] as const)(
    'whose routes sbr, %s ours in the list, has moved to a table of its own: no difference',
    async (_, calls) => {
      try {
        for (const call of calls) await call()
        expect(await lab.must(`ip -n ${hostile} route show table main`)).not.toContain('default')
        await silently(check())
      } finally {
        await sbr('DEL')
        // With the addresses given anew the main table has all of its routes again.
        await lab.must(`ip -n ${hostile} route flush table 100; ip -n ${hostile} -6 route flush table 100
          ip -n ${hostile} link set eth0 down; ip -n ${hostile} address flush dev eth0`)
        await again()
      }
    },
  )

  test('may have the MAC that another plugin of the list has given it: prevResult tells', async () => {
    await add()
    const [before] = await json(lab, `ip -n ${hostile} -j link show dev eth0`)
    const mac = '02:00:00:00:99:02'
    await lab.must(`ip -n ${hostile} link set eth0 address ${mac}`)
    try {
      const interfaces = result.interfaces?.map((one) => (one.name === 'eth0' ? { ...one, mac } : one)) ?? []
      const prevResult = { ...result, interfaces }
      await silently(tryOffload(runtime, 'CHECK', hostile, { prevResult }))
    } finally {
      await lab.must(`ip -n ${hostile} link set eth0 address ${String(before?.address)}`)
      await again()
    }
  })

  const identity = identityOf(
    { network: bridgeList(hostile).name, containerID: podOf(hostile).containerID, ifname: 'eth0' },
    (text) => createHash('sha256').update(text).digest('hex'),
  )

  test('that owns the table of our name: DEL takes what is on the host, and tells', async () => {
    await add()
    // Without a record DEL looks for all that there can be.
    await lab.must('rm -r /var/lib/cni/vf-flower/offload')
    const loads = `{ echo 'add table inet ${identity.podTable} { flags owner; }'; sleep 60; } | nft -i`
    const owner = await lab.spawn(['ip', 'netns', 'exec', hostile, 'sh', '-c', loads])
    try {
      await lab.must(
        `until ip netns exec ${hostile} nft list tables | grep ${identity.podTable}; do sleep 0.05; done`,
      )
      const { code, stdout, stderr } = await tryOffload(runtime, 'DEL', hostile)
      expect([code, stdout]).toEqual([0, ''])
      expect(stderr).toContain(
        `table "${identity.podTable}" stays in the pod (EPERM: a program there owns it`,
      )
      expect(await reserved()).toBe(false)
    } finally {
      owner.kill('SIGKILL')
      await owner.wait().catch(() => undefined)
    }
  })

  test('that has filled the table for replies: DEL reads some thousands of routes, and tells of the others', async () => {
    await add()
    await lab.must('rm -r /var/lib/cni/vf-flower/offload')
    const table = identity.routeTable
    await lab.must(`for high in $(seq 0 79); do for low in $(seq 0 249); do
        echo "route add 172.20.$high.$low/32 dev lo table ${table}"
      done; done | ip -n ${hostile} -b -
      ip -n ${hostile} rule add from 10.9.9.9 lookup ${table} priority 30000`)
    try {
      const { code, stdout, stderr } = await tryOffload(runtime, 'DEL', hostile)
      expect([code, stdout]).toEqual([0, ''])
      expect(stderr).toContain(`Cannot remove every route in table ${table} of the pod`)
      expect(await reserved()).toBe(false)
      expect(await lab.must(`ip -n ${hostile} rule`)).not.toContain(String(table))
    } finally {
      await lab.must(`ip -n ${hostile} route flush table ${table}`)
    }
  })
})

async function silentResult(call: ReturnType<typeof tryOffload>): Promise<void> {
  const { code, stdout, stderr } = await call
  expect(code, stdout + stderr).toBe(0)
}

/** The words of a call that must fail. */
async function failed(call: Promise<ExecResult>): Promise<ErrorObject> {
  const result = await call
  expect([result.code, result.stdout]).not.toEqual([0, ''])
  return errorOf(result)
}
