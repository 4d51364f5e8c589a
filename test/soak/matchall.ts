/** Whether a machine's kernel can limit what comes from a pod behind a veth: by a filter that takes all, `matchall`. */
import type { Lab } from '../../hack/lab/lab.ts'

/** Tries it on a pair of its own. */
export async function hasMatchall(lab: Lab): Promise<boolean> {
  const { stdout } = await lab.exec([
    'sh',
    '-c',
    `ip link add try0 type veth peer name try1
    tc qdisc add dev try0 clsact
    tc filter add dev try0 ingress protocol all prio 1 matchall action pass 2>/dev/null && echo yes
    ip link del try0`,
  ])
  return stdout.trim() === 'yes'
}
