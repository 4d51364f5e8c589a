// vf-offload where what is around a call is not as it should be: strange files in the place of records, records that no code can
// use, names that no record can have, folders that are read-only, a stdout that takes nothing. Reserved ports are free again
// after each DEL, and no call waits.
// needs: veth, bridge, nft
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeIsIdle,
  bridgeList,
  chained,
  offload,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, pluginPath, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const pod = 'pod-one'
const folder = '/var/lib/cni/vf-flower/offload'
const record = `${folder}/lab-net ${pod}@eth0.json`

let lab: Lab
let runtime: Runtime
let prevResult: CniResult

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
})
afterAll(() => lab.must('ip link del cni0'))
beforeEach(async () => {
  await newPod(lab, pod)
  prevResult = await attachToBridge(lab, runtime, pod)
})
afterEach(async () => {
  await runtime.del(bridgeList(pod), podOf(pod))
  await deletePod(lab, pod)
  await lab.must(`rm -rf ${folder}`)
  await bridgeIsIdle(lab)
})

/** Nothing of ours is left: no element in the host's map, no record. */
async function nothingIsLeft(): Promise<void> {
  const { stdout } = await lab.sh('nft list table inet vf-flower')
  expect(stdout).not.toContain('10.88.0.5')
  expect(await lab.must(`ls ${folder} | grep -v -e report -e broken || true`)).toBe('')
}

describe('a record', () => {
  test.each([
    ['a FIFO', `rm '${record}'; mkfifo '${record}'`, 'is no regular file'],
    ['a folder', `rm '${record}'; mkdir '${record}'`, 'is no regular file'],
    ['a link to a file without an end', `ln -sf /dev/zero '${record}'`, 'it is larger than any record'],
  ])(
    'in whose place is %s: DEL says so, removes everything and waits for nothing',
    async (_, change, words) => {
      await offload(runtime, 'ADD', pod, { prevResult })
      await lab.must(change)
      const del = await tryOffload(runtime, 'DEL', pod, { prevResult })
      expect(del).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining(words) })
      await nothingIsLeft()
    },
  )

  test.each<[string, (journal: Journal) => void, string]>([
    [
      'a reservation without keys',
      (journal) => journal.ops.splice(0, 9, { do: 'ports.reserve' }),
      'journal.ops.0',
    ],
    ['an operation that nobody knows', (journal) => journal.ops.push({ do: 'toString' }), 'journal.ops.'],
    ['a setting outside of the network', (journal) => journal.ops.push(outside), 'journal.ops.'],
    [
      'a key without an address',
      (journal) => Object.assign(journal.keys[0] ?? {}, { address: '10.88' }),
      'journal.keys.0.address',
    ],
    ['a filter that is none', (journal) => journal.rules.push({ ...ruleOfNothing }), 'journal.rules.0.rule'],
  ])('with %s keeps no DEL from freeing the ports, which names it', async (_, change, field) => {
    await offload(runtime, 'ADD', pod, { prevResult })
    const content = JSON.parse(await lab.readFile(record)) as { journal: Journal }
    change(content.journal)
    await lab.writeFile(record, JSON.stringify(content), 0o600)
    const del = await tryOffload(runtime, 'DEL', pod, { prevResult })
    expect(del).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining(`Cannot read record "${record}": ${field}`),
    })
    await nothingIsLeft()
    expect(await lab.must('sysctl -n kernel.core_pattern')).not.toContain('planted')
  })

  interface Journal {
    readonly ops: unknown[]
    readonly keys: object[]
    readonly rules: unknown[]
  }
  const outside = {
    do: 'sysctl.set',
    side: 'host',
    key: 'kernel/core_pattern',
    value: 'core',
    was: 'planted',
  }
  const ruleOfNothing = {
    line: '',
    where: 'host',
    mapping: '',
    prio: 1,
    rule: { link: 'eth0', cookie: 'aa' },
  }
})

describe('names that no record can have', () => {
  const call = (command: string, containerID: string) =>
    runtime.call(command, bridgeList(pod), chained(), { ...podOf(pod), containerID }, { prevResult })

  test('are refused by ADD with the variable before it changes anything, and DEL succeeds', async () => {
    const before = await snapshot(lab)
    const { code, msg } = errorOf(await call('ADD', 'c'.repeat(240)))
    expect(msg).toMatch(/^Cannot use CNI_CONTAINERID "c{200}" ... of 240 characters: must have at most \d+ /)
    expect(code).toBe(4)
    for (const length of [240, 10_000]) await silently(call('DEL', 'c'.repeat(length)))
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  })
})

describe('folders that are read-only', () => {
  const readOnly = async (path: string, action: () => Promise<void>) => {
    await lab.must(`mkdir -p ${path}; mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`)
    try {
      await action()
    } finally {
      await lab.must(`umount ${path}`)
    }
  }

  test('of the records let a DEL succeed that has nothing to do, and an ADD is code 5 and changes nothing', async () => {
    // The folder must be there: of one that is not, the kernel says so first.
    await lab.must(`mkdir -p ${folder}/report`)
    await readOnly('/var/lib/cni/vf-flower', async () => {
      await silently(tryOffload(runtime, 'DEL', pod, { prevResult }))
      const { code, msg } = errorOf(await tryOffload(runtime, 'ADD', pod, { prevResult }))
      expect(msg).toMatch(/^EROFS: .*\/var\/lib\/cni\/vf-flower\/offload/)
      expect(code).toBe(5)
    })
    await nothingIsLeft()
  })

  test.each([
    ['with the lock in it', ':'],
    ['without a lock in it', 'rm -f /run/vf-flower/lock'],
  ])('that attachments share, %s, make STATUS 50, and DEL succeeds', async (_, before) => {
    await lab.must(`mkdir -p /run/vf-flower; touch /run/vf-flower/lock; ${before}`)
    await readOnly('/run/vf-flower', async () => {
      const status = await runtime.call(
        'STATUS',
        { ...bridgeList(pod), cniVersion: '1.1.0' },
        chained(),
        podOf(pod),
      )
      expect(status.code).toBe(1)
      expect(errorOf(status)).toMatchObject({
        code: 50,
        msg: expect.stringMatching(/EROFS: .*\/run\/vf-flower\//),
      })
      expect(await tryOffload(runtime, 'DEL', pod, { prevResult })).toMatchObject({ code: 0, stdout: '' })
    })
  })
})

test('a result that nobody takes undoes the ADD', async () => {
  const config = {
    ...chained(),
    cniVersion: '1.0.0',
    name: 'lab-net',
    runtimeConfig: podOf(pod).capabilityArgs,
    prevResult,
  }
  const env = {
    ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}`, CNI_IFNAME: 'eth0' },
    ...{ CNI_PATH: pluginPath.join(':'), PATH: '/usr/sbin:/usr/bin:/bin' },
  }
  const argv = ['sh', '-c', 'exec "$0" >/dev/full', `${pluginPath[0]}/vf-offload`]
  const outcome = await lab.exec(argv, { env, cleanEnv: true, stdin: JSON.stringify(config) })
  expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('the ADD is undone') })
  await nothingIsLeft()
})

describe('hostIP', () => {
  const wish = (hostIP: string) => [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP }]

  test('that is an IPv4-mapped IPv6 address is the IPv4 address, as Go reads it', async () => {
    await offload(runtime, 'ADD', pod, { ports: wish('::ffff:10.88.0.1'), prevResult })
    expect(await lab.must('nft list table inet vf-flower')).toMatch(
      /10\.88\.0\.1 \. tcp \. 8080.* : 10\.88\.0\.5 \. 80/,
    )
  })

  test('::1 is code 7, as the kernel routes nothing from there to a pod', async () => {
    const { code, msg } = errorOf(await tryOffload(runtime, 'ADD', pod, { ports: wish('::1'), prevResult }))
    expect(msg).toContain('Cannot serve hostIP "::1": the kernel routes nothing from ::1 to a pod')
    expect(code).toBe(7)
  })

  test('::1 is code 7 for a pod without an IPv6 address too', async () => {
    const ips = (prevResult.ips ?? []).filter(({ address }) => !address.includes(':'))
    const call = tryOffload(runtime, 'ADD', pod, { ports: wish('::1'), prevResult: { ...prevResult, ips } })
    expect(errorOf(await call)).toMatchObject({ code: 7, msg: expect.stringContaining('::1') })
  })
})
