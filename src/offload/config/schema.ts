import { schemaOf } from '../../cni/json-schema.ts'
import type { JsonObject } from '../../lib/json.ts'
import { offloadKeys } from './keys.ts'

/** JSON Schema of the object of `vf-offload` in a list of plugins. */
export function offloadSchema(): JsonObject {
  return schemaOf(offloadKeys, {
    title: 'vf-offload',
    description: 'Entry of the CNI plugin vf-offload, also as portmap or bandwidth, in a list of plugins.',
    required: ['type'],
  })
}
