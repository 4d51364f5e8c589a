// The core gives away what is free, and says which device is not fit.
import { expect, test } from 'vitest'
import { NotReady } from '../../../device-plugin/container/not-ready.ts'
import { makeCore } from '../../../device-plugin/core.ts'
import { AllocationRefused } from '../../../device-plugin/front-end.ts'
import type { State } from '../../../device-plugin/state.ts'

const id = '0000:3b:10.0'
const access = { env: {}, deviceNodes: [], mounts: [], cdiNames: [] }

function bed(allocate: () => Promise<typeof access>, held: ReadonlyMap<string, object> = new Map()) {
  const doubts: unknown[][] = []
  const given: unknown[][] = []
  const core = makeCore({
    state: () => ({ allocations: { held } }) as unknown as State,
    containers: { allocate },
    given: (...all) => void given.push(all),
    doubt: (...all) => void doubts.push(all),
  })
  return { core, doubts, given }
}

test('a device that a pod has from another resource is refused, whatever list kubelet goes by', async () => {
  for (const [pod, words] of [
    [{ namespace: 'ns', name: 'p' }, 'pod "ns/p"'],
    [{ namespace: '', name: '', uid: '1' }, 'a pod'],
    [undefined, 'a pod'],
  ] as const) {
    const { core, doubts, given } = bed(
      async () => access,
      new Map([[id, { resource: 'x.org/old', device: id, pod }]]),
    )
    const reason = `Cannot give "${id}" to a container: ${words} has it as "x.org/old"`
    await expect(core.allocate('x.org/new', [id])).rejects.toThrow(new AllocationRefused(reason))
    expect([doubts, given]).toEqual([[['x.org/new', reason, id]], []])
  }
})

test('a device that the same resource has given out is given again: an init container hands it on', async () => {
  const { core, given } = bed(async () => access, new Map([[id, { resource: 'x.org/a', device: id }]]))
  expect(await core.allocate('x.org/a', [id])).toBe(access)
  expect(given).toEqual([['x.org/a', [id]]])
})

test('a failure that is about no device puts none in doubt', async () => {
  const failing = (error: Error) => bed(() => Promise.reject(error))
  for (const [error, device] of [
    [new NotReady(id, 'x'), id],
    [new NotReady(id, 'its CDI spec can not be written: EROFS', true), undefined],
    [new TypeError('defect'), undefined],
  ] as const) {
    const { core, doubts } = failing(error)
    await expect(core.allocate('x.org/a', [id])).rejects.toThrow(error.message)
    expect(doubts).toEqual([['x.org/a', error.message, device]])
  }
})
