// A refusal counts for half a minute, twice as long each time it happens again, and ends early when something about the device changes.
import { expect, test } from 'vitest'
import { Refusals } from '../../../device-plugin/health/refusals.ts'

const second = 1_000
const same = () => 'sign'

test('counts for 30 s, and after each repetition for twice as long, 5 minutes at most', () => {
  const refusals = new Refusals()
  let now = 0
  for (const seconds of [30, 60, 120, 240, 300, 300]) {
    refusals.add('a', 'x.org/p', 'open', 'sign', now)
    expect(refusals.at(now + seconds * second - 1, same).get('a')).toMatchObject({ text: 'open' })
    now += seconds * second
    expect(refusals.at(now, same).size).toBe(0)
  }
})

test('is forgotten after five minutes without another one', () => {
  const refusals = new Refusals()
  refusals.add('a', 'x.org/p', 'open', 'sign', 0)
  refusals.at(330 * second, same)
  refusals.add('a', 'x.org/p', 'open', 'sign', 400 * second)
  expect(refusals.at(430 * second, same).size).toBe(0)
})

test('ends with a change of the device, when the device goes, and when it is given away', () => {
  const refusals = new Refusals()
  for (const end of [
    () => refusals.at(1, () => 'other'),
    () => refusals.at(1, () => undefined),
    () => refusals.forget('a'),
  ]) {
    refusals.add('a', 'x.org/p', 'open', 'sign', 0)
    expect(refusals.at(1, same).size).toBe(1)
    end()
    expect(refusals.at(2, same).size).toBe(0)
  }
})
