/** Devices for the property test: two software interfaces a lane, and a VF where there are some. */

import type { Topology } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { type Field, softwareOf } from './property.ts'
import { placesOf } from './run.ts'

/** Makes the software interfaces of `count` lanes. */
export async function makeFields(
  lab: Lab,
  topology: Pick<Topology, 'pf' | 'vfs'> | undefined,
  count: number,
): Promise<Field[]> {
  const places = placesOf(topology ?? { pf: '', vfs: [] }, count, 1)
  const software = places.map((_, lane) => softwareOf(lane))
  await lab.must(
    software
      .map(
        ({ ifb, veth, vethMac, peer }) =>
          `ip link add ${ifb} type ifb && ip link add ${veth} address ${vethMac} type veth peer name ${peer}`,
      )
      .join(' && '),
  )
  return places.map((place, lane) => {
    const { ifb, veth } = softwareOf(lane)
    const field = { place: { ...place, devices: [ifb, veth] } }
    if (topology === undefined) return field
    const { netdev, mac } = topology.vfs[lane] ?? {}
    if (!netdev || !mac) throw new Error(`VF ${lane} has no interface`)
    return { ...field, vf: { netdev, mac } }
  })
}

/** Takes the software interfaces away. */
export async function removeFields(lab: Lab, fields: readonly Field[]): Promise<void> {
  const lines = fields.map((_, lane) => {
    const { ifb, veth } = softwareOf(lane)
    return `ip link del ${ifb}; ip link del ${veth}`
  })
  await lab.must(lines.join('\n'))
}
