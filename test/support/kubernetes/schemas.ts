// Judges an object of Kubernetes by the schema of its kind, strictly: a key that the schema does not know is a mistake. In: an object. Out: the
// mistakes, each with its place.
import type { JsonObject, JsonValue } from '../../../src/lib/json.ts'
import { problems } from '../json-schema.ts'

/** Validators that ajv has compiled: they read each key that they know, and no other. */
interface Validator {
  (data: unknown): boolean
  readonly errors?:
    | readonly { readonly instancePath: string; readonly keyword: string; readonly params: unknown }[]
    | null
}

/** Keys that were read, by object. */
type Read = Map<object, Set<string | symbol>>

/** Beginnings of the schemas' names, by `apiVersion`. */
const groups: Readonly<Record<string, string>> = {
  v1: 'CoreV1',
  'apps/v1': 'AppsV1',
  'rbac.authorization.k8s.io/v1': 'RbacV1',
}

/** The NetworkAttachmentDefinition of Multus, whose own schema allows everything. */
const network: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { const: 'k8s.cni.cncf.io/v1' },
    kind: { const: 'NetworkAttachmentDefinition' },
    metadata: {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'namespace'],
      properties: {
        name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
        namespace: { type: 'string' },
        annotations: {
          type: 'object',
          additionalProperties: false,
          properties: {
            'k8s.v1.cni.cncf.io/resourceName': {
              type: 'string',
              pattern: '^[a-z0-9.-]+/[A-Za-z0-9][A-Za-z0-9_.-]*$',
            },
          },
        },
      },
    },
    spec: {
      type: 'object',
      additionalProperties: false,
      required: ['config'],
      properties: { config: { type: 'string', minLength: 2 } },
    },
  },
}

/** All mistakes of an object; none for one that is valid. @throws Error for a kind without a schema */
export async function mistakesOf(object: JsonObject): Promise<readonly string[]> {
  const { apiVersion = '', kind = '' } = object
  if (kind === 'NetworkAttachmentDefinition') return problems(network, object)
  const group = groups[String(apiVersion)]
  if (group === undefined) throw new Error(`Cannot judge ${kind} of ${apiVersion}: there is no schema`)
  const path = `kubernetes-models/_schemas/IoK8sApi${group}${kind}`
  const { validate } = (await import(/* @vite-ignore */ path)) as { readonly validate: Validator }
  const read: Read = new Map()
  const isValid = validate(watched(object, read))
  const errors = isValid ? [] : (validate.errors ?? [])
  return [
    ...errors.map(
      ({ instancePath, keyword, params }) => `${instancePath} ${keyword} ${JSON.stringify(params)}`,
    ),
    ...unread(object, read, ''),
  ]
}

/** The value, with a note in `read` of each key that somebody reads. */
function watched(value: object, read: Read): object {
  const keys = read.get(value) ?? new Set()
  read.set(value, keys)
  return new Proxy(value, {
    get(target, key): unknown {
      keys.add(key)
      const member: unknown = Reflect.get(target, key)
      const isContent = Object.hasOwn(target, key) && typeof member === 'object' && member !== null
      return isContent ? watched(member, read) : member
    },
  })
}

/** Keys that nobody has read, with their places. */
function unread(value: JsonValue | undefined, read: Read, path: string): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  const keys = read.get(value)
  return Object.entries(value).flatMap(([key, member]) =>
    keys?.has(key) === true
      ? unread(member, read, `${path}/${key}`)
      : [`${path} unknown key ${JSON.stringify(key)}`],
  )
}
