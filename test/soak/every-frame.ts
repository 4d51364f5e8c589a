/**
 * Tells if a machine's kernel can limit frames from a pod behind a veth: by a filter that leads every frame to an ifb.
 */
import type { Lab } from '../../hack/lab/lab.ts'

/** Tries each kind of filter that vf-offload tries, on a pair of its own. */
export async function canLeadToIfb(lab: Lab): Promise<boolean> {
  const { stdout } = await lab.exec([
    'sh',
    '-c',
    `ip link add try0 type veth peer name try1
    tc qdisc add dev try0 clsact
    for filter in matchall flower 'u32 match u32 0 0' basic; do
      tc filter add dev try0 ingress protocol all prio 1 $filter action mirred egress redirect dev try1 && break
    done 2>/dev/null
    tc filter show dev try0 ingress | grep -o mirred
    ip link del try0`,
  ])
  return stdout.trim() === 'mirred'
}
