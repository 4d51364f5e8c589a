/** Operations on the state of a device that a pod gives back, as they lie on the disk (table.ts). */
import type { DeviceStateOp } from '../../ops/op.ts'
import { at, oneOf } from '../form.ts'
import { amount, ifindex, message, named, netdevFile, numbers, side, u32, words } from '../values.ts'
import type { OpForms } from './types.ts'

/** One thing that an interface carried. */
export const carriedFields = {
  what: at('what', oneOf('port', 'token', 'address', 'route', 'neighbour')),
  words: at('words', words),
  message: at('message', message),
}

/** Forms of operations on the state of a device that a pod gives back. */
export const deviceStateForms: OpForms<DeviceStateOp['do']> = {
  'carried.give': [
    'carried.give',
    { link: at('link', named), ifindex: at('ifindex', ifindex), ...carriedFields, age: at('age', amount) },
  ],
  'program.detach': [
    'program.detach',
    {
      side: at('side', side),
      link: at('link', named),
      ifindex: at('ifindex', ifindex),
      hook: at('hook', oneOf('skb', 'drv', 'hw', 'ingress', 'egress')),
      program: at('program', u32),
    },
  ],
  'link.del': [
    'link.del',
    { side: at('side', side), name: at('name', named), ifindex: at('ifindex', ifindex) },
  ],
  'link.flick': [
    'link.flick',
    { side: at('side', side), name: at('name', named), ifindex: at('ifindex', ifindex) },
  ],
  'ethtool.set': [
    'ethtool.set',
    {
      link: at('link', named),
      part: at('part', oneOf('features', 'channels', 'rings')),
      value: at('value', numbers),
      was: at('was', numbers),
    },
  ],
  'netdev.set': [
    'netdev.set',
    {
      link: at('link', named),
      file: at('file', netdevFile),
      value: at('value', words),
      was: at('was', words),
    },
  ],
}
