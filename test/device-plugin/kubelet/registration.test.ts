// Both ways to register with kubelet: sockets, their names, GetInfo, Register, options; the choice between the ways, and kubelets that
// come later, refuse, or leave no folder.

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import type { KubeletOptions } from '../../../hack/lab/kubelet/api.ts'
import { until } from '../../../hack/lab/until.ts'
import { type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
const made = (options: Partial<KubeletOptions> = {}) => {
  bed = kubeletBed(options)
  return bed
}
afterEach(() => bed.close())

describe.each([
  ['watcher', true, 'plugins_registry'],
  ['legacy', false, 'device-plugins'],
] as const)('the %s way', (way, watcher, folder) => {
  test('registers each pool, the empty ones too', async () => {
    const { kubelet, open, path } = made({ watcher })
    await kubelet.start()
    const frontEnd = open()
    frontEnd.offer([offer('intel.com/a', '0000:01:00.1', '0000:01:00.2'), offer('x.org/empty')])
    await kubelet.wait('intel.com/a', { healthy: ['0000:01:00.1', '0000:01:00.2'], connected: true })
    await kubelet.wait('x.org/empty', { healthy: 0, connected: true, messages: 1 })
    expect(await kubelet.options('intel.com/a')).toEqual({ preStart: false, preferred: true })
    const attempts = await kubelet.registrations()
    expect(attempts.map((one) => [one.way, one.resource, one.error])).toEqual([
      [way, 'intel.com/a', undefined],
      [way, 'x.org/empty', undefined],
    ])
    const socket = path(folder, 'intel.com_a.sock')
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    await until(() => frontEnd.status().every(({ registered }) => registered), 'both are registered')
    expect(frontEnd.status()[0]).toEqual({
      ...{ resource: 'intel.com/a', registered: true, streams: 1, problem: undefined, standby: false },
    })
    await frontEnd.stop()
    expect(existsSync(socket)).toBe(false)
    await kubelet.wait('intel.com/a', { healthy: 0, unhealthy: 2, connected: false })
  })

  test('waits for a kubelet that comes later', async () => {
    const { kubelet, open, root } = made({ watcher })
    const frontEnd = open()
    frontEnd.offer([offer('x.org/a', 'one')])
    expect(frontEnd.status()).toMatchObject([{ registered: false, streams: 0 }])
    await until(
      () =>
        frontEnd.status()[0]?.problem === `there is neither plugins_registry nor device-plugins in ${root}`,
      'the problem is told',
    )
    await kubelet.start()
    await kubelet.wait('x.org/a', { healthy: ['one'] })
  })

  test('tries again when kubelet refuses', async () => {
    const { kubelet, open, log } = made({ watcher })
    await kubelet.refuse(2, 'not today')
    await kubelet.start()
    const frontEnd = open()
    frontEnd.offer([offer('x.org/a', 'one')])
    await kubelet.wait('x.org/a', { healthy: ['one'] })
    const errors = (await kubelet.registrations()).map(({ error }) => error?.includes('not today') ?? false)
    expect(errors).toEqual([true, true, false])
    expect(log.map(({ message }) => message).join('\n')).toMatch(/kubelet does not register it: .*not today/)
    await until(() => frontEnd.status()[0]?.problem === undefined, 'the problem is over')
  })
})

test('legacy is the way only where there is no folder of the watcher, and ends when one appears', async () => {
  const { kubelet, open, path } = made()
  mkdirSync(path('device-plugins'))
  open().offer([offer('x.org/a', 'one')])
  await until(() => existsSync(path('device-plugins', 'x.org_a.sock')), 'the socket is there')
  await kubelet.start()
  await kubelet.wait('x.org/a', { healthy: ['one'] })
  expect(existsSync(path('device-plugins', 'x.org_a.sock'))).toBe(false)
  expect(existsSync(path('plugins_registry', 'x.org_a.sock'))).toBe(true)
})
