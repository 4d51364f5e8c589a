import { readText } from '../../sys/files.ts'
import type { ProbeKernel } from '../api/probe.ts'
import type { VerifyKernel } from '../api/verify.ts'
import { mustFindLink } from '../link/links.ts'
import { guard, inspect, nftables, tc } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { runNft } from './run-nft.ts'

/** Questions about abilities. */
export function probeKernel({ route, generic, inside }: OpenSides): ProbeKernel {
  return {
    probe: () => {
      mustFindLink(route('host'), 'lo')
    },
    missingNeeds: (wanted) => inspect().missingNeeds(wanted, runNft),
    tcOffload: (ifindex) => inspect().tcOffloadOf(generic(), ifindex),
    sysctl: (side, key) => inside(side, () => readText(`/proc/sys/${key}`)?.trim()),
  }
}

/** The part of the kernel that CHECK asks. */
export function verifyKernel(sides: OpenSides): VerifyKernel {
  const { route, openRoute, socket, nft, inside, link } = sides
  const reach = {
    ...{ socket: route, open: openRoute, nft, inside, link },
    netfilter: () => socket('host', nftables().NETLINK_NETFILTER),
    guard: (ifindex: number, isBridge: boolean) => guard().guardDifferences(route('host'), ifindex, isBridge),
    rates: () => ({ ...tc().rateKernel(sides), ...tc().rateLooks(sides) }),
  }
  return { verify: (done) => inspect().verify(reach, done) }
}
