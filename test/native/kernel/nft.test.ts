// Reservations of host ports and tables of pods, by the nft program; read back by `nft -j list ruleset`.
// needs: nft
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { hostChains, sourceChain } from '../../../src/kernel/nftables/host-table.ts'
import { identityOf } from '../../../src/offload/state/identity.ts'
import type { Op, PortKey } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const [on, pod] = ['nft-host', 'nft-pod'] as const
const netns = `/run/netns/${pod}`
const cookies = ['766601010000000000000000000000aa', '766601010000000000000000000000bb'] as const
const owners = [`${cookies[0]} pod-one/net1`, `${cookies[1]} pod-two/net1`] as const
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await newPod(vm, pod)
})
afterAll(async () => {
  await deletePod(vm, on)
  await deletePod(vm, pod)
})

/** The ruleset that nft lists in a namespace, without its own version. */
async function ruleset(namespace: string): Promise<Record<string, Record<string, unknown>>[]> {
  const listing = JSON.parse(await vm.must(`ip netns exec ${namespace} nft -j list ruleset`)) as {
    nftables: Record<string, Record<string, unknown>>[]
  }
  return listing.nftables.filter((entry) => !('metainfo' in entry))
}

/** Reserved ports as `ADDRESS PROTOCOL PORT -> ADDRESS PORT (OWNER)`. */
async function reserved(): Promise<string[]> {
  const maps = (await ruleset(on)).flatMap(({ map }) =>
    String(map?.name).startsWith('ports') ? [map ?? {}] : [],
  )
  const entries = maps.flatMap(({ elem = [] }) => elem as [Elem, { concat: string[] }][])
  return entries
    .map(([{ elem }, to]) => `${elem.val.concat.join(' ')} -> ${to.concat.join(' ')} (${elem.comment})`)
    .sort()
}

interface Elem {
  readonly elem: { readonly val: { readonly concat: string[] }; readonly comment: string }
}

/** A listing by blocks, and elements in an order of their own. */
function normal(listing: string): string[] {
  const elements = listing.replace(/elements = \{([^}]*)\}/g, (_, list: string) =>
    list
      .split(',')
      .map((one) => one.trim())
      .sort()
      .join(', '),
  )
  return elements
    .split(/\n\n|\{\n/)
    .map((block) => block.trim())
    .sort()
}

const key = (address: string, proto: PortKey['proto'], port: number): PortKey => ({
  address,
  proto,
  port,
  toAddress: address.includes(':') ? 'fd00:1::5' : '10.1.0.5',
  toPort: 80,
})
const reserve = (
  owner: string,
  ...keys: PortKey[]
): Extract<Op, { do: 'ports.reserve' | 'ports.release' }> => ({
  do: 'ports.reserve',
  keys,
  masquerade: [],
  owner,
})

test('reserves all ports or none, names the owner of a taken one, and gives back only its own', async () => {
  const mine = [key('10.1.0.1', 'tcp', 8080), key('10.1.0.1', 'udp', 8080), key('fd00:1::1', 'tcp', 8080)]
  const ours = [
    `10.1.0.1 tcp 8080 -> 10.1.0.5 80 (${owners[0]})`,
    `10.1.0.1 udp 8080 -> 10.1.0.5 80 (${owners[0]})`,
    `fd00:1::1 tcp 8080 -> fd00:1::5 80 (${owners[0]})`,
  ]
  const theirs = [`10.1.0.1 tcp 8081 -> 10.1.0.5 80 (${owners[1]})`]
  await drive(vm, [apply(reserve(owners[0], ...mine))], { on })
  expect(await reserved()).toEqual(ours)

  const [v4, v6, free] = await tryDrive(
    vm,
    [
      run(reserve(owners[1], key('10.1.0.1', 'tcp', 8081), key('10.1.0.1', 'udp', 8080))),
      run(reserve(owners[1], key('10.1.0.1', 'tcp', 8082), key('fd00:1::1', 'tcp', 8080))),
      run(reserve(owners[1], key('10.1.0.1', 'tcp', 8081))),
    ],
    { on },
  )
  const taken = { name: 'PortTaken' }
  expect(v4.error).toMatchObject({
    ...taken,
    message: expect.stringMatching(/^udp 10\.1\.0\.1 port 8080 is taken by .*pod-one\/net1/),
  })
  expect(v6.error).toMatchObject({
    ...taken,
    message: expect.stringMatching(/^tcp fd00:1::1 port 8080 is taken by .*pod-one\/net1/),
  })
  expect(free.error).toBeUndefined()
  expect(await reserved()).toEqual([...ours, ...theirs].sort())

  await drive(vm, [ask('releasePorts', cookies[0]), ask('releasePorts', cookies[0])], { on })
  expect(await reserved()).toEqual(theirs)
  await drive(vm, [ask('releasePorts', cookies[1]), ask('releasePorts', cookies[1])], { on })
  expect(await ruleset(on)).toEqual([])
})

test('the table is what nft makes of the same words', async () => {
  const keys = [key('127.0.0.1', 'tcp', 8080), key('10.1.0.1', 'sctp', 7000), key('fd00:1::1', 'udp', 53)]
  const from = (source: string, { address, proto, port }: PortKey) => ({ source, address, proto, port })
  const [local, sctp, dns] = keys as [PortKey, PortKey, PortKey]
  const masquerade = [
    from('10.88.0.0/16', sctp),
    from('10.88.7.9/32', sctp),
    from('0.0.0.0/0', local),
    from('fd00:88:0:8000::/49', dns),
    from('fd00:88::5/128', dns),
    from('::/0', dns),
  ]
  const [comment, chain] = [`comment "${owners[0]}"`, sourceChain(owners[0])]
  const words = `
    table inet vf-flower {
      map ports4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; counter; }
      map ports6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; counter; }
      map snat4 { type ipv4_addr . inet_proto . inet_service : verdict; }
      map snat6 { type ipv6_addr . inet_proto . inet_service : verdict; }
    }
    ${hostChains(keys, masquerade, owners[0])}
    create element inet vf-flower ports4 { 127.0.0.1 . tcp . 8080 ${comment} : 10.1.0.5 . 80 }
    create element inet vf-flower ports4 { 10.1.0.1 . sctp . 7000 ${comment} : 10.1.0.5 . 80 }
    create element inet vf-flower ports6 { fd00:1::1 . udp . 53 ${comment} : fd00:1::5 . 80 }
    create element inet vf-flower snat4 { 10.1.0.1 . sctp . 7000 ${comment} : jump ${chain} }
    create element inet vf-flower snat4 { 127.0.0.1 . tcp . 8080 ${comment} : jump ${chain} }
    create element inet vf-flower snat6 { fd00:1::1 . udp . 53 ${comment} : jump ${chain} }\n`
  await vm.must(`ip netns exec ${pod} nft -f -`, { stdin: words })
  const ours = { ...reserve(owners[0], ...keys), masquerade }
  await drive(vm, [run(ours)], { on })
  const listed = async (namespace: string) =>
    vm.must(`ip netns exec ${namespace} nft list table inet vf-flower`)
  expect(normal(await listed(on))).toEqual(normal(await listed(pod)))
  // Once more, with other ports: nothing is there twice.
  await drive(vm, [run(reserve(owners[1], key('10.1.0.1', 'tcp', 1)))], { on })
  await drive(vm, [ask('releasePorts', cookies[1])], { on })
  expect(normal(await listed(on))).toEqual(normal(await listed(pod)))
  await drive(vm, [ask('releasePorts', cookies[0])], { on })
  await vm.must(`ip netns exec ${pod} nft delete table inet vf-flower`)
})

test('owners may have any name, beside entries of a stranger', async () => {
  const ifnames = ['"', 'a"b', '{};', '\\', "'", '#', '$x', '%*', 'é', '€€€€€', '\u0001', '@', '🌸']
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const identities = ifnames.map((ifname) =>
    identityOf({ network: 'net', containerID: 'c'.repeat(253), ifname }, sha256),
  )
  const ops = identities.map(({ owner }, at) => reserve(owner, key('10.1.0.1', 'tcp', at + 1)))
  await drive(vm, [apply(...ops)], { on })
  await vm.must(
    `ip netns exec ${on} nft 'create element inet vf-flower ports4 { 10.1.0.1 . tcp . 443 : 10.1.0.9 . 443 }'`,
  )
  const [taken] = await tryDrive(vm, [run(reserve(owners[0], key('10.1.0.1', 'tcp', 443)))], { on })
  expect(taken.error?.message).toBe('tcp 10.1.0.1 port 443 is taken by an element with comment ""')
  await drive(
    vm,
    identities.map(({ cookie }) => ask('releasePorts', cookie)),
    { on },
  )
  expect((await ruleset(on)).flatMap(({ map }) => map?.elem ?? [])).toHaveLength(1)
  await vm.must(`ip netns exec ${on} nft delete table inet vf-flower`)
})

test('the guard of 127/8 stands as long as somebody has a port there; hundreds go in one release', async () => {
  const many = Array.from({ length: 450 }, (_, port) => key('10.1.0.1', 'udp', port + 1))
  const local = (port: number) => key('127.0.0.1', 'tcp', port)
  const masquerade = many.map(({ address, proto, port }) => ({
    source: '10.88.0.0/16',
    address,
    proto,
    port,
  }))
  const chains = async () => (await ruleset(on)).flatMap(({ chain }) => chain?.name ?? []).sort()
  const usual = [sourceChain(owners[1]), 'output', 'postrouting', 'prerouting']
  await drive(vm, [run(reserve(owners[1], key('10.1.0.1', 'tcp', 1)))], { on })
  expect(await chains()).toEqual(usual)
  await drive(vm, [run({ ...reserve(owners[0], ...many, local(1)), masquerade })], { on })
  expect(await chains()).toEqual([sourceChain(owners[0]), ...usual, 'guard'].toSorted())
  await drive(vm, [ask('releasePorts', cookies[0])], { on })
  expect(await chains()).toEqual(usual)
  expect(await reserved()).toHaveLength(1)
  await drive(vm, [ask('releasePorts', cookies[1])], { on })
  expect(await ruleset(on)).toEqual([])
})

test('one of two that reserve the same port at the same time gets it', async () => {
  const race = (owner: string) =>
    tryDrive(vm, [run(reserve(owner, key('10.1.0.1', 'tcp', 9000), key('fd00:1::1', 'tcp', 9000)))], { on })
  const outcomes = (await Promise.all(owners.map(race))).flat()
  const losers = outcomes.filter(({ error }) => error !== undefined)
  expect(losers.map(({ error }) => error?.name)).toEqual(['PortTaken'])
  const list = await reserved()
  expect(list).toHaveLength(2)
  const winner = outcomes[0]?.error === undefined ? owners[0] : owners[1]
  for (const line of list) expect(line).toContain(winner)
  await drive(vm, [ask('releasePorts', cookies[0]), ask('releasePorts', cookies[1])], { on })
})

test("a pod's table is loaded whole in the pod, and dropped, also when it is gone", async () => {
  await vm.must(`ip netns exec ${pod} nft add table inet foreign`)
  const text = `table inet ours {
    chain prerouting {
      type nat hook prerouting priority dstnat
      tcp dport 8080 dnat ip to 10.1.0.5:80
    }
  }\n`
  const load = { do: 'nft.load', side: 'pod', table: 'ours', text } as const
  const broken = `${text}table inet ours { chain prerouting { no such words; }; }\n`
  const before = await ruleset(pod)
  const [wrong] = await tryDrive(vm, [run({ ...load, text: broken })], { on, netns })
  expect(wrong.error).toMatchObject({
    name: 'NftError',
    code: 'EINVAL',
    message: expect.stringMatching(/^nft -f: .*syntax error/),
  })
  expect(await ruleset(pod)).toEqual(before)
  await drive(vm, [run(load)], { on, netns })
  const tables = async (namespace: string) =>
    (await ruleset(namespace)).flatMap(({ table }) => table?.name ?? [])
  expect(await tables(pod)).toEqual(['foreign', 'ours'])
  expect(await tables(on)).toEqual([])
  expect((await ruleset(pod)).filter(({ rule }) => rule !== undefined)).toHaveLength(1)
  await drive(
    vm,
    [run({ ...load, do: 'nft.drop' }), run({ ...load, do: 'nft.drop' }), ask('dropPodTable', 'ours')],
    { on, netns },
  )
  expect(await ruleset(pod)).toEqual(before)
})
