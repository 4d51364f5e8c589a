// vf-offload on an uplink that others work on too: what stands in the way is named, what does not is left in peace, and
// after DEL everything of others is as it was. On a card of a driver that is known to ignore actions (simnic as bnxt_en,
// from source, not hardware), in both modes.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  offloadConfig,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import {
  type Card,
  hardwareRules,
  knob,
  loadSimnic,
  setMode,
  setVfMacs,
  unloadSimnic,
} from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  linkIsReady,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import { drive, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const DATAPATH = 'lab-ovs'
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: HOST.v4 }]

let vm: Lab
let runtime: Runtime
let card: Card
let net: Topology
let list: ConfigList
let attached: CniResult
/** The uplink's index. */
let index: number
/** The state that port mappings change, before a test puts something in the way. */
let state: string

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  ;[card] = (await loadSimnic(vm, { driverName: 'bnxt_en' })) as [Card]
  net = await buildTopology(vm, card, 1)
  index = Number(await vm.must(`cat /sys/class/net/${card.pf}/ifindex`))
})
afterAll(async () => {
  await tearDown(vm, card)
  await unloadSimnic(vm)
})

const pod = () => attachment('/run/netns/pod-one', { capabilityArgs: { portMappings } })
const vf = () => net.vfs[0]?.pci ?? ''
const add = (config: Record<string, unknown> = {}) =>
  runtime.call('ADD', list, offloadConfig(vf(), config), pod(), { prevResult: attached })
const del = () => silently(runtime.call('DEL', list, offloadConfig(vf()), pod()))

/** vf-attach alone: the tests call vf-offload themselves. */
async function attachPod(): Promise<void> {
  await newPod(vm, 'pod-one')
  const attach = attachConfig(vf(), {
    ipam: { ...staticIpam('10.1.0.5/24'), routes: [{ dst: '0.0.0.0/0' }] },
  })
  list = listOf(attach, offloadConfig(vf()))
  attached = await runtime.add(listOf(attach), pod())
}
async function detachPod(): Promise<void> {
  await runtime.del(list, pod())
  await deletePod(vm, 'pod-one')
}

const probes = async (...steps: Parameters<typeof drive>[1][number][]) => drive(vm, steps)

/** All that port mappings change, and filters of others; the whole host is compared around all tests of a mode. */
const look = () => vm.must(stateScript(card.pf, [{ name: 'pod-one' }]))

/** The obstacle of a test is away, and nothing of ours is there. */
const isAsBefore = async () => expect(stateDifferences(state, await look())).toEqual([])

/** ADD is refused with `code` and `words`; tests that end with it look at what was left. */
async function refused(code: number, words: RegExp, config: Record<string, unknown> = {}): Promise<void> {
  const error = errorOf(await add(config))
  expect(error.msg).toMatch(words)
  expect(error.code).toBe(code)
}

/** ADD works beside what is there, and DEL follows. Returns what ADD said on stderr. */
async function served(config: Record<string, unknown> = {}): Promise<string> {
  const result = await add(config)
  expect(result.stdout, result.stderr).toContain('cniVersion')
  expect(result).toMatchObject({ code: 0 })
  await del()
  return result.stderr
}

/** Runs calls that leave nothing of ours, and all of others. They end with a refusal or a DEL: a DEL after a refusal would hide what it left. */
async function unchanged(calls: () => Promise<void>): Promise<void> {
  const before = await look()
  await calls()
  expect(stateDifferences(before, await look())).toEqual([])
}

/** A client's bytes come back whole from the pod by the mapped port; the message says what the filters counted. */
async function expectBytes(): Promise<void> {
  const server = await serve(vm, 'pod-one', [{ name: 'pod', protocol: 'tcp', port: 80 }])
  const question = { protocol: 'tcp', address: HOST.v4, port: 8080, bytes: 20_000 } as const
  const [answer] = await tryAsk(vm, CLIENT_A.namespace, [{ ...question, timeoutMs: 60_000 }])
  expect(answer, await vm.must(`tc -s filter show dev ${card.pf} ingress`)).toMatchObject({ ok: true })
  await server.stop()
}

/** Nothing of what the tests hung on the uplink, and of what was made beside it, is left after all of a mode. */
function compareAround(prepare: () => Promise<void>): void {
  let before: Snapshot
  beforeAll(async () => {
    await prepare()
    before = await snapshot(vm)
    await linkIsReady(vm, 'pod-one')
    state = await look()
  })
  afterAll(async () => {
    try {
      expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
    } finally {
      await detachPod()
    }
  })
}

/** Clears things that a test that failed has left: each would make all after it fail. */
async function tidy(): Promise<void> {
  await del()
  await probes(probe('detachTcx', index), probe('setXdp', index, undefined, ''), probe('removeOvs', DATAPATH))
  await vm.must(`for kind in clsact ingress; do tc qdisc del dev ${card.pf} $kind 2>/dev/null; done
    bridge link set dev ${card.pf} hwmode veb
    [ $(($(cat /sys/class/net/${card.pf}/flags) & 1)) = 1 ] || { ${raiseUplink()}; }
    echo 0 >${card.debugfs}/max_rules
    ethtool -K ${card.pf} hw-tc-offload on; ethtool -K ${card.pf}rep0 hw-tc-offload on; true`)
}

/** Up again, with what an interface loses when it goes down. */
const raiseUplink = () => `ip link set ${card.pf} up; ip route replace 10.2.0.0/24 via 10.1.0.254
  ip address replace ${HOST.v6}/64 dev ${card.pf} nodad; ip route replace fd00:2::/64 via fd00:1::fe`

const filter = (words: string) => `tc filter add dev ${card.pf} ingress ${words}`

describe('legacy mode, where rules run in software', () => {
  compareAround(attachPod)
  beforeEach(({ onTestFailed }) => onTestFailed(tidy))

  test('a program of tcx that ends processing is named; one that lets frames go on is no hindrance', async () => {
    await probes(probe('attachTcx', index, -1, 'counts'))
    expect(await served()).not.toContain('counts')
    await probes(probe('attachTcx', index, 0, 'from_netdev'))
    await refused(106, /in software: frames are taken .* on "simpf0": tcx program \d+ "from_netdev"/)
    await probes(probe('detachTcx', index), probe('attachTcx', index, -1, 'riddle', true))
    await refused(106, /tcx program \d+ "riddle"/)
    await isAsBefore()
    expect(await probes(probe('detachTcx', index))).toEqual([1])
  })

  test('a program of XDP that may drop is named, and does not hinder', async () => {
    await probes(probe('setXdp', index, 1, 'filter'))
    expect(await served()).toMatch(
      /may take frames on "simpf0" before our rules do: XDP program \d+ "filter"/,
    )
    await probes(probe('setXdp', index, 2, 'passes'))
    expect(await served()).not.toContain('XDP')
    await probes(probe('setXdp', index, undefined, ''))
    const [link] = await json(vm, `ip -j link show dev ${card.pf}`)
    expect(link).not.toHaveProperty('xdp')
    await isAsBefore()
  })

  test('filters of others at an earlier priority are named when they take our frames, and no hindrance otherwise', async () => {
    const filters = [
      'protocol ip prio 2 flower ip_proto tcp dst_port 22 action ok',
      'protocol ip prio 3 flower ip_proto udp action drop',
      'protocol ipv6 prio 4 flower action drop',
      `protocol ip prio 5 flower dst_ip ${HOST.v4} action continue`,
      'protocol all prio 50 matchall action drop',
      'protocol ip prio 6 u32 match ip dport 22 0xffff action ok',
    ]
    await vm.must(`tc -b - <<END
qdisc add dev ${card.pf} clsact
${filters.map((words) => `filter add dev ${card.pf} ingress ${words}`).join('\n')}
END`)
    await probes(probe('addBpfFilter', index, 1, -1, 'observer'))
    await unchanged(aroundFilters)
    await vm.must(`tc qdisc del dev ${card.pf} clsact`)
  })

  async function aroundFilters(): Promise<void> {
    const said = await served()
    expect(said).toMatch(/may take frames .*: tc filter add dev simpf0 ingress protocol ip prio 6 .*u32/)
    expect(said).not.toMatch(/prio [1-5] /)
    for (const [words, named] of [
      [
        'protocol ip prio 7 flower dst_ip 10.1.0.0/24 action ok',
        /prio 7 .* dst_ip 10\.1\.0\.0\/255\.255\.255\.0/,
      ],
      ['protocol all prio 7 matchall action mirred egress mirror dev lo', /protocol all prio 7 .*matchall/],
      [
        'protocol ip prio 10 flower ip_proto tcp dst_port 8080 action drop',
        /prio 10 .* dst_port 8080 .* drop/,
      ],
    ] as const) {
      await vm.must(filter(words))
      await refused(106, named)
      await vm.must(`tc filter del dev ${card.pf} ingress ${words.split(' ').slice(0, 4).join(' ')}`)
    }
    await probes(probe('addBpfFilter', index, 8, 0, 'from_host'))
    await refused(106, /prio 8 .*bpf/)
    await vm.must(`tc filter del dev ${card.pf} ingress protocol all prio 8`)
  }

  // After programs on tcx and XDP and filters of all kinds have come and gone: nothing of them is left that takes frames.
  test('an ingress qdisc in place of clsact is used and stays; the mapped port answers', async () => {
    await vm.must(
      `tc qdisc add dev ${card.pf} ingress; ${filter('protocol ip prio 30 flower ip_proto icmp action ok')}`,
    )
    await unchanged(async () => {
      expect(await add()).toMatchObject({ code: 0 })
      await expectBytes()
      await del()
    })
    await vm.must(`tc qdisc del dev ${card.pf} ingress`)
  })

  test('VEPA, a port of Open vSwitch and an uplink that is down are named', async () => {
    await vm.must(`bridge link set dev ${card.pf} hwmode vepa`)
    await refused(106, /"simpf0": its bridge mode is VEPA.*must be VEB/)
    await vm.must(`bridge link set dev ${card.pf} hwmode veb; modprobe openvswitch`)
    await probes(probe('addOvsPort', DATAPATH, card.pf))
    const [link] = await json(vm, `ip -d -j link show dev ${card.pf}`)
    expect(link).toMatchObject({ master: DATAPATH })
    await refused(106, /"simpf0": it is a port of Open vSwitch/)
    await probes(probe('removeOvs', DATAPATH))
    await vm.must(`ip link set ${card.pf} down`)
    await refused(7, /uplink "simpf0": it is down/)
    await vm.must(raiseUplink())
    await isAsBefore()
  })
})

describe('switchdev mode', () => {
  afterAll(() => setMode(vm, card, 'legacy'))
  compareAround(async () => {
    await setMode(vm, card, 'switchdev')
    await setVfMacs(vm, card)
    // Addresses that a new representor gets by itself come with duplicate address detection, in their own time.
    await vm.must(`ip link set ${card.pf}rep0 up
      until ip -6 address show dev ${card.pf}rep0 scope link | grep -q inet6 &&
        ! ip -6 address show tentative | grep -q inet6; do sleep 0.1; done`)
    await attachPod()
  })
  beforeEach(({ onTestFailed }) => onTestFailed(tidy))

  test('a driver that ignores the checksum action is refused for nat nic, and auto translates in the pod and says why', async () => {
    const said = await served({ directSubnets: ['10.9.0.0/24'] })
    await refused(101, /driver "bnxt_en" accepts and ignores action csum .*bnxt_tc\.c/, { nat: 'nic' })
    expect(said).toMatch(/not with nat "nic": driver "bnxt_en" accepts and ignores action csum/)
    await isAsBefore()
  })

  test('tcx does not hinder the NIC, and is named where rules would have to run in software', async () => {
    await probes(probe('attachTcx', index, 0, 'from_netdev'))
    await served({ offload: 'require' })
    await served()
    await knob(vm, card, 'max_rules', 1)
    await refused(106, /tcx program \d+ "from_netdev", and the driver said "ENOSPC/)
    await isAsBefore()
    await probes(probe('detachTcx', index))
    await knob(vm, card, 'max_rules', 0)
  })

  const inNic = (action: string) =>
    filter(`protocol ip prio 2 flower skip_sw dst_ip ${HOST.v4} action ${action}`)

  test('a filter of others in the NIC that keeps the frames is refused: no filter of ours would see one', async () => {
    for (const action of ['drop', `mirred egress redirect dev ${card.pf}rep0`]) {
      await vm.must(`tc qdisc add dev ${card.pf} clsact; ${inNic(action)}`)
      await unchanged(async () => {
        await refused(
          101,
          /frames are taken in the NIC .* on "simpf0": tc filter .* prio 2 .* skip_sw in_hw/,
          {
            offload: 'require',
          },
        )
        await refused(
          106,
          /in software: frames are taken .* on "simpf0": tc filter .* prio 2 .* skip_sw in_hw action/,
        )
      })
      expect(await hardwareRules(vm, card)).toHaveLength(1)
      await vm.must(`tc qdisc del dev ${card.pf} clsact`)
    }
    // Ours are for no fragment.
    await vm.must(
      `tc qdisc add dev ${card.pf} clsact; ${inNic('drop').replace('skip_sw', 'skip_sw ip_flags frag')}`,
    )
    await unchanged(async () => {
      await served({ offload: 'require' })
    })
    await vm.must(`tc qdisc del dev ${card.pf} clsact`)
  })

  test('filters in software serve the port beside a filter of others in the NIC that hands frames to the host', async () => {
    // Nobody else carries the pod's questions for its neighbours from the representor to the wire.
    await vm.must(`ip -n pod-one neigh replace ${CLIENT_A.v4} dev net1 \
      lladdr $(ip netns exec ${CLIENT_A.namespace} cat /sys/class/net/eth0/address)`)
    for (const action of ['trap', 'ok']) {
      await vm.must(`tc qdisc add dev ${card.pf} clsact; ${inNic(action)}`)
      await unchanged(async () => {
        const result = await add()
        expect(result, result.stderr).toMatchObject({ code: 0 })
        expect(result.stderr).toMatch(/frames are taken in the NIC/)
        await expectBytes()
        await del()
        await refused(101, /frames are taken in the NIC/, { offload: 'require' })
      })
      await vm.must(`tc qdisc del dev ${card.pf} clsact`)
    }
  })

  test('hw-tc-offload that is off is named beside the driver’s refusal, and never switched on', async () => {
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload off; ethtool -K ${card.pf}rep0 hw-tc-offload off`)
    expect(await served()).toMatch(/hw-tc-offload of "simpf0" and "simpf0rep0" is off/)
    await refused(101, /the driver said ".*\(hw-tc-offload of "simpf0" and "simpf0rep0" is off\)/, {
      offload: 'require',
    })
    await isAsBefore()
    expect(await vm.must(`ethtool -k ${card.pf}`)).toContain('hw-tc-offload: off')
    await vm.must(`ethtool -K ${card.pf} hw-tc-offload on; ethtool -K ${card.pf}rep0 hw-tc-offload on`)
  })
})
