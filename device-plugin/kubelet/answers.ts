/** Offers and accesses as messages of the device plugin API. Pure. */
import { createHash } from 'node:crypto'
import type { ContainerAccess } from '../container/access.ts'
import type { OfferedDevice } from '../front-end.ts'
import type { ContainerAllocateResponse, ListAndWatchResponse } from './types.ts'

/** Longest id of a device in the API, in characters. */
const MAX_ID = 63
/** Longest name part of a Kubernetes annotation. */
const MAX_ANNOTATION = 63
/** Prefix of annotations that container runtimes read CDI names from. */
const CDI_ANNOTATION = 'cdi.k8s.io'

/** The list for kubelet. Devices whose id is too long for the API are left out. */
export function listOf(devices: readonly OfferedDevice[]): ListAndWatchResponse {
  return {
    devices: devices
      .filter(({ id }) => id.length <= MAX_ID)
      .map(({ id, health, numaNode }) => ({
        ID: id,
        health: health.healthy ? 'Healthy' : 'Unhealthy',
        ...(numaNode === undefined ? {} : { topology: { nodes: [{ ID: numaNode }] } }),
      })),
  }
}

/** Ids of devices that {@link listOf} leaves out. */
export function tooLongIds(devices: readonly OfferedDevice[]): readonly string[] {
  return devices.map(({ id }) => id).filter((id) => id.length > MAX_ID)
}

/** True if kubelet would see the same devices. Reasons of bad health are not for kubelet. */
export function isSameList(left: readonly OfferedDevice[], right: readonly OfferedDevice[]): boolean {
  return (
    left.length === right.length &&
    left.every((one, index) => {
      const other = right[index]
      return (
        one.id === other?.id && one.health.healthy === other.health.healthy && one.numaNode === other.numaNode
      )
    })
  )
}

/** The answer for one container. CDI names go into the field, or into an annotation if `asAnnotation`. */
export function containerAnswer(
  { env, deviceNodes, mounts, cdiNames }: ContainerAccess,
  resource: string,
  asAnnotation: boolean,
): ContainerAllocateResponse {
  const isAnnotated = asAnnotation && cdiNames.length > 0
  return {
    envs: env,
    mounts: mounts.map((one) => ({
      container_path: one.containerPath,
      host_path: one.hostPath,
      read_only: one.readOnly,
    })),
    devices: deviceNodes.map((one) => ({
      container_path: one.containerPath,
      host_path: one.hostPath,
      permissions: one.permissions,
    })),
    annotations: isAnnotated ? { [annotationOf(resource)]: cdiNames.join(',') } : {},
    cdi_devices: isAnnotated ? [] : cdiNames.map((name) => ({ name })),
  }
}

/** A key for each resource: of two equal keys in one container, kubelet keeps one. */
function annotationOf(resource: string): string {
  const name = resource.replaceAll('/', '_')
  return `${CDI_ANNOTATION}/${name.length <= MAX_ANNOTATION ? name : shortened(name, MAX_ANNOTATION)}`
}

/** A text of at most `length` characters, which begins as `text` and ends in a part of its hash: different for different texts. */
export function shortened(text: string, length: number): string {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 8)
  return `${text.slice(0, length - hash.length - 1)}-${hash}`
}
