// The manifests before a real API server that is as strict as one can be: what it refuses, warns of, or drops is a mistake of theirs. No
// controller and no kubelet runs. In: a server. Out: lines for people, by `say`.
import { SimulatorError } from '../api.ts'
import type { ApiObject, Cluster } from './cluster.ts'
import { DEPLOY, type Kubectl, makeKind } from './kubectl.ts'
import { KIND } from './multus.ts'
import type { Say } from './run.ts'

/** Folders that are applied as they are, in an order in which an operator may apply them. */
const FOLDERS = ['overlays/service', 'overlays/daemonset', 'overlays/remove', 'examples'] as const
const COMPONENTS = ['restore', 'openshift'] as const
/** Accounts of pods, in the namespace of the same name as the overlay's. */
const ACCOUNTS = ['vf-flower-node', 'vf-device-plugin'] as const
const NAMESPACE = 'vf-flower'
/** Kinds of pods' makers, each with the account of its controller. */
const CONTROLLERS = { DaemonSet: 'daemon-set-controller', Deployment: 'replicaset-controller' } as const
/** An account in a namespace without labels. */
const ANYBODY = {
  ...{ apiVersion: 'v1', kind: 'ServiceAccount' },
  metadata: { name: 'anybody', namespace: 'default' },
}
/** The role of OpenShift for pods with all privileges. */
const OPENSHIFT_ROLE: ApiObject = {
  ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' },
  metadata: { name: 'system:openshift:scc:privileged' },
  rules: [
    {
      ...{ apiGroups: ['security.openshift.io'], resources: ['securitycontextconstraints'] },
      ...{ resourceNames: ['privileged'], verbs: ['use'] },
    },
  ],
}

/** Applies everything. `write` makes a file in the node. @throws SimulatorError with the server's words */
export async function judgeManifests(
  cluster: Cluster,
  kubectl: Kubectl,
  lab: { must(script: string): Promise<string>; writeFile(path: string, text: string): Promise<void> },
  say: Say,
): Promise<void> {
  say(`API server: ${cluster.versions.join(', ')}`)
  await makeKind(kubectl, KIND)
  await kubectl.must(['apply', '-f', '-'], ANYBODY)
  for (const folder of FOLDERS) {
    await kubectl.apply(`${DEPLOY}/${folder}`)
    say(`${folder}: taken without a warning; ${await pods(kubectl)} may make their pods`)
  }
  for (const account of ACCOUNTS) await expectNothing(kubectl, account)
  say(`the accounts ${ACCOUNTS.join(' and ')} may read, change and make nothing`)
  await lab.must(`cp -r '${DEPLOY}' /run/deploy`)
  for (const component of COMPONENTS) {
    const folder = `/run/deploy/overlays/${component}`
    const lines = ['resources: [../service]', `components: [../../components/${component}]`]
    await lab.writeFile(
      `${folder}/kustomization.yaml`,
      `apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n${lines.join('\n')}\n`,
    )
    await kubectl.apply(folder)
    say(`components/${component}: taken without a warning; ${await pods(kubectl)} may make their pods`)
  }
  await kubectl.must(['apply', '-f', '-'], OPENSHIFT_ROLE)
  for (const account of ACCOUNTS)
    if (!(await mayUse(kubectl, account)))
      throw new SimulatorError(`${account} may not use the security context constraints "privileged"`)
  say('with the role of OpenShift both accounts may use the security context constraints "privileged"')
  await kubectl.must(['delete', '-k', `${DEPLOY}/examples`, '--wait=false'])
}

/** Has the server judge a pod of each template, as its controller would make it. Returns their names. @throws SimulatorError */
async function pods(kubectl: Kubectl): Promise<string> {
  const { items } = (await kubectl.object(['daemonsets,deployments', '-A'])) as { items: readonly Maker[] }
  for (const { kind, metadata, spec } of items) {
    const controller = `system:serviceaccount:kube-system:${CONTROLLERS[kind]}`
    const pod = (namespace: string): ApiObject => ({
      ...{ apiVersion: 'v1', kind: 'Pod', spec: spec.template.spec },
      metadata: { ...spec.template.metadata, namespace, name: metadata.name },
    })
    const make = ['create', '--dry-run=server', '--warnings-as-errors', `--as=${controller}`, '-f', '-']
    await kubectl.must(make, pod(metadata.namespace))
    // The same pod elsewhere: else nothing would show that anybody judges.
    const elsewhere = {
      ...pod('default'),
      spec: { ...spec.template.spec, serviceAccountName: ANYBODY.metadata.name },
    }
    const { code, stderr } = await kubectl.run(make, elsewhere)
    if (code === 0 || !stderr.includes('violates PodSecurity'))
      throw new SimulatorError(`the pod of ${metadata.name} is taken in any namespace: ${stderr}`)
  }
  return items.map(({ kind, metadata }) => `${kind} ${metadata.name}`).join(', ')
}

interface Maker {
  readonly kind: keyof typeof CONTROLLERS
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } }
}

/** True if an account may use the constraints of {@link OPENSHIFT_ROLE}: a kind that this server has not, so kubectl can't name it. */
async function mayUse(kubectl: Kubectl, account: string): Promise<boolean> {
  const review = {
    ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview' },
    spec: {
      user: `system:serviceaccount:${NAMESPACE}:${account}`,
      resourceAttributes: {
        ...{ namespace: NAMESPACE, verb: 'use', group: 'security.openshift.io' },
        ...{ resource: 'securitycontextconstraints', name: 'privileged' },
      },
    },
  }
  const answer = JSON.parse(await kubectl.must(['create', '-f', '-', '-o', 'json'], review)) as {
    readonly status: { readonly allowed: boolean }
  }
  return answer.status.allowed
}

/** An account has the rights of everybody who is known, and no other: these are about itself. @throws SimulatorError */
async function expectNothing(kubectl: Kubectl, account: string): Promise<void> {
  const as = `--as=system:serviceaccount:${NAMESPACE}:${account}`
  const list = await kubectl.must(['auth', 'can-i', '--list', '--no-headers', '-n', NAMESPACE, as])
  const others = list.split('\n').filter((line) => line.trim() !== '' && !/^(\s|selfsubject)/.test(line))
  if (others.length > 0) throw new SimulatorError(`${account} may: ${others.join('; ')}`)
}
