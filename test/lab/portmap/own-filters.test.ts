// Finding and removing what is ours among what is not, while others work on the same tables. A dump of filters proves
// presence, never absence: net/sched resumes by position, so one that somebody removes meanwhile hides others.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, json, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { identityOf } from '../../../src/offload/state/identity.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const on = 'own-filters'
const attachment = { network: 'lab-net', containerID: 'pod-one', ifname: 'net1' }
const neighbour = { ...attachment, containerID: 'pod-two' }
const stateDir = '/run/own-filters'
/** More than the kernel has ready when we have read one part of a dump. */
const foreign = 600
let vm: Lab
let d0: number

const cookieOf = (who: typeof attachment) =>
  identityOf(who, (text) => createHash('sha256').update(text).digest('hex')).cookie

const rule = (who: typeof attachment, port: number): FlowFilter => ({
  link: 'd0',
  prio: 10,
  address: '10.1.0.1',
  proto: 'tcp',
  port,
  dstMac: '02:00:00:00:00:aa',
  srcMac: '02:00:00:00:00:01',
  cookie: cookieOf(who),
})

/** Steering filters of an attachment, as an ADD makes them. */
const steering = (who: typeof attachment, from: number, count: number) =>
  apply(
    ...Array.from({ length: count }, (_, n) => {
      return { do: 'steer.add', offload: 'off', rule: rule(who, from + n) } as const
    }),
  )

beforeAll(async () => {
  vm = await lab()
  await newPod(vm, on)
  await vm.must(`ip -n ${on} link add d0 address 02:00:00:00:00:01 up type dummy; ip -n ${on} link add d1 up type dummy
    tc -n ${on} -b - <<END
qdisc add dev d1 ingress
filter add dev d1 ingress protocol ip prio 3 u32 match ip dport 80 0xffff action pass
qdisc add dev d0 clsact
filter add dev d0 ingress protocol all prio 50 matchall action pass
END
    seq -f 'filter add dev d0 ingress protocol ip prio 2 flower ip_proto tcp dst_port %g action pass' ${foreign} | tc -n ${on} -b -`)
  const [link] = await json<{ ifindex: number }>(vm, `ip -n ${on} -j link show dev d0`)
  d0 = link?.ifindex ?? 0
})
// One foreign filter alone in a slot before all others, and nothing that the test before has left.
beforeEach(() =>
  vm.must(`for prio in 1 3 4 5 10 12; do echo "filter del dev d0 ingress prio $prio"; done | tc -n ${on} -force -b - 2>/dev/null
    tc -n ${on} filter add ${first}`),
)
afterAll(async () => {
  await deletePod(vm, on)
  await vm.must(`rm -rf ${stateDir}`)
})

const first = 'dev d0 ingress protocol ip prio 1 flower ip_proto udp dst_port 1 action pass'
const deleteFirst = ['tc', 'filter', 'del', 'dev', 'd0', 'ingress', 'protocol', 'ip', 'prio', '1']

/** Filters by priority, and how many of them have the attachment's cookie, as tc lists them. */
async function listed(): Promise<{ prios: Record<string, number>; mine: number; theirs: number }> {
  const filters = (await json<{ pref: number }>(vm, `tc -n ${on} -j filter show dev d0 ingress`)).filter(
    (filter) => 'options' in filter,
  )
  const prios: Record<string, number> = {}
  for (const { pref } of filters) prios[pref] = (prios[pref] ?? 0) + 1
  const count = (who: typeof attachment) =>
    filters.filter((filter) => JSON.stringify(filter).includes(cookieOf(who))).length
  return { prios, mine: count(attachment), theirs: count(neighbour) }
}

test('ours are found by cookie with what tc says of them', async () => {
  const [, , found, everyone] = await drive(
    vm,
    [
      steering(attachment, 8000, 2),
      steering(neighbour, 9000, 1),
      ask('ownFilters', cookieOf(attachment)),
      ask('ownFilters', '766601'),
    ],
    { on },
  )
  const filters = (
    await json<{ pref: number; options?: { handle: number } }>(
      vm,
      `tc -n ${on} -j filter show dev d0 ingress`,
    )
  ).filter((filter) => JSON.stringify(filter).includes(cookieOf(attachment)))
  expect(found).toEqual(
    filters.map(({ pref, options }) => ({
      kind: 'flower',
      ifindex: d0,
      prio: pref,
      handle: options?.handle,
      protocol: 0x0800,
      cookie: cookieOf(attachment),
      packets: 0n,
      inHw: false,
    })),
  )
  expect(found).toHaveLength(2)
  expect(everyone).toHaveLength(3)
})

test('a dump that lost all of ours does not end the search for them', async () => {
  const disturbance = { times: 1, command: deleteFirst }
  const [, , counts] = await drive(
    vm,
    [
      steering(attachment, 8000, 20),
      steering(neighbour, 9000, 3),
      probe('removeAttachment', attachment, stateDir, disturbance),
    ],
    { on },
  )
  // A dump of all filters has seen none of the twenty; of more than fit into one datagram each slot is asked for by itself.
  expect(counts).toEqual([20, 0, 0])
  expect(await listed()).toEqual({ prios: { 2: foreign, 10: 3, 50: 1 }, mine: 0, theirs: 3 })
})

test('one filter is taken back, although a dump lost it, and not its like behind a VLAN tag', async () => {
  const tagged: FlowFilter = { ...rule(attachment, 8001), prio: 12, vlan: 100 }
  const undisturbed = { times: 0, command: [] }
  const left = async () =>
    (await json<Shown>(vm, `tc -n ${on} -j filter show dev d0 ingress`))
      .filter(({ pref, options }) => [10, 12].includes(pref) && options !== undefined)
      .map(({ pref, options }) => `${pref} ${options?.keys.dst_port}`)
  await drive(
    vm,
    [
      steering(attachment, 8000, 3),
      apply({ do: 'steer.add', offload: 'off', rule: tagged }),
      probe('takeBack', d0, rule(attachment, 8001), { times: 1, command: deleteFirst }),
      probe('takeBack', d0, rule(attachment, 8001), undisturbed),
      probe('takeBack', d0, rule(attachment, 8005), undisturbed),
    ],
    { on },
  )
  expect(await left()).toEqual(['10 8000', '10 8002', '12 8001'])
  await drive(vm, [probe('takeBack', d0, tagged, undisturbed)], { on })
  expect(await left()).toEqual(['10 8000', '10 8002'])
})

interface Shown {
  readonly pref: number
  readonly options?: { readonly keys: { readonly dst_port: number } }
}

test('none of ours is left while another program adds and removes its own all the time', async () => {
  await drive(vm, [steering(attachment, 8000, 100), steering(neighbour, 9000, 3)], { on })
  const churn = [1, 3, 4, 5].flatMap((prio) => {
    const words = `dev d0 ingress protocol ip prio ${prio}`
    return [`filter add ${words} flower ip_proto udp dst_port 7 action pass`, `filter del ${words}`]
  })
  await vm.writeFile('/run/churn', `${churn.join('\n')}\n`)
  await vm.must(`tc -n ${on} filter del dev d0 ingress protocol ip prio 1`)
  const churner = await vm.spawn(['sh', '-c', `while tc -n ${on} -b /run/churn; do echo -n .; done`], {
    timeoutMs: 0,
  })
  await expect.poll(() => churner.stdout().length, { timeout: 30_000 }).toBeGreaterThan(1)
  const before = churner.stdout().length
  await drive(vm, [probe('removeAttachment', attachment, stateDir)], { on })
  await expect.poll(() => churner.stdout().length, { timeout: 30_000 }).toBeGreaterThan(before)
  churner.kill()
  await churner.wait()
  const { prios, mine, theirs } = await listed()
  expect({ mine, theirs, foreign: prios[2] }).toEqual({ mine: 0, theirs: 3, foreign })
})
