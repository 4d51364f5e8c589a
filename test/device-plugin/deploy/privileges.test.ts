// Each privilege that the manifests ask for has its row in docs/kubernetes.md, with the reason and the loss without it, and no row is about a
// privilege that nobody asks for.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { applied, components } from '../../support/kubernetes/manifests.ts'
import { privilegesOf } from '../../support/kubernetes/privileges.ts'
import { kubectl, notRun, renderWith } from '../../support/kubernetes/render.ts'

const page = readFileSync(fileURLToPath(new URL('../../../docs/kubernetes.md', import.meta.url)), 'utf8')
const words = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)

/** The rows of the table: each owner has each privilege of its row. */
const [, table = ''] = page.split(/^.*privileges -->\n/m)
const rows = table
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
const written = rows.flatMap(([, owners, privileges]) =>
  words(owners).flatMap((owner) => words(privileges).map((privilege) => `${owner}: ${privilege}`)),
)

test('each row says for what, and what is lost without', () => {
  expect(rows.length).toBeGreaterThan(15)
  for (const [, owners, privileges, purpose = '', loss = ''] of rows)
    expect({ owners, privileges, lengths: [purpose.length > 10, loss.length > 3] }).toMatchObject({
      lengths: [true, true],
    })
  expect(written).toEqual([...new Set(written)])
})

test(`each privilege has its row, and each row its privilege${notRun}`, async (context) => {
  context.skip('reason' in kubectl, notRun)
  const folders = await Promise.all([...applied, ...components].map(renderWith))
  const asked = new Set(folders.flat().flatMap(privilegesOf))
  expect(asked.size).toBeGreaterThan(30)
  expect({
    withoutRow: [...asked].filter((one) => !written.includes(one)).sort(),
    withoutPrivilege: written.filter((one) => !asked.has(one)).sort(),
  }).toEqual({ withoutRow: [], withoutPrivilege: [] })
})

test('a privilege of any kind is seen', () => {
  const container = {
    name: 'c',
    securityContext: {
      privileged: true,
      procMount: 'Unmasked',
      capabilities: { add: ['BPF'] },
      runAsUser: 0,
    },
    volumeMounts: [{ name: 'v' }],
    ports: [{ hostPort: 1 }],
  }
  const volumes = [{ name: 'v', hostPath: { path: '/etc' } }]
  const pod = { hostIPC: true, containers: [container], volumes, tolerations: [{ operator: 'Exists' }] }
  expect(privilegesOf({ kind: 'Pod', metadata: { name: 'p' }, spec: pod })).toEqual([
    'p: hostIPC: true',
    'p: token of the API server',
    'p: tolerations: Exists all',
    ...[
      'privileged: true',
      'procMount: Unmasked',
      'runAsUser: 0',
      'capability BPF',
      'hostPath /etc, write',
      'hostPort',
    ].map((privilege) => `p/c: ${privilege}`),
  ])
  const rules = [{ apiGroups: [''], verbs: ['get', 'list'], resources: ['pods'] }]
  expect(privilegesOf({ kind: 'ClusterRole', metadata: { name: 'r' }, rules })).toEqual([
    'r: get pods',
    'r: list pods',
  ])
})
