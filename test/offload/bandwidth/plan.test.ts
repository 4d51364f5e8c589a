// Each kind of port has its way to a limit, and a plan of operations.
import { expect, describe as group, test } from 'vitest'
import { planRates } from '../../../src/offload/bandwidth/plan.ts'
import type { RateFacts } from '../../../src/offload/bandwidth/strategy.ts'
import type { RateWishes } from '../../../src/offload/config/bandwidth.ts'
import type { PortKind } from '../../../src/offload/port/kinds.ts'
import type { Port, UplinkAttachment } from '../../../src/offload/port/port.ts'
import { commandLine } from '../../../src/ops/command-line.ts'
import { shaperMark } from '../../../src/ops/marks/rate-numbers.ts'
import { linkFacts } from '../../support/link-facts.ts'
import { refusalOf } from '../../support/request.ts'

const cookie = '76660102aabbccdd0011223344556677'
const identity = {
  cookie,
  ifb: 'vfr0123456789ab',
  ifbMac: '76:66:01:02:03:04',
  limiter: 0x70001234,
}
const limit = { rate: 100_000_000, burst: 8_000_000 }
const both: RateWishes = { toPod: limit, fromPod: limit, outside: false }

const representor = linkFacts('pf0vf3', 9)
const wire = (change: Partial<UplinkAttachment> = {}): UplinkAttachment => ({
  uplink: linkFacts('pf0', 2),
  vlan: 0,
  uplinkHasIngress: false,
  representor: undefined,
  representorHasIngress: false,
  ...change,
})
const net1 = linkFacts('net1', 3)

/** The facts of each kind of port. */
function factsOf(
  kind: PortKind,
  change: Partial<RateFacts> = {},
  mode: 'legacy' | 'switchdev' = 'legacy',
): RateFacts {
  const isVf = kind === 'legacy' || kind === 'representor' || kind === 'userspace'
  const hasRepresentor = kind === 'representor' || mode === 'switchdev'
  const port: Port = {
    kind,
    name: 'net1',
    link: kind === 'userspace' ? undefined : net1,
    mac: net1.mac,
    device: isVf ? '0000:3b:02.1' : undefined,
    vf: isVf ? { pf: '0000:3b:00.0', index: 3 } : undefined,
    wire: isVf ? wire(hasRepresentor ? { representor } : {}) : undefined,
  }
  return {
    port,
    driver: undefined,
    peer: kind === 'veth' ? linkFacts('veth1', 7, { mtu: 9000 }) : undefined,
    ...{ vfRate: isVf ? { min: 0, max: 0 } : undefined, vfLimited: false },
    portRates: hasRepresentor ? { handle: 'pci/0000:3b:00.0/65539', max: 0, share: 0 } : undefined,
    ...{ direct: undefined, unmetered: undefined, mapped: true, steersInNic: true, takenPolicerIndexes: [] },
    portBefore: undefined,
    hasIngress: { peer: false, pod: false, representor: false },
    ...change,
  }
}

/** Each direction's ways as `where means` and lines. */
const ways = (wishes: RateWishes, facts: RateFacts) =>
  planRates(wishes, facts, identity).map(({ direction, ways, passedOver }) => ({
    direction,
    ways: ways.map(({ where, means, ops }) => [`${where} ${means}`, ...ops.map(commandLine)]),
    passedOver,
  }))
const rate = 'rate 100000000bit burst 1000000b'
/** Of shapers whose limit has the cookie. */
const major = (shaperMark(cookie).handle >>> 16).toString(16)

const podDetour = [
  'pod ifb',
  'pod:ip link add vfr0123456789ab address 76:66:01:02:03:04 mtu 1500 up type ifb',
  `pod:tc qdisc add dev vfr0123456789ab root handle ${major}: tbf ${rate} limit 690536b`,
  'pod:tc qdisc add dev net1 clsact',
  `pod:tc filter add dev net1 ingress prio 60000 matchall skip_hw action mirred egress redirect dev vfr0123456789ab cookie ${cookie}`,
]
const podShaper = ['pod tbf', `pod:tc qdisc add dev net1 root handle ${major}: tbf ${rate} limit 690536b`]

group('each kind of port', () => {
  test('veth: both limits on the host, where the pod can not reach them, with the MTU of the pair', () => {
    expect(ways(both, factsOf('veth'))).toEqual([
      {
        direction: 'toPod',
        ways: [['host tbf', `tc qdisc add dev veth1 root handle ${major}: tbf ${rate} limit 690536b`]],
        passedOver: [],
      },
      {
        direction: 'fromPod',
        ways: [
          [
            'host ifb',
            'ip link add vfr0123456789ab address 76:66:01:02:03:04 mtu 9000 up type ifb',
            `tc qdisc add dev vfr0123456789ab root handle ${major}: tbf ${rate} limit 690536b`,
            'tc qdisc add dev veth1 clsact',
            `tc filter add dev veth1 ingress prio 60000 matchall skip_hw action mirred egress redirect dev vfr0123456789ab cookie ${cookie}`,
          ],
        ],
        passedOver: [],
      },
    ])
  })

  test('a veth whose other end is not on the host, a NIC of its own, a macvlan: in the pod', () => {
    for (const facts of [factsOf('veth', { peer: undefined }), factsOf('nic'), factsOf('other')]) {
      expect(ways(both, facts)).toEqual([
        { direction: 'toPod', ways: [podDetour], passedOver: [] },
        { direction: 'fromPod', ways: [podShaper], passedOver: [] },
      ])
    }
  })

  test('legacy VF: from the pod by the PF, to the pod in front of its interface', () => {
    expect(ways(both, factsOf('legacy'))).toEqual([
      { direction: 'toPod', ways: [podDetour], passedOver: [] },
      {
        direction: 'fromPod',
        ways: [['nic max_tx_rate', 'ip link set dev pf0 vf 3 max_tx_rate 100 min_tx_rate 0'], podShaper],
        passedOver: [],
      },
    ])
  })

  test('representor: the port first, then a policer in the NIC, then the pod', () => {
    const [, fromPod] = ways(both, factsOf('representor'))
    expect(fromPod?.ways).toEqual([
      [
        'nic tx_max',
        'devlink port function rate set pci/0000:3b:00.0/65539 tx_share 0Bps tx_max 12500000Bps',
      ],
      [
        'nic police',
        'tc qdisc add dev pf0vf3 clsact',
        `tc filter add dev pf0vf3 ingress prio 1 matchall skip_sw action police rate 100000000bit burst 2000000b mtu 65535 conform-exceed drop/continue cookie ${cookie}`,
      ],
      podShaper,
    ])
  })

  test('representor without devlink rates, or with a rate that is no whole number of Mbit/s: the policer', () => {
    const [none] = ways({ fromPod: limit, outside: true }, factsOf('representor', { portRates: undefined }))
    expect(none?.ways.map(([first]) => first)).toEqual(['nic police'])
    expect(none?.passedOver).toEqual(['tx_max: the driver has no devlink rates'])
    const odd = { fromPod: { rate: 1_500_000, burst: 80_000 }, outside: true }
    const [part] = ways(odd, factsOf('representor'))
    expect(part?.ways.map(([first]) => first)).toEqual(['nic police'])
    expect(part?.passedOver).toEqual([
      'tx_max: 1500000 bit/s is no whole number of Mbit/s, not even within 5 %',
    ])
  })

  test('representor of Open vSwitch: no filter of ours on its port', () => {
    const facts = factsOf('representor')
    const ovs = { ...representor, master: 5, slaveKind: 'openvswitch' }
    const port = { ...facts.port, wire: wire({ representor: ovs }) }
    const [fromPod] = ways({ fromPod: limit, outside: false }, { ...facts, port, portRates: undefined })
    expect(fromPod?.ways.map(([first]) => first)).toEqual(['pod tbf'])
    expect(fromPod?.passedOver).toEqual([
      'tx_max: the driver has no devlink rates',
      'police: "pf0vf3" is a port of Open vSwitch',
    ])
    // Nobody misses it where tx_max serves.
    const [served] = ways({ fromPod: limit, outside: false }, { ...facts, port })
    expect([served?.ways.map(([first]) => first), served?.passedOver]).toEqual([
      ['nic tx_max', 'pod tbf'],
      [],
    ])
  })

  group(
    'a policer that is the port’s own limit by another name (mlx5): rounded, and with it every limit would go',
    () => {
      const said = /^police: driver "mlx5_core" carries it out by the port's own limit, in whole Mbit\/s \(/
      const egress = (rate: number, change: Partial<RateFacts> = {}) =>
        ways(
          { fromPod: { rate, burst: rate }, outside: false },
          factsOf('representor', { driver: 'mlx5_core', ...change }),
        )[0]
      const firsts = (goal: ReturnType<typeof egress>) => goal?.ways.map(([first]) => first)

      test('tx_max, without a word about what nobody needs', () => {
        const goal = egress(100_000_000)
        expect([firsts(goal), goal?.passedOver]).toEqual([['nic tx_max', 'pod tbf'], []])
      })

      test('a rate that would be off by more than 5 %: in the pod, or nowhere', () => {
        const goal = egress(1_500_000)
        expect(firsts(goal)).toEqual(['pod tbf'])
        expect(goal?.passedOver).toEqual([
          'tx_max: 1500000 bit/s is no whole number of Mbit/s, not even within 5 %',
          expect.stringMatching(said),
        ])
        const wishes = { fromPod: { rate: 1_500_000, burst: 80_000 }, outside: true }
        const facts = factsOf('representor', { driver: 'mlx5_core' })
        expect(refusalOf(() => ways(wishes, facts))).toMatchObject({ code: 7 })
      })

      test('where it has no devlink rates the policer is what there is, for whole Mbit/s', () => {
        expect(firsts(egress(100_000_000, { portRates: undefined }))).toEqual(['nic police', 'pod tbf'])
        expect(firsts(egress(1_500_000, { portRates: undefined }))).toEqual(['pod tbf'])
      })

      test('what comes to the pod is policed by another thing, and can be', () => {
        const goals = planRates(both, factsOf('representor', { driver: 'mlx5_core' }), identity)
        expect(goals[0]?.ways.map(({ where }) => where)).toEqual(['nic', 'pod'])
      })
    },
  )

  test('a driver that takes policers and ignores them is asked for none', () => {
    const goals = ways(both, factsOf('representor', { driver: 'bnxt_en', portRates: undefined }))
    const said = expect.stringMatching(/^police: driver "bnxt_en" accepts and ignores action police \(/)
    expect(goals.map(({ ways, passedOver }) => [ways.map(([first]) => first), passedOver])).toEqual([
      [['pod ifb'], [said]],
      [['pod tbf'], ['tx_max: the driver has no devlink rates', said]],
    ])
  })

  test('a rate that the driver would cut to 32 bits (nfp) is no policer’s', () => {
    const firsts = (rate: number) => {
      const wishes = { toPod: { rate, burst: rate }, fromPod: { rate, burst: rate }, outside: false }
      return ways(wishes, factsOf('representor', { driver: 'nfp', portRates: undefined }))
    }
    expect(firsts(34e9).map(({ ways }) => ways[0]?.[0])).toEqual(['nic police', 'nic police'])
    const goals = firsts(40e9)
    expect(goals.map(({ ways }) => ways[0]?.[0])).toEqual(['pod ifb', 'pod tbf'])
    const said =
      /^police: driver "nfp" keeps .* 5000000000 bytes\/s are more than 4294967295 \(nfp_flower_off/
    for (const { passedOver } of goals) expect(passedOver.at(-1)).toMatch(said)
  })

  test('each limit says what counts, where that is known', () => {
    const counts = (driver: string) =>
      planRates(both, factsOf('representor', { driver }), identity).map(({ ways }) =>
        ways.map(({ means, counts }) => `${means} ${counts ?? 'unknown'}`),
      )
    expect(counts('mlx5_core')).toEqual([
      ['police packet', 'ifb frame'],
      ['tx_max unknown', 'tbf frame'],
    ])
    expect(counts('nfp')[0]).toEqual(['police unknown', 'ifb frame'])
  })

  test('max_tx_rate that is counted in 50 Mbit/s (i40e): a multiple within 5 %, else in the pod', () => {
    const egress = (rate: number) =>
      planRates(
        { fromPod: { rate, burst: rate }, outside: false },
        factsOf('legacy', { driver: 'i40e' }),
        identity,
      )[0]
    expect(egress(100_000_000)?.ways[0]?.ops).toMatchObject([{ set: { rate: { max: 100 } } }])
    const near = egress(98_000_000)?.ways[0]
    expect([near?.ops, near?.notes]).toMatchObject([
      [{ set: { rate: { max: 100 } } }],
      ['egressRate 98000000: the NIC takes multiples of 50 Mbit/s; 100 are used'],
    ])
    for (const rate of [10_000_000, 74_000_000, 1_000_000]) {
      const far = egress(rate)
      expect(far?.ways.map(({ means }) => means)).toEqual(['tbf'])
      expect(far?.passedOver).toEqual([
        `max_tx_rate: ${rate} bit/s is no multiple of 50 Mbit/s, not even within 5 %`,
      ])
    }
  })

  test('a VF that a program drives: what PF or eSwitch can do, and nothing else', () => {
    const wishes = { fromPod: limit, outside: false }
    expect(ways(wishes, factsOf('userspace'))[0]?.ways.map(([first]) => first)).toEqual(['nic max_tx_rate'])
    expect(ways(wishes, factsOf('userspace', {}, 'switchdev'))[0]?.ways.map(([first]) => first)).toEqual([
      'nic tx_max',
      'nic police',
    ])
    const refusal = refusalOf(() => ways({ toPod: limit, outside: false }, factsOf('userspace')))
    expect([refusal.code, refusal.message]).toEqual([
      7,
      'Cannot limit ingressRate 100000000 of a userspace port: "net1" has no interface that the kernel could shape',
    ])
    expect(
      refusalOf(() => ways({ fromPod: { rate: 1_500_000, burst: 8 }, outside: false }, factsOf('userspace'))),
    ).toMatchObject({
      code: 7,
      message: expect.stringContaining('max_tx_rate: 1500000 bit/s is no whole number of Mbit/s'),
    })
  })
})

group('to the pod of a representor', () => {
  const wishes = { toPod: limit, outside: false }
  const policer = `tc actions add action police rate 100000000bit burst 2000000b mtu 65535 conform-exceed drop/pipe index 1879052852 skip_sw cookie ${cookie}`
  const meter = (match: string, pop = '') =>
    `tc filter add dev pf0 ingress ${match} skip_sw ${pop}action police index 1879052852 action mirred egress redirect dev pf0vf3 cookie ${cookie}`

  test('one policer, which the filters of port mappings must have; then the pod', () => {
    const [goal] = planRates(wishes, factsOf('representor'), identity)
    expect(goal?.ways.map(({ where, means, limiter }) => [where, means, limiter])).toEqual([
      ['nic', 'police', 0x70001234],
      ['pod', 'ifb', undefined],
    ])
    // Without a bridge no other frames come to the pod than those of port mappings.
    expect(goal?.ways[0]?.ops.map(commandLine)).toEqual([policer, 'tc qdisc add dev pf0 clsact'])
  })

  test('behind a bridge that uplink and representor share, a filter for all other frames, with the tag off', () => {
    const first = (vlan: number | 'any') =>
      planRates(wishes, factsOf('representor', { direct: { vlan } }), identity)[0]?.ways[0]?.ops.map(
        commandLine,
      )
    expect(first('any')?.slice(2)).toEqual([meter('protocol all prio 13 flower dst_mac 02:00:00:00:00:05')])
    // Frames with a tag are in another VLAN, and not the pod's.
    expect(first(0)?.slice(2)).toEqual([
      meter('protocol ip prio 14 flower dst_mac 02:00:00:00:00:05'),
      meter('protocol ipv6 prio 15 flower dst_mac 02:00:00:00:00:05'),
    ])
    expect(first(100)?.at(-1)).toBe(
      meter(
        'protocol 802.1Q prio 16 flower vlan_id 100 dst_mac 02:00:00:00:00:05',
        `action vlan pop pipe cookie ${cookie} `,
      ),
    )
  })

  test('another index where that one is taken', () => {
    const facts = factsOf('representor', { takenPolicerIndexes: [0x70001234, 0x70001235] })
    expect(planRates(wishes, facts, identity)[0]?.ways[0]?.limiter).toBe(0x70001236)
  })

  test('not where port mappings are steered in software: they would have no limit', () => {
    const [goal] = planRates(wishes, factsOf('representor', { steersInNic: false }), identity)
    expect(goal?.ways.map(({ where }) => where)).toEqual(['pod'])
    expect(goal?.passedOver).toEqual(['police: port mappings are steered in software (offload "off")'])
  })

  test('not without a filter that would have it: neither a port mapping nor a bridge shared with the uplink', () => {
    const facts = factsOf('representor', { mapped: false })
    const [goal] = planRates(wishes, facts, identity)
    expect(goal?.ways.map(({ where }) => where)).toEqual(['pod'])
    expect(goal?.passedOver).toEqual([
      'police: no filter would have it, without port mappings and a bridge of "pf0vf3" and "pf0"',
    ])
    const shared = factsOf('representor', { mapped: false, direct: { vlan: 0 } })
    expect(planRates(wishes, shared, identity)[0]?.ways.map(({ where }) => where)).toEqual(['nic', 'pod'])
    const program = factsOf('userspace', { mapped: false }, 'switchdev')
    expect(refusalOf(() => planRates(wishes, program, identity))).toMatchObject({
      code: 7,
      message: expect.stringContaining('police: no filter would have it'),
    })
  })

  test('not where frames come to the representor past the filters on the uplink', () => {
    const facts = factsOf('representor', { unmetered: 'frames come by "bond0"', direct: { vlan: 0 } })
    const [goal] = planRates(wishes, facts, identity)
    expect(goal?.ways.map(({ where }) => where)).toEqual(['pod'])
    expect(goal?.passedOver).toEqual(['police: frames come by "bond0"'])
  })

  test('a VF that a program drives has it too', () => {
    const facts = factsOf('userspace', {}, 'switchdev')
    expect(
      planRates({ ...wishes, outside: true }, facts, identity)[0]?.ways.map(({ where }) => where),
    ).toEqual(['nic'])
  })
})

group('bandwidth.require "outside"', () => {
  const outside = { ...both, outside: true }
  test('a veth has both outside', () => {
    expect(ways(outside, factsOf('veth')).flatMap(({ ways }) => ways.map(([first]) => first))).toEqual([
      'host tbf',
      'host ifb',
    ])
  })

  test('what could be had in the pod only is refused with code 7', () => {
    const refusal = refusalOf(() => ways(outside, factsOf('legacy')))
    expect([refusal.code, refusal.message]).toEqual([
      7,
      'Cannot limit ingressRate 100000000 of a legacy port: only inside the pod, and bandwidth.require is "outside"',
    ])
    const odd = { fromPod: { rate: 1_500_000, burst: 80_000 }, outside: true }
    expect(refusalOf(() => ways(odd, factsOf('legacy'))).message).toContain(
      'only inside the pod, and bandwidth.require is "outside"; max_tx_rate: 1500000 bit/s',
    )
    expect(ways({ fromPod: limit, outside: true }, factsOf('legacy'))[0]?.ways).toHaveLength(1)
  })
})

test('a clsact that is there is used, so that nothing takes it away', () => {
  const hasIngress = { peer: true, pod: true, representor: true }
  for (const kind of ['veth', 'legacy', 'representor', 'nic'] as const) {
    const { port } = factsOf(kind)
    const there = { ...port, wire: port.wire && { ...port.wire, uplinkHasIngress: true } }
    const lines = ways(both, factsOf(kind, { hasIngress, port: there })).flatMap(({ ways }) => ways.flat())
    expect(lines.filter((line) => line.includes('clsact'))).toEqual([])
  }
})

test('a guaranteed rate above the new most gives way, because drivers refuse the pair', () => {
  const facts = factsOf('legacy', { vfRate: { min: 200, max: 1000 } })
  const [goal] = planRates({ fromPod: limit, outside: true }, facts, identity)
  expect(goal?.ways[0]?.ops).toEqual([
    {
      ...{ do: 'vf.set', pf: 'pf0', vf: 3 },
      set: { rate: { min: 0, max: 100 } },
      was: { rate: { min: 200, max: 1000 } },
    },
  ])
})

test('what another attachment has left on VF or port is no limit, and not what DEL brings back', () => {
  const wishes = { fromPod: { rate: 1e9, burst: 1e9 }, outside: true }
  const [vf] = planRates(wishes, factsOf('legacy', { vfRate: { min: 0, max: 0 } }), identity)
  expect(vf?.ways[0]?.ops).toMatchObject([{ set: { rate: { max: 1000 } }, was: { rate: { max: 0 } } }])
  const left = { handle: 'pci/0000:3b:00.0/65539', max: 12_500_000, share: 0 }
  const facts = factsOf('representor', { portRates: left, portBefore: { max: 125_000_000, share: 0 } })
  // Only what differs is sent: from what is there now.
  expect(planRates(wishes, facts, identity)[0]?.ways[0]?.ops).toEqual([
    {
      ...{ do: 'devlink.rate.set', handle: left.handle, set: { max: 125_000_000, share: 0 } },
      ...{ was: { max: 125_000_000, share: 0 }, now: { max: 12_500_000, share: 0 } },
    },
  ])
})

group(
  'a VF with a representor that its PF has limited (vf-attach, or ip link set vf), which devlink does not show',
  () => {
    const capped = (change: Partial<RateFacts> = {}) =>
      factsOf('representor', { vfRate: { min: 0, max: 5 }, vfLimited: true, ...change })
    const egress = (rate: number, facts: RateFacts) =>
      planRates({ fromPod: { rate, burst: rate }, outside: false }, facts, identity)[0]

    test('is limited there, not by tx_max, which would take its place: a lower limit stays, DEL brings it back', () => {
      const [way, ...others] = egress(100_000_000, capped())?.ways ?? []
      expect([way?.means, way?.ops, way?.notes]).toEqual([
        'max_tx_rate',
        [
          {
            ...{ do: 'vf.set', pf: 'pf0', vf: 3 },
            set: { rate: { min: 0, max: 5 } },
            was: { rate: { min: 0, max: 5 } },
          },
        ],
        ['egressRate 100000000: the VF is limited to 5 Mbit/s already, which stays'],
      ])
      expect(others.map(({ means }) => means)).toEqual(['police', 'tbf'])
      expect(egress(2_000_000, capped())?.ways[0]?.ops).toMatchObject([{ set: { rate: { max: 2 } } }])
    })

    test('mlx5: by nothing else in the NIC, with or without devlink rates', () => {
      for (const change of [{}, { portRates: undefined }]) {
        const goal = egress(100_000_000, capped({ driver: 'mlx5_core', ...change }))
        expect(goal?.ways.map(({ means }) => means)).toEqual(['max_tx_rate', 'tbf'])
      }
    })
  },
)

group('a lower limit that is there already stays, and is said', () => {
  const ask = (rate: number, change: Partial<RateFacts>, kind: PortKind) => {
    const wishes = { fromPod: { rate, burst: rate }, outside: true }
    const [way] = planRates(wishes, factsOf(kind, change), identity)[0]?.ways ?? []
    const [op] = way?.ops ?? []
    return [op !== undefined && 'set' in op ? op.set : op, way?.notes]
  }

  test('max_tx_rate, as a PF’s administrator has set it', () => {
    const capped = (max: number) => ({ vfRate: { min: 50, max } })
    expect(ask(1e9, capped(100), 'legacy')).toEqual([
      { rate: { min: 50, max: 100 } },
      ['egressRate 1000000000: the VF is limited to 100 Mbit/s already, which stays'],
    ])
    expect(ask(1e8, capped(100), 'legacy')).toEqual([{ rate: { min: 50, max: 100 } }, []])
    expect(ask(1e8, capped(1000), 'legacy')).toEqual([{ rate: { min: 50, max: 100 } }, []])
    expect(ask(1e8, capped(0), 'legacy')).toEqual([{ rate: { min: 50, max: 100 } }, []])
  })

  test('tx_max of a devlink port', () => {
    const capped = (max: number) => ({ portRates: { handle: 'pci/0000:3b:00.0/65539', max, share: 0 } })
    expect(ask(1e9, capped(12_500_000), 'representor')).toEqual([
      { max: 12_500_000, share: 0 },
      ['egressRate 1000000000: the VF is limited to 100 Mbit/s already, which stays'],
    ])
    expect(ask(1e8, capped(125_000_000), 'representor')).toEqual([{ max: 12_500_000, share: 0 }, []])
  })
})

test('what is rounded is said', () => {
  const wishes = { fromPod: { rate: 99_500_000, burst: 80_000_000 }, outside: false }
  const [goal] = planRates(wishes, factsOf('legacy'), identity)
  expect(goal?.ways[0]?.notes).toEqual(['egressRate 99500000: the NIC takes whole Mbit/s; 100 are used'])
})
