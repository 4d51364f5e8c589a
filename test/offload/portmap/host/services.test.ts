// A port that a rule of others takes is refused with the rule's text.
import { expect, test, vi } from 'vitest'
import { defaultPolicy } from '../../../../src/cni/policy.ts'
import type { FreedKey, Kernel } from '../../../../src/kernel/api/kernel.ts'
import type { ForeignNat } from '../../../../src/kernel/api/port-users.ts'
import { refuseServed, servedDifferences } from '../../../../src/offload/portmap/host/services.ts'
import type { PortKey } from '../../../../src/ops/op.ts'
import { refusalOf } from '../../../support/request.ts'

const said: string[] = []
vi.mock('../../../../src/lib/log/notice.ts', () => ({ notice: (line: string) => said.push(line) }))

const key = (port: number): FreedKey => ({ proto: 'tcp', address: '10.1.0.1', port })
const rule = 'table ip nat chain DOCKER: dport 8080 dnat to 10.0.0.2:80'
const kernelWith = (more: Partial<ForeignNat> = {}): Kernel => {
  const others: ForeignNat = {
    kubeProxy: undefined,
    taker: ({ port }) => (port === 8080 ? rule : undefined),
    losses: () => ({ all: undefined, some: [] }),
    unread: () => [],
    ...more,
  }
  return { foreignNat: () => others } as unknown as Kernel
}

test('a port that somebody translates is refused with the rule, and says what would allow it', () => {
  refuseServed(kernelWith(), [key(8081)], defaultPolicy)
  const refused = (policy = defaultPolicy) =>
    refusalOf(() => refuseServed(kernelWith(), [key(8081), key(8080)], policy))
  expect(refused()).toMatchObject({
    code: 100,
    message: `Cannot map tcp 10.1.0.1 port 8080: ${rule}; allowServicePorts true maps it all the same`,
  })
  const policy = { ...defaultPolicy, file: '/etc/p.json', allowServicePorts: false }
  expect(refused(policy).message).toMatch(
    /; allowServicePorts of \/etc\/p\.json forbids to map it all the same$/,
  )
})

test('node ports are kube-proxy’s where it runs, whether or not a service has one', () => {
  const runs = kernelWith({ kubeProxy: 'table kube-proxy' })
  for (const port of [30_000, 32_767]) {
    refuseServed(kernelWith(), [key(port)], defaultPolicy)
    expect(refusalOf(() => refuseServed(runs, [key(port)], defaultPolicy))).toMatchObject({
      code: 100,
      message: expect.stringContaining(': kube-proxy (table kube-proxy) may give 30000-32767 to services; '),
    })
  }
  for (const port of [29_999, 32_768]) refuseServed(runs, [key(port)], defaultPolicy)
  refuseServed(runs, [key(30_000)], { ...defaultPolicy, nodePortRange: [] })
})

const mapped = (port: number, address = '10.1.0.1'): PortKey => ({
  ...{ proto: 'tcp', address, port, toAddress: '10.88.0.5', toPort: 80 },
})

test('CHECK names services, and no port that only might be one', () => {
  const asked: [number, boolean][] = []
  const runs = kernelWith({
    kubeProxy: 'table kube-proxy',
    losses: ({ port }, isHosts) => {
      asked.push([port, isHosts])
      return { all: port === 8080 ? rule : undefined, some: [] }
    },
  })
  expect([...servedDifferences(runs, [mapped(30_000), mapped(8080)], true)]).toEqual([
    `tcp 10.1.0.1 port 8080 is taken by ${rule}`,
  ])
  expect(asked).toEqual([
    [30_000, true],
    [8080, true],
  ])
})

test('what takes some packets only is told once, whatever addresses have the port', () => {
  const some = kernelWith({ losses: () => ({ all: undefined, some: [rule] }) })
  expect([...servedDifferences(some, [mapped(8080), mapped(8080, '10.1.0.2')], false)]).toEqual([])
  expect(said).toEqual([`vf-offload: some of what comes to tcp 10.1.0.1 port 8080 may be taken by ${rule}`])
})

test('nothing is asked about no key', () => {
  const kernel = {} as Kernel
  refuseServed(kernel, [], defaultPolicy)
  expect([...servedDifferences(kernel, [], true)]).toEqual([])
})
