// The manifests as a cluster gets them. In: a folder below device-plugin/deploy. Out: its objects, rendered by kubectl.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseAllDocuments } from 'yaml'
import type { JsonObject, JsonValue } from '../../../src/lib/json.ts'
import { findKubectl, type Kubectl } from './kubectl.ts'
import { components, deploy, object } from './manifests.ts'

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
