/** The JSON Schemas that `vfctl schema` prints and docs/schema holds. */
import { attachSchema } from '../attach/config/schema.ts'
import { schemaOf } from '../cni/json-schema.ts'
import { policyKeys } from '../cni/policy-file.ts'
import type { JsonObject } from '../lib/json.ts'
import { offloadSchema } from '../offload/config/schema.ts'

/** The schemas by name. */
export const schemas: Readonly<Record<string, () => JsonObject>> = {
  'vf-attach': attachSchema,
  'vf-offload': offloadSchema,
  policy: () =>
    schemaOf(policyKeys, {
      title: 'policy of vf-flower',
      description: "/etc/vf-flower/policy.json: the operator's bounds of network configs.",
      isClosed: true,
    }),
}

/** The text of a schema, as its file has it; undefined for a name without one. */
export function schemaText(name: string): string | undefined {
  const schema = Object.hasOwn(schemas, name) ? schemas[name] : undefined
  return schema === undefined ? undefined : `${JSON.stringify(schema(), null, 2)}\n`
}
