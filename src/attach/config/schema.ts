import { schemaOf } from '../../cni/json-schema.ts'
import type { JsonObject } from '../../lib/json.ts'
import { attachKeys } from './keys.ts'

/** JSON Schema of the object of `vf-attach` in a network config. */
export function attachSchema(): JsonObject {
  return schemaOf(attachKeys, {
    title: 'vf-attach',
    description: 'Network config of the CNI plugin vf-attach, alone or as an entry of a list of plugins.',
    required: ['type'],
  })
}
