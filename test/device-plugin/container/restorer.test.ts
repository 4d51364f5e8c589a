// Devices whose pod is dead are restored by us: after their time, one at a time, with longer pauses after failures, and not when their
// pod is there after all. And the call of vf-attach by which that is done.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Attachment } from '../../../device-plugin/allocations/attachment.ts'
import type { Holding } from '../../../device-plugin/allocations/holding.ts'
import {
  Restorer,
  restorePauses,
  type Unrestored,
} from '../../../device-plugin/container/restore/restorer.ts'
import {
  delCall,
  RestoreFailed,
  restoreByDel,
} from '../../../device-plugin/container/restore/vf-attach-del.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import { unrestored } from '../../../device-plugin/unrestored.ts'
import { device, pool as poolConfig, snapshot } from '../../support/device-plugin/devices.ts'
import { temporaryFolder } from '../../support/device-plugin/temporary-folder.ts'
import { VirtualClock } from '../watch/virtual-clock.ts'

const dead = (device: string, containerID = `c-${device}`): Attachment => ({
  ...{ device, containerID, ifname: 'net1', network: 'n' },
  ...{ alive: false, pendingClose: false, pod: undefined },
})

/** A restorer whose DELs end when the test says so. */
function bed() {
  const clock = new VirtualClock()
  const running: { device: string; end: (error?: Error) => Promise<void> }[] = []
  const lines: string[] = []
  let waiting: readonly Unrestored[] = []
  let ends = 0
  const restorer = new Restorer({
    restore: ({ device }) =>
      new Promise((resolve, reject) => {
        const end = async (error?: Error) => {
          if (error === undefined) {
            waiting = waiting.filter((one) => one.attachment.device !== device)
            resolve('')
          } else reject(error)
          await settled()
        }
        running.push({ device, end })
      }),
    now: () => waiting,
    onEnd: () => {
      ends++
      restorer.look(waiting)
    },
    clock,
    log: { info: (line) => void lines.push(line), warn: (line) => void lines.push(line) },
  })
  const look = (...next: readonly Unrestored[]) => {
    waiting = next
    restorer.look(next)
  }
  return {
    clock,
    running,
    lines,
    look,
    restorer,
    ends: () => ends,
    set: (next: typeof waiting) => (waiting = next),
  }
}
/** Lets promises that are settled go on. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a device is restored once its time is over, and not before', async () => {
  const { clock, running, look, lines, ends } = bed()
  look({ attachment: dead('a'), after: 1_000 })
  await clock.advance(600)
  look({ attachment: dead('a'), after: 1_000 })
  await clock.advance(399)
  expect(running).toEqual([])
  await clock.advance(1)
  expect(running.map(({ device }) => device)).toEqual(['a'])
  await running[0]?.end()
  expect(ends()).toBe(1)
  expect(lines).toEqual(['a is restored after its pod, for which no DEL came'])
  await clock.advance(3_600_000)
  expect(running).toHaveLength(1)
  expect(clock.pending).toBe(0)
})

test('one at a time, the one that waits longest first', async () => {
  const { clock, running, look } = bed()
  const all = ['a', 'b', 'c'].map((name, at) => ({ attachment: dead(name), after: 300 - at * 100 }))
  look(...all)
  await clock.advance(1_000)
  expect(running.map(({ device }) => device)).toEqual(['c'])
  await running[0]?.end()
  await clock.advance(0)
  expect(running.map(({ device }) => device)).toEqual(['c', 'b'])
  await running[1]?.end()
  await clock.advance(0)
  expect(running.map(({ device }) => device)).toEqual(['c', 'b', 'a'])
})

test('a failure is told, and the pauses grow; others do not wait for it', async () => {
  const { clock, running, look, lines } = bed()
  look({ attachment: dead('a'), after: 0 }, { attachment: dead('b'), after: 1 })
  await clock.advance(0)
  await running[0]?.end(new RestoreFailed('the PF says no'))
  expect(lines).toEqual(['Cannot restore a: the PF says no; another try follows in 10 s'])
  await clock.advance(1)
  expect(running.map(({ device }) => device)).toEqual(['a', 'b'])
  await running[1]?.end()
  let count = 2
  for (const pause of [...restorePauses, restorePauses.at(-1) ?? 0]) {
    await clock.advance(pause - 2)
    expect(running).toHaveLength(count)
    await clock.advance(2)
    expect(running).toHaveLength(++count)
    await running[count - 1]?.end(new RestoreFailed('no'))
  }
})

test('a device whose record stays after a DEL without an error is not tried again at once', async () => {
  const { clock, running, look, set } = bed()
  const one = { attachment: dead('a'), after: 0 }
  look(one)
  await clock.advance(0)
  const end = running[0]?.end()
  set([one])
  await end
  await clock.advance((restorePauses[0] ?? 0) - 1)
  expect(running).toHaveLength(1)
  await clock.advance(1)
  expect(running).toHaveLength(2)
})

test('a pod that is there after all, another attachment, and a stop leave the device alone', async () => {
  const { clock, running, look, set, restorer } = bed()
  look({ attachment: dead('a'), after: 1_000 })
  await clock.advance(900)
  // Nobody has looked since the ADD of another pod.
  set([{ attachment: dead('a', 'other'), after: 1_000 }])
  await clock.advance(100)
  expect(running).toEqual([])
  await clock.advance(900)
  set([])
  await clock.advance(1_000)
  expect(running).toEqual([])
  look({ attachment: dead('a'), after: 0 })
  restorer.stop()
  await clock.advance(1_000)
  expect(running).toEqual([])
})

test('only devices that kubelet gives to nobody wait, of pools that have the key', () => {
  const devices = ['0000:3b:02.0', '0000:3b:02.1', '0000:3b:02.2'].map((id) => device(id))
  const [first = '', second = '', third = ''] = devices.map(({ id }) => id)
  const pool = poolConfig('slow', [{ pciAddresses: [first, second] }], { restoreAfter: 5_000 })
  const other = poolConfig('never', [{}])
  const assignment = assignPools({ pools: [pool, other], warnings: [] }, snapshot(devices))
  const state = (held: readonly string[] = [], change: Partial<Attachment> = {}, isGuess = false) => ({
    assignment,
    attachments: new Map([first, third].map((id) => [id, { ...dead(id), ...change }])),
    allocations: {
      held: new Map(held.map((device): [string, Holding] => [device, { resource: pool.resource, device }])),
      ...{ source: 'podresources', isGuess },
    },
  })
  expect(unrestored(state())).toEqual([{ attachment: dead(first), after: 5_000 }])
  expect(unrestored(state([first]))).toEqual([])
  expect(unrestored(state([second]))).toHaveLength(1)
  expect(unrestored(state([], { alive: true }))).toEqual([])
  expect(unrestored(state([], { pendingClose: true }))).toEqual([])
  expect(unrestored(state([], {}, true))).toEqual([])
})

test('vf-attach is called as a runtime calls it, without the namespace of the pod', () => {
  const { env, input } = delCall(dead('a', 'c0ffee'), '/var/lib/cni/vf-flower')
  expect(env).toMatchObject({
    ...{ CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c0ffee', CNI_IFNAME: 'net1', CNI_NETNS: '' },
  })
  expect(JSON.parse(input)).toEqual({ cniVersion: '1.0.0', name: 'n', type: 'vf-attach' })
  expect(JSON.parse(delCall(dead('a'), '/other').input)).toMatchObject({ stateDir: '/other' })
})

describe('the end of a DEL', () => {
  const program = (text: string) => {
    const file = join(temporaryFolder(), 'program')
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return restoreByDel(dead('a'), '/state', file).done
  }

  test('is good with code 0, and has got the config', async () => {
    const remarks = await program(
      'echo remark >&2; test "$CNI_COMMAND" = DEL && grep -q \'"stateDir":"/state"\'',
    )
    expect(remarks).toBe('remark')
  })

  test.each([
    ['echo \'{"code": 7, "msg": "a", "details": "b"}\'; exit 1', 'a: b'],
    ['echo \'{"code": 7, "msg": "a"}\'; exit 1', 'a'],
    ['echo nonsense; exit 3', 'vf-attach ended with code 3'],
    ['kill -9 $$', 'vf-attach ended by SIGKILL'],
  ])('%s: has its reason', async (text, reason) => {
    await expect(program(text)).rejects.toThrow(reason)
  })

  test('is bad without a program', async () => {
    await expect(restoreByDel(dead('a'), '/state', '/nowhere').done).rejects.toThrow(/ENOENT/)
  })
})
