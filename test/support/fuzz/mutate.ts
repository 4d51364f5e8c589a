// All mutators of a call, by the part that they spoil.
import { changeIpam, changeVariable, damageRecord, inTheWay, listed, surrounding } from './spoil-around.ts'
import { addKey, changeText, changeValue, type Mutator } from './spoil-config.ts'
import { HANDICAPS, REDIRECTIONS } from './surroundings.ts'

/** A value that a mutation can change. */
export const MUTATORS = {
  key: changeValue,
  newKey: addKey,
  text: changeText,
  variable: changeVariable,
  descriptor: (random) => listed('redirect', random.pick(REDIRECTIONS), 'redirect'),
  handicap: (random) => listed('before', random.pick(HANDICAPS), 'before'),
  surrounding,
  inTheWay,
  ipam: changeIpam,
  record: damageRecord,
} as const satisfies Record<string, Mutator>
