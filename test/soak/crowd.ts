/**
 * Thirty containers at once, while another program changes what they change all the time: each gets its ports, and of none
 * anything is left, whether DEL or GC takes it away, by its record or by what stands in the kernel alone. In: a bed, what the
 * other program does. Out: nothing; throws.
 */
import { expect } from 'vitest'
import { attachment, listOf, silently } from '../../hack/lab/bed/plugins.ts'
import type { PortBed } from '../../hack/lab/bed/port-bed.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'
import type { ExecResult, LabProcess } from '../../hack/lab/lab.ts'
import { tcp } from '../scenarios/scenario.ts'
import { cleanPod } from './offload-subject.ts'

const CROWD = 30
/** Ports of each container, all of which lead to one port of the pod. */
const PORTS = 2
/** A path to the pod's namespace that can vanish while the pod stays. */
const path = '/run/netns/crowd'
const records = '/var/lib/cni/vf-flower/offload'

/** Another program on the node, and how to tell what is whose. */
export interface Others {
  /** Scripts that put what stays, and take it away. */
  readonly stay: string
  readonly leave: string
  /** A script that changes things once, and one that takes back what it may have left half done. */
  readonly change: string
  readonly calm: string
  /** The state that stays, as text that must be the same in the end. */
  readonly standing: string
  /** Host ports of ours, in order, as the kernel has them. */
  ours(): Promise<number[]>
}

const containers = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`)
const portsOf = (id: string) =>
  Array.from({ length: PORTS }, (_, n) => 9000 + PORTS * Number(id.split('-')[1]) + n)
const optionsOf = (containerID: string) => ({ containerID, netns: path })

/** Thirty ADDs at once, then DEL and GC, with and without records, beside a program that is never quiet. */
export async function runCrowd(bed: PortBed, others: Others): Promise<void> {
  const { lab } = bed
  let churner: LabProcess | undefined
  const rounds = () => churner?.stdout().length ?? 0

  async function churn(): Promise<void> {
    churner = await lab.spawn(['sh', '-c', `while ${others.change}; do echo -n .; sleep 0.1; done`], {
      timeoutMs: 0,
    })
    await expect.poll(rounds, { timeout: 60_000 }).toBeGreaterThan(1)
  }

  /** Ends the program; how often it went through all of its changes. */
  async function rest(): Promise<number> {
    const done = rounds()
    churner?.kill()
    await churner?.wait()
    churner = undefined
    await lab.must(`${others.calm}\ntrue`)
    return done
  }

  try {
    await lab.must(`touch ${path}; mount --bind ${bed.one.netns} ${path}\n${others.stay}`)
    const standing = await lab.must(others.standing)
    await churn()
    const started = Date.now()
    await together(containers, (id) => {
      const mappings = portsOf(id).map((port) => tcp(port, 80, { hostIP: HOST.v4 }))
      return bed.call('ADD', bed.one, mappings, optionsOf(id))
    })
    const added = Date.now()
    console.log(`${CROWD} ADDs in ${added - started} ms beside ${await rest()} rounds of another program`)
    expect(await others.ours()).toEqual(containers.flatMap(portsOf))
    const [{ agent }] = bed.node.clients
    const answers = await agent.ask(
      containers.map((id) => ({ protocol: 'tcp', address: HOST.v4, port: portsOf(id)[0] ?? 0 }) as const),
    )
    expect(new Set(answers.map(({ server }) => server))).toEqual(new Set(['pod-one tcp 80']))

    const [byRecord, byCookie, dead, orphans] = [0, 10, 20, 25].map((from, at) =>
      containers.slice(from, [10, 20, 25, CROWD][at]),
    ) as [string[], string[], string[], string[]]
    const lost = [...byCookie, ...orphans].map((id) => `*' ${id}@'*`)
    await lab.must(`cd ${records}; rm ${lost.join(' ')}`)
    await churn()
    const quiet = Date.now()
    await together([...byRecord, ...byCookie], (id) => bed.call('DEL', bed.one, [], optionsOf(id)))
    await collect(bed, [...dead, ...orphans])
    expect(await others.ours()).toEqual([...dead, ...orphans].flatMap(portsOf))
    await lab.must(`umount ${path}; rm ${path}`)
    // The pod lives on by another path.
    await collect(bed, [], { gcLive: true })
    console.log(
      `${CROWD} removed in ${Date.now() - quiet} ms beside ${await rest()} rounds of another program`,
    )
    expect(await others.ours()).toEqual([])
    expect(await lab.must(others.standing)).toBe(standing)
    expect(await lab.must(`find ${records} -name '*.json'`)).toBe('')
    // GC can't enter a namespace that is gone.
    await lab.must(`${others.leave}\n${cleanPod(bed.one)}`)
    await bed.expectClean()
  } finally {
    await rest()
    await lab.must(`umount ${path} 2>/dev/null; rm -f ${path}`)
  }
}

/** Calls for all at once; whoever has waited too long for its turn is told to come again (code 11), and does, as runtimes do. */
async function together(ids: readonly string[], call: (id: string) => Promise<ExecResult>): Promise<void> {
  let waiting = ids
  while (waiting.length > 0) {
    const answers = await Promise.all(waiting.map(async (id) => ({ id, ...(await call(id)) })))
    const others = answers.filter(({ code, stdout }) => code !== 0 && !stdout.includes('"code":11,'))
    expect(others.map(({ stdout, stderr }) => `${stdout}${stderr}`)).toEqual([])
    waiting = answers.filter(({ code }) => code !== 0).map(({ id }) => id)
  }
}

/** GC with a list of those that are valid, and more keys. */
function collect(bed: PortBed, valid: readonly string[], more: { gcLive?: boolean } = {}): Promise<void> {
  const { device } = bed.one
  const plugin = { type: 'vf-offload', ...(device === undefined ? {} : { deviceID: device }) }
  const attachments = valid.map((containerID) => ({ containerID, ifname: 'net1' }))
  return silently(
    bed.runtime.call('GC', { ...listOf(), cniVersion: '1.1.0' }, plugin, attachment(''), {
      config: { ...more, 'cni.dev/valid-attachments': attachments },
    }),
  )
}
