// The size of a node costs one more pod nothing: ADD, CHECK and DEL of a pod with a mapping and a limit get as many answers of the kernel,
// and as many bytes, on a node that is full of pods and sockets as on an empty one. What grows with the node's pods is read by `vfctl show`
// and GC once for each of them.
// needs: veth, bridge, nft, tbf
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  crowdConfig,
  crowdEnvironment,
  crowdInside,
  crowdLinks,
  crowdPod,
} from '../../../hack/lab/bed/crowd.ts'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

/** Pods of the node: one whose cost is asked for on the empty node, then so many more, and as many sockets of programs. */
const [few, many, sockets] = [1, 61, 200]
const [programs] = pluginPath
const trace = '/run/node-size'

let lab: Lab
let crowd: LabProcess

/** Answers of the kernel to one call. */
interface Answers {
  readonly datagrams: number
  readonly bytes: number
  /** Names of programs that it executed, and of folders that it listed. */
  readonly executed: readonly string[]
}

/** Makes a call under strace, and counts what netlink sockets receive. */
async function answersTo(
  argv: readonly string[],
  env: Record<string, string>,
  stdin: string,
): Promise<Answers> {
  const options = ['-f', '-qq', '-y', '-e', 'trace=recvfrom,recvmsg,execve', '-o', trace]
  const result = await lab.exec(['strace', ...options, ...argv], { env, stdin })
  expect([result.code, result.stdout.includes('"msg"'), result.stderr]).toEqual([0, false, result.stderr])
  const lines = (await lab.must(`cat ${trace}; rm ${trace}`)).split('\n')
  const received = lines.flatMap((line) => {
    const size = /recv(?:from|msg)\(\d+<(?:socket|NETLINK)[^>]*>.*= (\d+)$/.exec(line)?.[1]
    return size === undefined ? [] : [Number(size)]
  })
  return {
    datagrams: received.length,
    bytes: received.reduce((sum, size) => sum + size, 0),
    executed: lines.flatMap((line) => /execve\("[^"]*\/([^/"]+)"/.exec(line)?.[1] ?? []),
  }
}

/** Adds, checks and removes a pod. */
async function answersFor(number: number): Promise<Record<'ADD' | 'CHECK' | 'DEL', Answers>> {
  const config = JSON.stringify(crowdConfig(number, true))
  const call = (verb: string) => answersTo([`${programs}/vf-offload`], crowdEnvironment(verb, number), config)
  const [ADD, CHECK, DEL] = [await call('ADD'), await call('CHECK'), await call('DEL')]
  return { ADD, CHECK, DEL }
}

/** Makes the namespace and the pair of a pod. */
async function makePod(number: number): Promise<void> {
  await lab.writeFile('/run/links', crowdLinks([number]))
  await lab.writeFile('/run/inside', crowdInside(number))
  await lab.must(`ip -batch /run/links && ip -n ${crowdPod(number).name} -batch /run/inside`)
}

beforeAll(async () => {
  lab = await sharedLab()
})
afterAll(async () => {
  crowd?.end()
  await crowd?.wait()
})

test('ADD, CHECK and DEL of one more pod ask for as much on a full node as on an empty one', async () => {
  await makePod(few)
  // The first ADD on a node makes what later ones find.
  await answersFor(few)
  const empty = await answersFor(few)
  await lab.must(`ip netns delete ${crowdPod(few).name}; ip link del crowd0`)
  crowd = await lab.spawn([
    'sh',
    'hack/bun.sh',
    'hack/lab/bed/crowd.ts',
    String(many),
    String(sockets),
    programs,
  ])
  await expect.poll(() => crowd.stdout(), { timeout: 120_000 }).toContain('ready')
  await makePod(many + 1)
  const full = await answersFor(many + 1)
  for (const verb of ['ADD', 'CHECK', 'DEL'] as const) {
    // On the empty node the first pod makes the table, and the last one removes it.
    expect({
      verb,
      datagrams: full[verb].datagrams,
      isMore: full[verb].datagrams > empty[verb].datagrams,
    }).toEqual({
      ...{ verb, datagrams: full[verb].datagrams, isMore: false },
    })
    // Numbers of interfaces and names of pods are longer by a few bytes.
    expect([verb, full[verb].bytes > empty[verb].bytes + 200, full[verb].bytes]).toEqual([
      verb,
      false,
      full[verb].bytes,
    ])
    // Nothing reads a whole table of nftables.
    expect([verb, full[verb].executed.filter((name) => name === 'nft')]).toEqual([verb, []])
  }
})

test('vfctl show asks for each pod a few questions, and none is about others', async () => {
  const { datagrams, bytes } = await answersTo([`${programs}/vfctl`, 'show'], {}, '')
  expect(datagrams).toBeLessThan(10 * many)
  expect(bytes).toBeLessThan(4_000 * many)
})

test('GC that has nothing to do reads no interface, and each set of the table once', async () => {
  const valid = Array.from({ length: many }, (_, at) => ({
    containerID: crowdPod(at + 1).name,
    ifname: 'eth0',
  }))
  const config = {
    ...{ cniVersion: '1.1.0', name: 'crowd', type: 'vf-offload' },
    'cni.dev/valid-attachments': valid,
  }
  const environment = { CNI_COMMAND: 'GC', CNI_PATH: '/nowhere', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const { bytes } = await answersTo([`${programs}/vf-offload`], environment, JSON.stringify(config))
  // A qdisc and a key for each pod, twice: a dump of filters proves nothing by one look.
  expect(bytes).toBeLessThan(800 * many)
})
