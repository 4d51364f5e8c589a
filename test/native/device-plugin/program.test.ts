// The compiled device plugin as it is run: its exit codes, a config that is changed under way, and what it leaves behind. The node has no
// device that a pool could select; those are in test/lab/device-plugin.
// needs: veth
import { afterEach, describe, expect, test } from 'vitest'
import { LISTEN, type PluginNode, PROGRAM, startPluginNode } from '../../../hack/lab/bed/device-plugin.ts'
import { lab } from '../../support/lab.ts'

const A = 'example.org/a'
const B = 'example.org/b'
const pool = (name: string, driver = 'igbvf') => ({ resourceName: name, selectors: [{ drivers: [driver] }] })
const prefix = ['--resource-prefix', 'example.org']

let node: PluginNode | undefined
afterEach(async () => {
  const last = node
  node = undefined
  await last?.end()
})

/** HTTP status and text of a page. */
async function page(path: string): Promise<{ readonly status: string; readonly text: string }> {
  const machine = await lab()
  const out = await machine.must(`curl -s -w '\\n%{http_code}' http://${LISTEN}${path}`)
  const at = out.lastIndexOf('\n')
  return { status: out.slice(at + 1), text: out.slice(0, at) }
}

describe('ends with', () => {
  test.each([
    ['3 for a config with a mistake', '{"resourceList":[', [], 3, /line 1, column 18/],
    ['3 for a value that is not allowed', '{"resourceList":[{"resourceName":""}]}', [], 3, /resourceName/],
    ['2 for a flag that there is not', '{}', ['--resource-prefixes', 'x'], 2, /no such flag/],
  ] as const)('code %s', async (_, text, words, wanted, message) => {
    const machine = await lab()
    await machine.writeFile('/run/config.json', text)
    await machine.must('mkdir -p /var/lib/kubelet')
    const { code, stderr } = await machine.exec([PROGRAM, '--config-file', '/run/config.json', ...words])
    expect([code, stderr]).toEqual([wanted, expect.stringMatching(message)])
  })

  test('code 0 for SIGTERM, and leaves no socket', async () => {
    const machine = await lab()
    node = await startPluginNode(machine, [pool('a')], prefix)
    await node.kubelet.wait(A, { healthy: 0, connected: true })
    await node.stop()
    expect(await machine.must('find /var/lib/kubelet/plugins_registry -type s')).toBe('')
  })
})

test('a new config is taken while it serves: pools that stay keep their streams, others come and go', async () => {
  node = await startPluginNode(await lab(), [pool('a'), pool('b')], prefix)
  const { kubelet } = node
  await kubelet.wait(A, { connected: true })
  await kubelet.wait(B, { connected: true })
  const { messages } = await kubelet.wait(A, { messages: 1 })
  await node.reconfigure({ resourceList: [pool('a'), pool('c')] })
  await kubelet.wait('example.org/c', { connected: true, healthy: 0 })
  await kubelet.wait(B, { connected: false })
  expect(await kubelet.devices(A)).toMatchObject({ messages, connected: true })
  const ways = (await kubelet.registrations()).map(({ resource }) => resource)
  expect(ways.filter((resource) => resource === A)).toHaveLength(1)
  await node.shows('vf_flower_config_generation', {}, 2)
})

test('a new config with a mistake is not used, /readyz and a metric tell, and a good one ends that', async () => {
  node = await startPluginNode(await lab(), [pool('a')], prefix)
  const { kubelet } = node
  await kubelet.wait(A, { connected: true })
  await expect.poll(async () => (await page('/readyz')).status, { timeout: 20_000 }).toBe('200')
  await node.reconfigure({ resourceList: [pool('a'), { resourceName: 'b c' }] })
  await node.shows('vf_flower_config_reload_failed', {}, 1)
  expect(await page('/readyz')).toEqual({ status: '503', text: expect.stringContaining('resourceName') })
  expect((await page('/healthz')).status).toBe('200')
  expect(await kubelet.devices(A)).toMatchObject({ connected: true })
  expect(node.log()).toContainEqual(
    expect.objectContaining({ level: 'error', msg: expect.stringContaining('resourceList[1].resourceName') }),
  )
  await node.reconfigure({ resourceList: [pool('a'), pool('b')] })
  await kubelet.wait(B, { connected: true })
  await node.shows('vf_flower_config_reload_failed', {}, 0)
  await expect.poll(async () => (await page('/readyz')).status, { timeout: 20_000 }).toBe('200')
})
