// The front end for kubelet as it is compiled: Bun's HTTP/2, unix sockets and notifications of folders, against the compiled kubelet
// simulator in both ways to register. All cases of the protocol are in test/device-plugin/kubelet, on Node.
// needs: veth
import { afterEach, describe, expect, test } from 'vitest'
import { DRIVER } from '../../../hack/lab/driver/client.ts'
import { kubeletIn, type RemoteKubelet } from '../../../hack/lab/kubelet/remote.ts'
import type { LabProcess } from '../../../hack/lab/lab.ts'
import { buildDialBack, wire } from '../../support/kubelet/dial-back.ts'
import { offer } from '../../support/kubelet-bed.ts'
import { lab } from '../../support/lab.ts'

const ended: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

async function bed(
  watcher: boolean,
): Promise<{ kubelet: RemoteKubelet; frontEnd: LabProcess; root: string }> {
  const node = await lab()
  const root = (await node.must('mktemp -d /run/kubelet.XXXXXX')).trim()
  const kubelet = await kubeletIn(node, { root, watcher })
  const frontEnd = await node.spawn([DRIVER, 'front-end', root])
  ended.push(
    () => kubelet.close(),
    () => {
      frontEnd.end()
      return frontEnd.wait()
    },
  )
  return { kubelet, frontEnd, root }
}

test('compiled, answers to the library that kubelet is built with', async () => {
  const node = await lab()
  const program = await buildDialBack()
  const { frontEnd, root } = await bed(true)
  await node.must(`mkdir ${root}/plugins_registry`)
  frontEnd.write(`${JSON.stringify([offer('x.org/a', 'a')])}\n`)
  const socket = `${root}/plugins_registry/x.org_a.sock`
  // Listing takes as long as the socket takes to come.
  const calls = [wire.list, '', wire.allocate, '0a030a0161']
  const { stdout } = await node.exec([
    'sh',
    '-c',
    'until [ -S "$2" ]; do sleep 0.02; done; exec "$0" "$@"',
    program,
    'dial',
    socket,
    'localhost',
    ...calls,
  ])
  expect(stdout).toBe(
    `${wire.list} OK 0a0c0a016112074865616c746879\n${wire.allocate} OK 0a0a0a080a03494453120161\n`,
  )
}, 300_000)

describe.each([
  ['watcher', true, 'plugins_registry'],
  ['legacy', false, 'device-plugins'],
] as const)('compiled, the %s way', (_, watcher, folder) => {
  test('registers, sends changes, answers Allocate, and comes back after a restart, a removed socket and a new folder', async () => {
    const node = await lab()
    const { kubelet, frontEnd, root } = await bed(watcher)
    frontEnd.write(`${JSON.stringify([offer('x.org/a', 'one', 'two'), offer('x.org/b')])}\n`)
    await kubelet.start()
    await kubelet.wait('x.org/a', { healthy: ['one', 'two'], messages: 1 })
    await kubelet.wait('x.org/b', { healthy: 0, connected: true })
    frontEnd.write(`${JSON.stringify([offer('x.org/a', 'one', 'two', 'three'), offer('x.org/b')])}\n`)
    const after = await kubelet.wait('x.org/a', { healthy: ['one', 'two', 'three'], connected: true })
    expect(after.messages).toBe(2)
    expect((await kubelet.devices('x.org/b'))?.messages).toBe(1)

    const pod = { uid: '1', namespace: 'default', name: 'pod' }
    const { ids, response } = await kubelet.allocate(pod, 'main', 'x.org/a', 2)
    expect(response.envs).toEqual({ IDS: ids.join(',') })

    await kubelet.restart()
    await kubelet.wait('x.org/a', { healthy: 3, messages: 3 })
    await kubelet.removeSockets(folder)
    if (!watcher) await kubelet.dropStreams()
    await kubelet.wait('x.org/a', { healthy: 3, messages: 4, connected: true })
    for (let round = 0; round < 3; round++) {
      await kubelet.wipe(folder, true)
      await node.must(`until [ -S ${root}/${folder}/x.org_a.sock ]; do sleep 0.02; done`, {
        timeoutMs: 15_000,
      })
    }
    await kubelet.restart()
    await kubelet.wait('x.org/a', { healthy: 3, connected: true })
    frontEnd.end()
    expect((await frontEnd.wait()).code).toBe(0)
    await kubelet.wait('x.org/a', { unhealthy: 3, connected: false })
    expect(await node.must(`ls -A ${root}/${folder} | grep x.org || true`)).toBe('')
  })
})
