import { checkAddresses } from '../../cni/addresses.ts'
import { CniError, code } from '../../cni/error.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { requireCaller } from '../../lib/call/call.ts'
import type { Transaction } from '../../ops/apply.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { AttachConfig } from '../config/config.ts'
import { gatewaysOf, planAddressing } from '../plan/addressing.ts'
import { othersRoutes } from './routes.ts'

/**
 * Gives the addresses of IPAM's result to the interface that `look` finds now, and runs `finish` with the part of the journal that
 * follows from them. Without an interface (user space driver) the addresses are only reported. Returns the interface.
 */
export function addAddresses(
  ipam: Result | undefined,
  config: AttachConfig,
  look: () => LinkFacts | undefined,
  transaction: Transaction,
  finish: (done: Pick<AttachJournal, 'othersRoutes'>) => void,
): LinkFacts | undefined {
  let done: Pick<AttachJournal, 'othersRoutes'> = {}
  requireCaller()
  // IPAM may have taken seconds, in which the pod may have changed its interface.
  const link = look()
  if (ipam !== undefined) {
    checkAddresses("the IPAM plugin's result", ipam)
    const ips = ipam.ips ?? []
    if (ips.length === 0)
      throw new CniError(code.delegateFailed, 'Cannot use the IPAM result: it has no addresses')
    const routes = ipam.routes ?? []
    const addressing = { addresses: ips.map((ip) => ip.address), routes, ...gatewaysOf(ips) }
    if (link !== undefined) {
      requireIpv6Mtu(config, link, addressing.addresses)
      const ops = planAddressing(link, addressing, config.announce)
      const others = othersRoutes(ops, transaction.apply(ops))
      if (others.length > 0) done = { othersRoutes: others }
    }
  }
  finish(done)
  return link
}

// Below this MTU (RFC 8200 section 5) the kernel takes IPv6 from an interface, settings in /proc included: without this check
// the error would be about a file that is missing.
const minimumIpv6Mtu = 1280

function requireIpv6Mtu(config: AttachConfig, { mtu }: LinkFacts, addresses: readonly string[]): void {
  const address = addresses.find((one) => one.includes(':'))
  if (address === undefined || mtu >= minimumIpv6Mtu) return
  const whose = config.mtu === undefined ? "the interface's MTU" : 'mtu'
  const words = `Cannot use ${whose} ${mtu} with the IPv6 address "${address}": must be ${minimumIpv6Mtu} or more`
  throw new CniError(code.invalidConfig, words)
}
