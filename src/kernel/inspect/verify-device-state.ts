import type { DeviceStateOp } from '../../ops/op.ts'
import type { Verifiers } from './verifier.ts'

/** CHECK runs between ADD and DEL, and a device is given back by a DEL, or by an ADD that failed. */
const givenBack = { unseen: 'the device is given back: no CHECK follows' } as const

/** State of a device that is given back. */
export const deviceStateVerifiers: Verifiers<DeviceStateOp['do']> = {
  'carried.give': givenBack,
  'program.detach': givenBack,
  'link.del': givenBack,
  'link.flick': givenBack,
  'ethtool.set': givenBack,
  'netdev.set': givenBack,
}
