/** Waits for a non-blocking descriptor with a late other end. */
import { errorCode, SystemError } from './errno.ts'
import { sleep } from './sleep.ts'

/** Milliseconds between two tries of a descriptor that is not ready. */
const pause = 5
const ETIMEDOUT = 110

/**
 * Repeats `action`, which has failed with `refusal`, until the descriptor is ready.
 * @param patience longest wait, in milliseconds
 * @param words the event that did not come, for the error
 * @throws SystemError ETIMEDOUT after that; the error of read(2) or write(2), and `refusal` itself if that is not EAGAIN
 */
export function whenReady(refusal: unknown, patience: number, words: string, action: () => number): number {
  const began = performance.now()
  let answer = refusal
  for (;;) {
    if (errorCode(answer) !== 'EAGAIN') throw answer
    if (performance.now() - began >= patience)
      throw new SystemError('poll', ETIMEDOUT, `${words} for ${patience} ms`)
    sleep(pause)
    try {
      return action()
    } catch (error) {
      answer = error
    }
  }
}
