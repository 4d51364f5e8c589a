// The files of the manifests, and questions about objects of Kubernetes. In: files below device-plugin/deploy, objects. Out: parts of them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { isObject, type JsonObject, type JsonValue } from '../../../src/lib/json.ts'

/** The folder of all manifests. */
export const deploy = fileURLToPath(new URL('../../../device-plugin/deploy', import.meta.url))
/** Folders that are applied to a cluster as they are. */
export const applied = ['overlays/service', 'overlays/daemonset', 'overlays/remove', 'examples'] as const
/** Parts that an overlay of a user's adds. */
export const components = ['restore', 'openshift'] as const

/** Files of the manifests, by their paths below {@link deploy}, that are YAML. */
export const files = readdirSync(deploy, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.yaml'),
)
/** The content of a file that has one document. */
export const content = (file: string) => object(parse(readFileSync(join(deploy, file), 'utf8')) as JsonValue)

/** The value as an object. @throws TypeError */
export function object(value: JsonValue): JsonObject {
  if (!isObject(value)) throw new TypeError(`Cannot use ${JSON.stringify(value)}: must be an object`)
  return value
}

/** The member of an object at a path; undefined where there is none. */
export function at(
  value: JsonValue | undefined,
  ...path: readonly (string | number)[]
): JsonValue | undefined {
  let here: JsonValue | undefined = value
  for (const key of path)
    here = Array.isArray(here) ? here[Number(key)] : isObject(here) ? here[key] : undefined
  return here
}

/** The objects of a list at a path; none where there is none. */
export function list(
  value: JsonValue | undefined,
  ...path: readonly (string | number)[]
): readonly JsonObject[] {
  const found = at(value, ...path)
  return Array.isArray(found) ? found.filter(isObject) : []
}

/** The spec of the pods that an object makes, or is; undefined where it makes none. */
export function podSpec(one: JsonObject): JsonObject | undefined {
  const spec = one.kind === 'Pod' ? one.spec : at(one, 'spec', 'template', 'spec')
  return isObject(spec) ? spec : undefined
}

/** The annotations of the pods that an object makes, or is. */
export function podAnnotations(one: JsonObject): Readonly<Record<string, JsonValue | undefined>> {
  const path =
    one.kind === 'Pod' ? ['metadata', 'annotations'] : ['spec', 'template', 'metadata', 'annotations']
  const found = at(one, ...path)
  return isObject(found) ? found : {}
}

/** The containers of a pod, those that run before it too. */
export const containersOf = (spec: JsonObject) => [
  ...list(spec, 'initContainers'),
  ...list(spec, 'containers'),
]
