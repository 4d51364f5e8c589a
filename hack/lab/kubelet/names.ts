// The plugins and the names of resources that kubelet takes, and its words against all others. Imports this folder.
import type { PluginInfo } from './wire.ts'

/** An extended resource: a domain that is not Kubernetes' own and begins with no name of a quota, and a name of at most 63 characters. */
export function isExtendedResource(resource: string): boolean {
  const [, domain = '', name = ''] = /^([^/]+)\/([^/]+)$/.exec(resource) ?? []
  return (
    /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(domain) &&
    !domain.startsWith('requests.') &&
    !domain.endsWith('kubernetes.io') &&
    /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(name)
  )
}

/** kubelet's words against a name. */
export function invalidName(resource: string): string {
  return `the ResourceName "${resource}" is invalid`
}

/** kubelet's words against the plugin that its watcher has found at `path`; undefined: it takes the plugin. */
export function wordsAgainst(info: PluginInfo, path: string): string | undefined {
  const { type, name, supported_versions: versions } = info
  if (type !== 'DevicePlugin')
    return `RegisterPlugin error -- no handler registered for plugin type: ${type} at socket ${path}`
  const failed = 'RegisterPlugin error -- plugin validation failed with err:'
  if (!versions.includes('v1beta1'))
    return `${failed} manager version, v1beta1, is not among plugin supported versions [${versions.join(' ')}]`
  return isExtendedResource(name)
    ? undefined
    : `${failed} invalid name of device plugin socket: ${invalidName(name)}`
}
