// Memory is given back after work, once for a burst and not too often; a process without work does nothing.
import { expect, test } from 'vitest'
import { Tidy } from '../../device-plugin/tidy.ts'
import { VirtualClock } from './watch/virtual-clock.ts'

function bed() {
  const clock = new VirtualClock()
  const done: string[] = []
  const note = (deed: string) => () => {
    done.push(`${deed} at ${clock.now()}`)
  }
  return { clock, done, tidy: new Tidy(clock, { collect: note('collect'), giveBack: note('give back') }) }
}

test('a burst of work leads to one of each, behind the work', async () => {
  const { clock, done, tidy } = bed()
  tidy.soon()
  await clock.advance(20)
  tidy.soon()
  await clock.advance(60_000)
  expect(done).toEqual(['collect at 50', 'give back at 1000'])
  expect(clock.pending).toBe(0)
})

test('work without end makes neither more often than its pause allows', async () => {
  const { clock, done, tidy } = bed()
  for (let time = 0; time < 30_000; time += 100) {
    tidy.soon()
    await clock.advance(100)
  }
  expect(done.filter((one) => one.startsWith('give back'))).toEqual(
    [1_000, 11_000, 21_000].map((at) => `give back at ${at}`),
  )
  expect(done.filter((one) => one.startsWith('collect')).length).toBeLessThanOrEqual(100)
})

test('nothing is done after the end', async () => {
  const { clock, done, tidy } = bed()
  tidy.soon()
  tidy.stop()
  tidy.soon()
  await clock.advance(60_000)
  expect(done).toEqual([])
})
