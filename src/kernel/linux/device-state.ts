import type { CleanOp, DeviceStateOp, Outcome } from '../../ops/op.ts'
import type { DeviceStateKernel } from '../api/device-state.ts'
import { settingOps, settingsOf } from '../link/settings.ts'
import { residue } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { done, type Runs } from './runs.ts'

/** State of a device that is given back. */
export const deviceStateRuns: Runs<DeviceStateOp['do']> = {
  'carried.give': ({ route }, op) => carried().giveCarried(route('host'), op.ifindex, op),
  'program.detach': clean,
  'link.del': clean,
  'link.flick': clean,
  'ethtool.set': clean,
  'netdev.set': clean,
}

/** Questions about the state of a device. */
export function deviceStateKernel({ route }: OpenSides): DeviceStateKernel {
  return {
    carried: (link) => carried().carriedBy(route('host'), link),
    settings: (link) => settingsOf(link),
    settingOps: (link, was) => settingOps(link.name, was, settingsOf(link)),
    residue: (link) => residue().residueOf(route('host'), link),
    tuning: (name, files) => residue().tuningOf(name, files),
    tuningOps: (name, was, now) => residue().tuningOps(name, was, now),
  }
}

/** Only an interface that carries something needs it. */
const carried = () => require('../carried/carried.ts') as typeof import('../carried/carried.ts')

function clean({ route }: OpenSides, op: CleanOp): Outcome {
  residue().clean(route('side' in op ? op.side : 'host'), op)
  return done
}
