// The manifests for Kubernetes: kubectl renders each overlay, and each object is valid by the schema of its kind, with no key that the schema
// does not know. Volumes, labels, pools and networks that they name are there.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, type TestContext, test, vi } from 'vitest'
import { readCommandLine } from '../../../device-plugin/config/command-line.ts'
import { examineConfig } from '../../../device-plugin/config/read-config.ts'
import { isObject, type JsonObject } from '../../../src/lib/json.ts'
import { findKubectl } from '../../support/kubernetes/kubectl.ts'
import {
  applied,
  at,
  components,
  containersOf,
  content,
  deploy,
  files,
  list,
  podAnnotations,
  podSpec,
} from '../../support/kubernetes/manifests.ts'
import { kubectl, notRun, renderWith, titleFor } from '../../support/kubernetes/render.ts'
import { mistakesOf } from '../../support/kubernetes/schemas.ts'

const need = (context: TestContext) => context.skip('reason' in kubectl, notRun)
const nameOf = ({ kind, metadata }: JsonObject) => `${kind} ${at(metadata, 'name')}`

const rendered = renderWith
const each = [...applied, ...components]

describe.each(each)(`%s${notRun}`, (folder) => {
  test('each object is valid by the schema of its kind', async (context) => {
    need(context)
    const objects = await rendered(folder)
    expect(objects.length).toBeGreaterThan(2)
    for (const one of objects)
      expect({ name: nameOf(one), mistakes: await mistakesOf(one) }).toEqual({
        name: nameOf(one),
        mistakes: [],
      })
    // Two of one name would be one object in the cluster.
    const names = objects.map((one) => `${nameOf(one)} ${at(one, 'metadata', 'namespace') ?? ''}`)
    expect(names).toEqual([...new Set(names)])
  })

  test('volumes, labels, images and service accounts fit together', async (context) => {
    need(context)
    const objects = await rendered(folder)
    const names = new Set(objects.map(nameOf))
    for (const one of objects) {
      const spec = podSpec(one)
      if (spec === undefined) continue
      const volumes = list(spec, 'volumes').map(({ name }) => name)
      const mounts = containersOf(spec).flatMap((container) => list(container, 'volumeMounts'))
      expect([...new Set(mounts.map(({ name }) => name))].sort()).toEqual([...volumes].sort())
      for (const volume of list(spec, 'volumes')) {
        const map = at(volume, 'configMap', 'name')
        if (map !== undefined) expect(names).toContain(`ConfigMap ${map}`)
      }
      // A namespace's own account comes a moment after the namespace: a server may refuse a pod that is applied with it.
      expect(names).toContain(`ServiceAccount ${spec.serviceAccountName}`)
      if (one.kind !== 'Pod')
        expect(at(one, 'spec', 'template', 'metadata', 'labels')).toMatchObject(
          at(one, 'spec', 'selector', 'matchLabels') as object,
        )
      for (const { image } of containersOf(spec)) expect(image).toMatch(/^localhost\/[a-z-]+:[\d.]+$/)
      expect(spec.automountServiceAccountToken).toBe(false)
    }
  })
})

test(`a mistake in an object is found, at any depth${notRun}`, async (context) => {
  need(context)
  const [pod] = (await rendered('examples')).filter(({ kind }) => kind === 'Pod')
  const [network] = (await rendered('examples')).filter(({ kind }) => kind === 'NetworkAttachmentDefinition')
  const spoilt = async (text: string, now: string, one: JsonObject | undefined) => {
    const before = JSON.stringify(one)
    expect(before).toContain(text)
    return mistakesOf(JSON.parse(before.replace(text, now)) as JsonObject)
  }
  expect(await spoilt('"spec":{', '"spec":{"hostnetwork":true,', pod)).toEqual([
    '/spec unknown key "hostnetwork"',
  ])
  expect(await spoilt('"capabilities":{', '"capabilities":{"ad":[],', pod)).toEqual([
    '/spec/containers/0/securityContext/capabilities unknown key "ad"',
  ])
  expect(await spoilt('"image":', '"imagePullPolicy":"Sometimes","image":', pod)).toEqual([
    expect.stringContaining('/spec/containers/0/imagePullPolicy enum'),
  ])
  expect(await spoilt('"containers":', '"container":', pod)).toEqual([
    expect.stringContaining('/spec required'),
    '/spec unknown key "container"',
  ])
  expect(await spoilt('"spec":{', '"spec":{"plugins":[],', network)).toEqual(['/spec additionalProperties'])
})

describe('the device plugin', () => {
  const config = readFileSync(join(deploy, 'base/device-plugin/config.json'), 'utf8')
  const { config: known, findings } = examineConfig(config, { resourcePrefix: 'intel.com' })
  const container = list(podSpec(content('base/device-plugin/daemonset.yaml')), 'containers')[0]

  test('reads its config without a word', () => {
    expect(findings).toEqual([])
    expect(known?.pools.map(({ resource }) => String(resource))).toHaveLength(3)
  })

  test('knows its flags', () => {
    const uid = '2f3a6c1e-7d0b-4b3e-9a53-0d6f1c2b4e5a'
    const [word, ...words] = (at(container, 'args') as string[]).map((one) => one.replace('$(POD_UID)', uid))
    expect(word).toBe('device-plugin')
    expect(readCommandLine(words)).toMatchObject({ command: 'serve', settings: { instance: uid } })
  })

  test('is asked in its own container for being ready: the former process of an upgrade has its port', () => {
    const words = (at(container, 'args') as string[]).filter((one) => one.startsWith('--ready-file='))
    const [file = ''] = words.map((one) => one.replace('--ready-file=', ''))
    expect(at(container, 'readinessProbe')).toEqual({
      exec: { command: ['/opt/vf-flower/enter', 'ready', file] },
      periodSeconds: 5,
      timeoutSeconds: 5,
    })
    const [mount] = list(container, 'volumeMounts').filter(({ mountPath }) => mountPath === dirname(file))
    const volumes = list(podSpec(content('base/device-plugin/daemonset.yaml')), 'volumes')
    expect(volumes.find(({ name }) => name === mount?.name)).toMatchObject({ emptyDir: {} })
  })

  test(`has the pools that networks and pods ask for${notRun}`, async (context) => {
    need(context)
    const pools = list(JSON.parse(config), 'resourceList').map(
      ({ resourcePrefix, resourceName }) => `${resourcePrefix}/${resourceName}`,
    )
    const objects = await rendered('examples')
    const networks = new Map(
      objects
        .filter(({ kind }) => kind === 'NetworkAttachmentDefinition')
        .map((one) => [
          at(one, 'metadata', 'name'),
          at(one, 'metadata', 'annotations', 'k8s.v1.cni.cncf.io/resourceName'),
        ]),
    )
    for (const resource of networks.values()) expect([undefined, ...pools]).toContain(resource)
    const pods = objects.filter((one) => podSpec(one) !== undefined)
    expect(pods.length).toBeGreaterThan(4)
    for (const pod of pods) {
      const annotations = podAnnotations(pod)
      const [first] = String(annotations['v1.multus-cni.io/default-network'] ?? '')
        .split('/')
        .slice(1)
      const more = JSON.parse(String(annotations['k8s.v1.cni.cncf.io/networks'] ?? '[]')) as {
        readonly name: string
      }[]
      const wanted = [...(first === undefined ? [] : [first]), ...more.map(({ name }) => name)]
      expect([...networks.keys()]).toEqual(expect.arrayContaining(wanted))
      // One device for each network with a resource: Multus takes them in this order.
      const asked = wanted.flatMap((name) => networks.get(name) ?? []).sort()
      const limits = at(podSpec(pod), 'containers', 0, 'resources', 'limits')
      const given = isObject(limits)
        ? Object.entries(limits).flatMap(([name, count]) =>
            pools.includes(name) ? Array(Number(count)).fill(name) : [],
          )
        : []
      expect({ pod: nameOf(pod), given: given.sort() }).toEqual({ pod: nameOf(pod), given: asked })
    }
  })
})

test('without kubectl the titles of these tests say why they are not run', async () => {
  vi.stubEnv('PATH', '/none')
  const folder = mkdtempSync(join(tmpdir(), 'no-kubectl-'))
  try {
    const found = await findKubectl(join(folder, 'kubectl'))
    expect(found).toEqual({ reason: expect.stringMatching(/^there is no kubectl: .*apt-get/) })
    expect(titleFor(found)).toMatch(/^ \(not run: there is no kubectl: .*apt-get.*\)$/)
  } finally {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  }
})

test('each file is a part of a kustomization', () => {
  const kustomizations = files.filter((file) => file.endsWith('kustomization.yaml'))
  const named = kustomizations.flatMap((file) => {
    const one = content(file)
    const paths = [
      ...(Array.isArray(one.resources) ? one.resources : []),
      ...list(one, 'patches').map(({ path }) => path),
    ].filter((path) => typeof path === 'string')
    return paths.map((path) => normalize(join(dirname(file), path)))
  })
  expect(files.filter((file) => !kustomizations.includes(file) && !named.includes(file))).toEqual([])
  const heads = kustomizations.map((file) => dirname(file)).filter((folder) => !named.includes(folder))
  expect(heads.sort()).toEqual([...applied, ...components.map((name) => `components/${name}`)].sort())
})
