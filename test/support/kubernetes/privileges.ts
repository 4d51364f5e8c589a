// The privileges that rendered manifests ask for, in words. In: objects. Out: a line for each: the object or container, and the privilege.
import { isObject, type JsonObject, type JsonValue } from '../../../src/lib/json.ts'
import { at, containersOf, list, podSpec } from './manifests.ts'

/** All privileges of an object. */
export function privilegesOf(one: JsonObject): readonly string[] {
  const name = String(at(one, 'metadata', 'name'))
  const spec = podSpec(one)
  const own = [...ofNamespace(one), ...ofRoles(one), ...(spec === undefined ? [] : ofPod(spec))]
  const inside =
    spec === undefined ? [] : containersOf(spec).flatMap((container) => ofContainer(container, spec, name))
  return [...own.map((privilege) => `${name}: ${privilege}`), ...inside]
}

function ofNamespace(one: JsonObject): readonly string[] {
  const level = at(one, 'metadata', 'labels', 'pod-security.kubernetes.io/enforce')
  return level === undefined ? [] : [`pod-security: ${level}`]
}

function ofRoles(one: JsonObject): readonly string[] {
  const rules = list(one, 'rules').flatMap(({ verbs, resources, nonResourceURLs }) => {
    const things = [resources, nonResourceURLs].flatMap((names) => (Array.isArray(names) ? names : []))
    return (Array.isArray(verbs) ? verbs : []).flatMap((verb) => things.map((thing) => `${verb} ${thing}`))
  })
  const role = at(one, 'roleRef', 'name')
  return role === undefined ? rules : [...rules, `role ${role}`]
}

function ofPod(spec: JsonObject): readonly string[] {
  const flags = ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace'].filter(
    (key) => spec[key] === true,
  )
  return [
    ...flags.map((key) => `${key}: true`),
    ...(spec.automountServiceAccountToken === false ? [] : ['token of the API server']),
    ...(spec.priorityClassName === undefined ? [] : [`priorityClassName: ${spec.priorityClassName}`]),
    ...list(spec, 'tolerations').map(({ operator, key = 'all' }) => `tolerations: ${operator} ${key}`),
  ]
}

/** Settings of a security context that give nothing. */
const harmless: Readonly<Record<string, (value: JsonValue) => boolean>> = {
  privileged: (value) => value === false,
  allowPrivilegeEscalation: (value) => value === false,
  readOnlyRootFilesystem: () => true,
  runAsNonRoot: () => true,
  runAsUser: (value) => value !== 0,
  seccompProfile: (value) => at(value, 'type') === 'RuntimeDefault',
}

function ofContainer(container: JsonObject, spec: JsonObject, name: string): readonly string[] {
  const context = isObject(container.securityContext) ? container.securityContext : {}
  const { capabilities, ...others } = context
  const added = at(capabilities, 'add')
  const all = [
    ...Object.entries(others).flatMap(([key, value = null]) =>
      harmless[key]?.(value) === true ? [] : [`${key}: ${plain(value)}`],
    ),
    ...(Array.isArray(added) ? added : []).map((one) => `capability ${one}`),
    ...mountsOf(container, spec),
    ...list(container, 'ports').flatMap(({ hostPort }) => (hostPort === undefined ? [] : ['hostPort'])),
  ]
  return all.map((privilege) => `${name}/${container.name}: ${privilege}`)
}

function plain(value: JsonValue): string {
  return isObject(value) ? Object.values(value).map(String).join(' ') : String(value)
}

function mountsOf(container: JsonObject, spec: JsonObject): readonly string[] {
  return list(container, 'volumeMounts').flatMap(({ name, readOnly }) => {
    const path = at(
      list(spec, 'volumes').find((volume) => volume.name === name),
      'hostPath',
      'path',
    )
    return path === undefined ? [] : [`hostPath ${path}, ${readOnly === true ? 'read' : 'write'}`]
  })
}
