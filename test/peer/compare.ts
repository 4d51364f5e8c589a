// Comparison of two device plugins on one node. In: what was observed of each. Out: the differences, as paths with both values.
import type { Observed, Resource } from './observed.ts'

/** One difference. A value that one side does not have is undefined. */
export interface Difference {
  /** `resources/intel.com/vfs/devices/0000:3a:10.0`, ... */
  readonly path: string
  readonly peer: unknown
  readonly ours: unknown
}

/** All differences that a pod, kubelet or Multus could notice, by path. Orders count where they can be noticed. */
export function differences(peer: Observed, ours: Observed): readonly Difference[] {
  const [left, right] = [flat(peer), flat(ours)]
  return [...new Set([...left.keys(), ...right.keys()])]
    .sort()
    .filter((path) => JSON.stringify(left.get(path)) !== JSON.stringify(right.get(path)))
    .map((path) => ({ path, peer: left.get(path), ours: right.get(path) }))
}

function flat(side: Observed): Map<string, unknown> {
  const found = new Map<string, unknown>()
  const isRefused = side.exit !== null
  found.set('ends by itself', isRefused)
  found.set('exit code', isRefused ? side.exit : side.exitAtTerm)
  for (const [name, resource] of Object.entries(side.resources)) {
    const place = `resources/${name}`
    found.set(`${place}/way`, resource.way)
    for (const { id, ...device } of resource.devices) found.set(`${place}/devices/${id}`, device)
    for (const [ids, answer] of Object.entries(allocationsOf(resource)))
      for (const [part, value] of Object.entries(answer)) found.set(`${place}/${ids}/${part}`, value)
  }
  for (const [file, content] of Object.entries(side.deviceInfo)) {
    for (const [path, value] of leaves(content)) found.set(`device-info/${file}${path}`, value)
  }
  for (const [name, nodes] of Object.entries(side.cdi)) found.set(`cdi/${name}`, sorted(nodes))
  return found
}

/** Answers by part. Device nodes are a set, and so are annotations and the names of CDI devices. */
function allocationsOf({ allocations }: Resource): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(allocations).map(([ids, answer]) => {
      if ('error' in answer) return [ids, { refused: true }]
      const variables = Object.entries(answer.envs).map(([name, value]) => [`env/${name}`, value])
      const nodes = answer.devices.map((one) => [
        `device/${one.container_path}`,
        `${one.host_path} ${one.permissions}`,
      ])
      const cdi = [
        ...answer.cdi_devices.map(({ name }) => name),
        ...Object.values(answer.annotations).flatMap((names) => names.split(',')),
      ]
      return [
        ids,
        {
          ...Object.fromEntries([...variables, ...nodes]),
          mounts: answer.mounts,
          'cdi names': cdi.sort(),
          'cdi names are': answer.cdi_devices.length > 0 ? 'cdi_devices' : 'annotations or none',
        },
      ]
    }),
  )
}

function leaves(value: unknown, path = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${path}/${key}`))
}

function sorted(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)))
}
