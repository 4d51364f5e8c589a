/** Names of resources, by the rules of kubelet. A name that kubelet refuses is refused here, before a pod waits for it. */

/** The allowed form of `resourceName`, as a message says it after "must be". */
export const allowedName = '1 to 63 letters, digits, - and _, a letter or digit at both ends'
/** The allowed form of a prefix, as a message says it after "must be". */
export const allowedPrefix =
  'a DNS name in lower case such as example.com, at most 244 characters, without kubernetes.io and without requests. in front'

/** The form of `resourceName`: that of the SR-IOV network device plugin, and both ends as a qualified name of Kubernetes has them. */
export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/

/** The form of a prefix: a DNS subdomain (RFC 1123), as a qualified name of Kubernetes has it. */
export const prefixPattern = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/**
 * True for a prefix of an extended resource: kubelet keeps `kubernetes.io` for itself, and quotas put `requests.` in front, which
 * leaves 244 of 253 characters.
 */
export function isPrefix(text: string): boolean {
  if (text.length > 244 || text.endsWith('kubernetes.io') || text.startsWith('requests.')) return false
  return prefixPattern.test(text)
}

/** Name of the environment variable with the devices of a resource: `PCIDEVICE_INTEL_COM_NIC`. */
export function environmentName(prefix: string, name: string): string {
  return `PCIDEVICE_${prefix}_${name}`.toUpperCase().replaceAll('.', '_')
}
