// Records that another version wrote, as vf-offload takes them: a newer format, keys that nobody here knows.
// needs: veth, bridge, nft
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
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
import { attachment, errorOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const pod = 'pod-one'
const folder = '/var/lib/cni/vf-flower/offload'
const record = `${folder}/lab-net ${pod}@eth0.json`
const reason = `Cannot read record "${record}": schema 2 is newer than 1, the newest known here`

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
  await offload(runtime, 'ADD', pod, { prevResult })
})
afterEach(async () => {
  await lab.must(`rm -rf '${record}'`)
  await runtime.del(bridgeList(pod), podOf(pod))
  await deletePod(lab, pod)
  await lab.must(`rm -rf ${folder}`)
  await bridgeIsIdle(lab)
})

interface Content {
  readonly journal: { readonly ops: unknown[]; readonly keys: readonly object[] }
}

/** Writes the record as a later version could have written it, and returns its text. */
async function asOfLater(schema: number, change: (content: Content) => void = () => undefined) {
  const content = JSON.parse(await lab.readFile(record)) as Content
  Object.assign(content, { schema, checksum: 'c0ffee' })
  Object.assign(content.journal, { zone: { name: 'edge' } })
  Object.assign(content.journal.keys[0] ?? {}, { weight: 5 })
  change(content)
  const text = JSON.stringify(content)
  await lab.writeFile(record, text, 0o600)
  return text
}

test('of a newer format: ADD, CHECK and GC say why not and leave all as it is', async () => {
  const text = await asOfLater(2)
  const before = await lab.must('nft list table inet vf-flower')
  for (const verb of ['ADD', 'CHECK'])
    expect(errorOf(await tryOffload(runtime, verb, pod, { prevResult }))).toMatchObject({
      code: 5,
      msg: reason,
    })
  const list = { ...bridgeList(pod), cniVersion: '1.1.0' }
  const gc = await runtime.call('GC', list, chained(), attachment(''), {
    config: { 'cni.dev/valid-attachments': [] },
  })
  expect(errorOf(gc)).toMatchObject({ code: 5, msg: reason })
  expect(await lab.must('nft list table inet vf-flower')).toBe(before)
  expect(await lab.readFile(record)).toBe(text)
})

test('of a newer format: DEL removes what it understands, says so and keeps the record', async () => {
  const text = await asOfLater(2, ({ journal }) => journal.ops.push({ do: 'mirror.add', to: 'eth7' }))
  for (let time = 0; time < 2; time++) {
    const del = await tryOffload(runtime, 'DEL', pod, { prevResult })
    expect(del).toMatchObject({ code: 0, stdout: '' })
    expect(del.stderr).toContain(`${reason}; DEL restores what it understands of it`)
    expect(del.stderr).toMatch(
      /does not understand journal\.keys\.0\.weight, journal\.ops\.\d, journal\.zone, checksum\)/,
    )
    expect(del.stderr).toContain('and the record is kept')
    expect((await lab.sh('nft list table inet vf-flower')).stdout).not.toContain('10.88.0.5')
    expect(await lab.readFile(record)).toBe(text)
  }
})

test('keys that a later version added stay when the next entry of the list writes the record again', async () => {
  await asOfLater(1)
  const config = { ingressRate: 8_000_000, ingressBurst: 800_000 }
  await offload(runtime, 'ADD', pod, { prevResult, config, ports: [] })
  const { journal, ...rest } = JSON.parse(await lab.readFile(record)) as Content & { checksum: string }
  expect(rest.checksum).toBe('c0ffee')
  expect(journal).toMatchObject({ entries: 2, zone: { name: 'edge' }, limits: [{ direction: 'toPod' }] })
  expect(journal.keys[0]).toMatchObject({ port: 5353, weight: 5 })
  expect(await offload(runtime, 'DEL', pod, { prevResult })).toMatchObject({ code: 0 })
  expect((await lab.sh('nft list table inet vf-flower')).stdout).not.toContain('10.88.0.5')
  expect(await lab.must(`ls ${folder} | grep -v report || true`)).toBe('')
})
