/** Nearest misses of a pool without devices: the devices that fail the fewest conditions, by the conditions that they fail. */
import { grouped } from '../../src/lib/grouped.ts'
import { judge } from '../pools/judge.ts'
import type { Assignment } from '../pools/pool.ts'

/** Sentences for one pool, the most frequent miss first. */
const told = 3

/** Sentences such as `12 devices failed at drivers: has igbvf, wanted vfio-pci`. `at`: place of the pool in the config. */
export function missesOf({ pools, snapshot, verdicts }: Assignment, at: number): readonly string[] {
  const config = pools[at]?.config
  if (config === undefined) return []
  const judged = snapshot.devices
    .map((device) => ({ id: device.id, ...judge(config, device, snapshot) }))
    .filter(({ isOfType }) => isOfType)
  if (judged.length === 0) return [`the node has no device of deviceType ${config.deviceType}`]
  const least = judged.reduce((fewest, { failed }) => Math.min(fewest, failed.length), Infinity)
  const nearest = judged.filter(({ failed }) => failed.length === least)
  if (least === 0) {
    const owners = new Set(nearest.map(({ id }) => verdicts.get(id)?.resource))
    return [`${countOf(nearest.length)} would match, but earlier pools have them: ${[...owners].join(', ')}`]
  }
  const groups = [...grouped(nearest, ({ failed }) => failed.map(({ key }) => key).join(' ')).values()]
  return groups
    .sort((left, right) => right.length - left.length)
    .slice(0, told)
    .map((group) => {
      const sentences = new Set(group.map(({ failed }) => failed.map(({ reason }) => reason).join('; and ')))
      const [first] = sentences
      return `${countOf(group.length)} failed at ${first}${sentences.size > 1 ? `, as ${group[0]?.id} did` : ''}`
    })
}

function countOf(count: number): string {
  return count === 1 ? '1 device' : `${count} devices`
}
