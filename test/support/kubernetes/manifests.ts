// The manifests as a cluster gets them. In: a folder below device-plugin/deploy. Out: its objects, rendered by kubectl.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { parse, parseAllDocuments } from 'yaml'
import { isObject, type JsonObject, type JsonValue } from '../../../src/lib/json.ts'
import { findKubectl, type Kubectl } from './kubectl.ts'

/** The folder of all manifests. */
export const deploy = fileURLToPath(new URL('../../../device-plugin/deploy', import.meta.url))
/** Folders that are applied to a cluster as they are. */
export const applied = ['overlays/service', 'overlays/daemonset', 'overlays/remove', 'examples'] as const
/** Parts that an overlay of a user's adds. */
export const components = ['restore', 'openshift'] as const

/** The program that renders. */
export const kubectl = await findKubectl()
/** The end of a title: why the test is not run, or nothing. */
export const titleFor = (one: Kubectl) => ('reason' in one ? ` (not run: ${one.reason})` : '')
/** The same for the program that was found. */
export const notRun = titleFor(kubectl)

/** The objects of a folder with a kustomization. @throws Error with kubectl's own words */
export async function render(folder: string): Promise<readonly JsonObject[]> {
  if ('reason' in kubectl) throw new Error(kubectl.reason)
  const { stdout } = await execa(kubectl.file, ['kustomize', folder])
  return parseAllDocuments(stdout, { strict: true }).map((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    return object(document.toJS() as JsonValue)
  })
}

/** The objects of one of {@link applied}, or of one of {@link components} in an overlay as a user writes one. */
export async function renderWith(name: string): Promise<readonly JsonObject[]> {
  if (!(components as readonly string[]).includes(name)) return render(join(deploy, name))
  const copy = mkdtempSync(join(tmpdir(), 'deploy-'))
  try {
    const folder = join(copy, 'overlays', name)
    cpSync(deploy, copy, { recursive: true })
    cpSync(join(copy, 'overlays/service'), folder, { recursive: true })
    const lines = [
      ...['apiVersion: kustomize.config.k8s.io/v1beta1', 'kind: Kustomization'],
      ...['resources: [../service]', `components: [../../components/${name}]`],
    ]
    writeFileSync(join(folder, 'kustomization.yaml'), `${lines.join('\n')}\n`)
    return await render(folder)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** Files of the manifests, by their paths below {@link deploy}, that are YAML. */
export const files = readdirSync(deploy, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.yaml'),
)
/** The content of a file that has one document. */
export const content = (file: string) => object(parse(readFileSync(join(deploy, file), 'utf8')) as JsonValue)

function object(value: JsonValue): JsonObject {
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
