/** The pod's addresses by prevResult, compared with the pod: a mapping to another address would lead to somebody else. */
import { CniError, code } from '../../cni/error.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { parseCidr } from '../../lib/ip.ts'
import type { PortKey } from '../../ops/op.ts'
import type { OffloadFacts } from './facts.ts'
import { isLoopback } from './keys.ts'

/**
 * Makes sure that every address that ports are mapped to is one of the pod's interface, as the kernel has it. IPv6 addresses
 * that are still tentative count. An address that another host was found to have (dadfailed) does not. The kernel knows no
 * address of a VF that a program drives, so there only loopback addresses and those of the node are refused.
 * @throws CniError 7 with address and interface
 */
export function requirePodAddresses(
  kernel: Kernel,
  { port, ownAddresses }: Pick<OffloadFacts, 'port' | 'ownAddresses'>,
  keys: readonly PortKey[],
): void {
  const wanted = new Set(keys.map(({ toAddress }) => toAddress))
  for (const address of wanted) {
    if (isLoopback(address))
      throw refused(address, 'it is a loopback address, which every namespace has for itself')
    if (ownAddresses.has(address)) throw refused(address, 'it is an address of the node')
  }
  const { link } = port
  if (link === undefined) return
  const there = kernel.addresses('pod', link.ifindex).filter(({ duplicate }) => duplicate !== true)
  const has = new Set<string>(there.map(({ address }) => parseCidr(address).ip))
  for (const address of wanted) {
    if (has.has(address)) continue
    const list = has.size === 0 ? 'none' : [...has].join(', ')
    throw refused(address, `interface "${port.name}" in the pod does not have it; it has ${list}`)
  }
}

function refused(address: string, reason: string): CniError {
  return new CniError(code.invalidConfig, `Cannot map ports to address ${address} of prevResult: ${reason}`)
}
