/** The wait for a non-blocking descriptor whose other end is late. */
import { errorCode, SystemError } from './errno.ts'
import { sleep } from './sleep.ts'

/** How often a descriptor that is not ready is tried again, in milliseconds. */
const pause = 5
const ETIMEDOUT = 110

/**
 * Tries `action`, which has answered `refusal`, again until the descriptor is ready.
 * @param patience milliseconds that it may not be
 * @param words what did not happen, for the error
 * @throws SystemError ETIMEDOUT after that; what read(2) or write(2) answers, `refusal` too if that is not EAGAIN
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
