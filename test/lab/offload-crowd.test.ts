// Thirty containers at once, while another program adds and removes filters of its own on the same uplink all the time: each
// gets its ports, and of none anything is left, whether DEL or GC takes it away, by its record or by cookies alone. On a VF of
// a simulated NIC in legacy mode (simnic, from source, not hardware).
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { LabProcess } from '../../hack/lab/lab.ts'
import { tcp } from '../scenarios/scenario.ts'
import { cleanPod } from '../soak/offload-subject.ts'
import { lab } from '../support/lab.ts'
import { attachment, listOf, offloadConfig, silently } from '../support/plugins.ts'
import { makeBed, type PortBed } from '../support/port-bed.ts'
import { makeNode, type Node } from '../support/port-node.ts'
import { HOST } from '../support/topology.ts'

const CROWD = 30
/** Ports of each container, all of which lead to one port of the pod. */
const PORTS = 2
/** A path to the pod's namespace that can vanish while the pod stays. */
const path = '/run/netns/crowd'
const records = '/var/lib/cni/vf-flower/offload'
const FOREIGN = 100

let node: Node
let bed: PortBed
let churner: LabProcess | undefined

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
  bed = await makeBed(node, 'simnic-legacy')
  await node.lab.must(`touch ${path}; mount --bind ${bed.one.netns} ${path}`)
})
afterEach(() => rest())
afterAll(async () => {
  await node?.lab.must(`umount ${path} 2>/dev/null; rm -f ${path} /run/churn`)
  await bed?.end()
  await node?.end()
})

const words = (prio: number) => `dev ${node.net.pf} ingress protocol ip prio ${prio}`

/** Others' filters: many that stay, before ours, and a program that puts and takes some before and after ours. */
async function churn(): Promise<void> {
  const lines = [1, 3, 4, 5, 20].flatMap((prio) => [
    `filter add ${words(prio)} flower ip_proto udp dst_port 7 action pass`,
    `filter del ${words(prio)}`,
  ])
  await node.lab.writeFile('/run/churn', `${lines.join('\n')}\n`)
  const argv = ['sh', '-c', 'while tc -b /run/churn; do echo -n .; sleep 0.1; done']
  churner = await node.lab.spawn(argv, { timeoutMs: 0 })
  await expect.poll(() => rounds(), { timeout: 60_000 }).toBeGreaterThan(1)
}

const rounds = () => churner?.stdout().length ?? 0

/** Ends the program; how often it went through all of its filters. */
async function rest(): Promise<number> {
  const done = rounds()
  churner?.kill()
  await churner?.wait()
  churner = undefined
  for (const prio of [1, 3, 4, 5, 20]) await node.lab.must(`tc filter del ${words(prio)} 2>/dev/null; true`)
  return done
}

const containers = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`)
const portsOf = (id: string) =>
  Array.from({ length: PORTS }, (_, n) => 9000 + PORTS * Number(id.split('-')[1]) + n)
const optionsOf = (containerID: string) => ({ containerID, netns: path })

/** Filters of ours on the uplink by port, as tc lists them. */
async function ours(): Promise<number[]> {
  const listed = await node.lab.must(`tc filter show dev ${node.net.pf} ingress`)
  return listed
    .split(/^filter /m)
    .filter((text) => text.includes('cookie 7666'))
    .map((text) => Number(/dst_port (\d+)/.exec(text)?.[1]))
    .sort((a, b) => a - b)
}

async function addAll(): Promise<void> {
  let waiting = containers
  // Whoever has waited too long for its turn is told to come again (code 11), as runtimes do.
  while (waiting.length > 0) {
    const answers = await Promise.all(
      waiting.map(async (id) => {
        const mappings = portsOf(id).map((port) => tcp(port, 80, { hostIP: HOST.v4 }))
        return { id, ...(await bed.call('ADD', bed.one, mappings, optionsOf(id))) }
      }),
    )
    const others = answers.filter(({ code, stdout }) => code !== 0 && !stdout.includes('"code":11,'))
    expect(others.map(({ stdout, stderr }) => `${stdout}${stderr}`)).toEqual([])
    waiting = answers.filter(({ code }) => code !== 0).map(({ id }) => id)
  }
}

/** DEL of all of them at once; those that had to wait too long come again. */
async function delAll(ids: readonly string[]): Promise<void> {
  let waiting = ids
  while (waiting.length > 0) {
    const answers = await Promise.all(
      waiting.map(async (id) => ({ id, ...(await bed.call('DEL', bed.one, [], optionsOf(id))) })),
    )
    const others = answers.filter(({ code, stdout }) => code !== 0 && !stdout.includes('"code":11,'))
    expect(others.map(({ stdout, stderr }) => `${stdout}${stderr}`)).toEqual([])
    waiting = answers.filter(({ code }) => code !== 0).map(({ id }) => id)
  }
}

/** GC with a list of those that are valid. */
const gc = (valid: readonly string[]) => {
  const list = { ...listOf(), cniVersion: '1.1.0' }
  const attachments = valid.map((containerID) => ({ containerID, ifname: 'net1' }))
  return silently(
    bed.runtime.call('GC', list, offloadConfig(bed.one.device ?? ''), attachment(''), {
      config: { 'cni.dev/valid-attachments': attachments },
    }),
  )
}

test('thirty ADDs at once, then DEL and GC, with and without records, beside a program that is never quiet', {
  timeout: 900_000,
}, async () => {
  const { lab: guest, net } = node
  await guest.must(`tc qdisc add dev ${net.pf} clsact
    seq -f 'filter add ${words(2)} flower ip_proto tcp dst_port %g action pass' ${FOREIGN} | tc -b -`)
  await churn()
  const started = Date.now()
  await addAll()
  const added = Date.now()
  console.log(`${CROWD} ADDs in ${added - started} ms beside ${await rest()} rounds of another program`)
  const all = containers.flatMap(portsOf)
  expect(await ours()).toEqual(all)
  const [{ agent }] = node.clients
  const answers = await agent.ask(
    containers.map((id) => ({ protocol: 'tcp', address: HOST.v4, port: portsOf(id)[0] ?? 0 }) as const),
  )
  expect(new Set(answers.map(({ server }) => server))).toEqual(new Set(['pod-one tcp 80']))

  const [byRecord, byCookie, dead, orphans] = [0, 10, 20, 25].map((from, at) =>
    containers.slice(from, [10, 20, 25, CROWD][at]),
  ) as [string[], string[], string[], string[]]
  const lose = (ids: readonly string[]) =>
    guest.must(`cd ${records}; rm ${ids.map((id) => `*' ${id}@'*`).join(' ')}`)
  await lose([...byCookie, ...orphans])
  await churn()
  const quiet = Date.now()
  await delAll([...byRecord, ...byCookie])
  await gc([...dead, ...orphans])
  await guest.must(`umount ${path}; rm ${path}`)
  await gc([])
  console.log(`${CROWD} removed in ${Date.now() - quiet} ms beside ${await rest()} rounds of another program`)
  expect(await ours()).toEqual([])
  const foreign = await guest.must(`tc filter show ${words(2)} | grep -c dst_port`)
  expect(Number(foreign)).toBe(FOREIGN)
  expect(await guest.must(`nft list tables; find ${records} -name '*.json'`)).toBe('')
  // GC can't enter a namespace that is gone.
  await guest.must(`tc qdisc del dev ${net.pf} clsact\n${cleanPod(bed.one)}`)
  await bed.expectClean()
})
