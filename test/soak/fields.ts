/** Devices for the property test: one VF and two software interfaces a lane. */
import type { Lab } from '../../hack/lab/lab.ts'
import type { Topology } from '../support/topology.ts'
import { type Field, softwareOf } from './property.ts'
import { placesOf } from './run.ts'

/** Makes the software interfaces of `count` lanes. */
export async function makeFields(lab: Lab, topology: Topology, count: number): Promise<Field[]> {
  const places = placesOf(topology, count, 1)
  const software = places.map((_, lane) => softwareOf(lane))
  await lab.must(
    software
      .map(
        ({ dummy, veth, peer }) =>
          `ip link add ${dummy} type dummy && ip link add ${veth} type veth peer name ${peer}`,
      )
      .join(' && '),
  )
  return places.map((place, lane) => {
    const { netdev, mac } = topology.vfs[lane] ?? {}
    if (!netdev || !mac) throw new Error(`VF ${lane} has no interface`)
    const { dummy, veth } = softwareOf(lane)
    return { place: { ...place, devices: [dummy, veth] }, netdev, mac }
  })
}

/** Takes the software interfaces away. */
export async function removeFields(lab: Lab, fields: readonly Field[]): Promise<void> {
  const lines = fields.map((_, lane) => {
    const { dummy, veth } = softwareOf(lane)
    return `ip link del ${dummy}; ip link del ${veth}`
  })
  await lab.must(lines.join('\n'))
}
