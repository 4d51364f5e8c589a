// Port mappings of a VF with a representor, beside what another entry of the list has made.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { OpenConnection } from '../../../src/kernel/api/port-users.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import type { AddContext } from '../../../src/offload/feature.ts'
import type { Port, UplinkAttachment } from '../../../src/offload/port/port.ts'
import { portmapFeature } from '../../../src/offload/portmap/feature.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../src/ops/offload-refused.ts'
import type { Op } from '../../../src/ops/op.ts'
import { emptyJournal, type OffloadJournal } from '../../../src/records/offload.ts'
import { linkAnswers } from '../../support/node-answers.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { Node } from '../node.ts'

const link = (name: string, ifindex: number, mac: string) =>
  ({ name, ifindex, mac, mtu: 1500, up: true, xdp: [], altnames: [] }) as unknown as LinkFacts
const [pf0, rep0, net1] = [
  link('pf0', 2, '02:00:00:00:00:01'),
  link('rep0', 9, '02:00:00:00:00:09'),
  link('net1', 3, '02:00:00:00:00:05'),
]
const port = {
  ...{ kind: 'representor', name: 'net1', link: net1, mac: net1.mac, device: '0000:3b:02.1' },
  vf: { pf: '0000:3b:00.0', index: 3 },
  wire: { uplink: pf0, representor: rep0, vlan: 0, uplinkHasIngress: true, representorHasIngress: true },
} as unknown as Port
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'net1', sandbox: '/var/run/netns/pod' }],
  ips: [{ address: '10.1.0.5/24', interface: 0 }],
}
const limiter = { index: 77, bytesPerSecond: 1, burst: 1, cookie: '7666' }
const limited: OffloadJournal = {
  ...emptyJournal,
  limits: [
    {
      ...{ direction: 'toPod', rate: 8, burst: 8, where: 'nic', means: 'police' },
      ops: [{ do: 'limiter.add', limiter, offload: 'require' }],
    },
  ],
}

const folder = mkdtempSync(join(tmpdir(), 'ports-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A kernel in which `run` sees what is done, and what a part looks and plans with. */
function around(
  others: readonly OffloadJournal[],
  more: object,
  seen: (op: Op) => unknown,
  looks: (readonly OpenConnection[])[] = [],
) {
  const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] }
  const request = requestOf({ prevResult, runtimeConfig, ...more })
  const machine = new Node(folder)
  const kernel = {
    ...machine.openKernel(),
    addresses: (side: string) => [
      { ifindex: 2, address: side === 'pod' ? '10.1.0.5/24' : '10.1.0.1/24', scope: 0 },
    ],
    nodeAddresses: () => [{ ifindex: 2, address: '10.1.0.1/24', scope: 0 }],
    ...linkAnswers([pf0, rep0]),
    ...{ routes: () => [], sourceRules: () => [], listeners: () => [], bridgeVlans: () => [] },
    openConnections: () => looks.shift() ?? [],
    tcOffload: () => 'on',
    run: (op: Op) => {
      seen(op)
      return op.do === 'steer.add' ? { where: 'nic', handle: 1 } : {}
    },
  } as unknown as Kernel
  const context: AddContext = {
    ...{ machine, kernel, store: { folders: [] }, request, config: readOffloadConfig(request), port, others },
    ratesBefore: ({ vf }) => ({ vf: vf?.rate, port: undefined }),
    isHeldByDead: () => false,
    attachment: { network: 'net', containerID: 'container', ifname: 'net1' },
  }
  return { kernel, context }
}

/** The plan of other features: no policer in the NIC. */
const alone = { policer: undefined, refused: undefined }

/** Policers of the filters that are made, of a kernel whose NIC says `refusal` to them. */
function install(
  others: readonly OffloadJournal[],
  more: object = {},
  refusal?: string,
  looks: (readonly OpenConnection[])[] = [],
  done: string[] = [],
) {
  const limiters: (number | undefined)[] = []
  const seen = (op: Op) => {
    done.push(op.do)
    if (op.do !== 'steer.add') return
    if (refusal !== undefined && op.offload === 'require') throw new OffloadRefused(refusal)
    if (op.rule.side !== 'src') limiters.push(op.rule.limiter)
  }
  const { kernel, context } = around(others, more, seen, looks)
  portmapFeature.look(context)?.plan(context).install(new Transaction(kernel), alone)
  return limiters
}

test('a qdisc that another one has made or removed since the look is taken as it is', () => {
  const made = (meanwhile: Partial<UplinkAttachment>) => {
    const ops: Op[] = []
    const { kernel, context } = around([], {}, (op) => ops.push(op))
    const wire = { ...(port.wire as UplinkAttachment), ...meanwhile }
    const then = { ...port, wire: { ...wire, uplinkHasIngress: false, representorHasIngress: false } }
    const seen = portmapFeature.look({ ...context, port: then })
    seen?.plan({ ...context, port: { ...port, wire } }).install(new Transaction(kernel), alone)
    return ops.flatMap((op) => (op.do === 'clsact.add' ? [op.link] : []))
  }
  expect(made({ uplinkHasIngress: false, representorHasIngress: false })).toEqual(['pf0', 'rep0'])
  expect(made({ representorHasIngress: false })).toEqual(['rep0'])
  expect(made({ uplinkHasIngress: false })).toEqual(['pf0'])
  expect(made({})).toEqual([])
})

group('a limit in the NIC that another entry has made', () => {
  test('is the mapped frames’ limit too', () => {
    expect(install([])).toEqual([undefined])
    expect(install([emptyJournal, limited])).toEqual([77])
  })

  test('that steering in software would pass by is a reason to refuse', () => {
    expect(refusalOf(() => install([limited], { offload: 'off' }))).toMatchObject({
      code: 7,
      message: expect.stringContaining('another entry limits what comes to the pod by a policer in the NIC'),
    })
    expect(install([], { offload: 'off' })).toEqual([undefined])
  })

  test('whose filters the NIC refuses can not be moved any more', () => {
    expect(refusalOf(() => install([limited], {}, 'no police here'))).toMatchObject({
      code: 101,
      message: expect.stringContaining(
        'the driver said "no police here"; port mappings and bandwidth must be in one',
      ),
    })
  })
})

test('without a note the host’s table is made whole before it is asked whose ports are kept', () => {
  const steps: string[] = []
  const { kernel, context } = around([], {}, (op) => steps.push(op.do))
  const looking = {
    ...kernel,
    portTable: () => ({ handle: 7n, use: 9 }),
    completeTable: () => {
      steps.push('whole')
      return { table: undefined, restored: [], refused: [] }
    },
    steeredPorts: () => {
      steps.push('whose')
      return []
    },
  } as Kernel
  rmSync(context.machine.sharedDir, { recursive: true, force: true })
  const planned = portmapFeature.look({ ...context, kernel: looking })?.plan({ ...context, kernel: looking })
  planned?.install(new Transaction(looking), alone)
  expect(steps.slice(0, 3)).toEqual(['whole', 'whose', 'localports.reserve'])
})

group('what is open from a port', () => {
  const open: OpenConnection = {
    ...{ proto: 'tcp', local: { address: '10.1.0.1', port: 8080 } },
    peer: { address: '10.2.0.2', port: 443 },
  }

  test('is looked at when nothing more can be opened, and before the first rule', () => {
    const done: string[] = []
    expect(install([], { allowConnected: true }, undefined, [[open]])).toEqual([undefined])
    expect(refusalOf(() => install([], {}, undefined, [[open]], done))).toMatchObject({ code: 100 })
    expect(done.filter((op) => op.endsWith('.reserve'))).toEqual(['localports.reserve', 'ports.reserve'])
    expect(done).not.toContain('steer.add')
  })
})
