// Addresses of interfaces in memory: global ones, which the kernel does not give by itself.
import type { AddressKernel } from '../../src/kernel/api/addresses.ts'
import type { AddressFacts } from '../../src/kernel/api/facts.ts'
import { ipFamily, parseCidr } from '../../src/lib/ip.ts'
import type { OpOf, Side } from '../../src/ops/op.ts'
import type { FakeLinks } from './links.ts'
import { FakeRefusal } from './refusal.ts'

/** RT_SCOPE_LINK, linux/rtnetlink.h: the kernel's own for an address of fe80::/10. */
const scopeLink = 253

/** The addresses of both sides. */
export class FakeAddresses implements Pick<AddressKernel, 'addresses' | 'nodeAddresses'> {
  readonly #links: FakeLinks
  #addresses: (AddressFacts & { readonly side: Side })[] = []

  constructor(links: FakeLinks) {
    this.#links = links
  }

  addresses(side: Side, ifindex?: number): readonly AddressFacts[] {
    return this.#addresses.flatMap(({ side: its, ...facts }) =>
      its === side && (ifindex === undefined || facts.ifindex === ifindex) ? [facts] : [],
    )
  }

  nodeAddresses(families: readonly (4 | 6)[]): readonly AddressFacts[] {
    const all = this.addresses('host').filter(({ scope }) => scope !== scopeLink)
    return families.flatMap((family) =>
      all.filter(({ address }) => ipFamily(parseCidr(address).ip) === family),
    )
  }

  run({ do: kind, side, link, ifindex, address }: OpOf<'addr.add'>): void {
    const found = this.#links.link(side, ifindex ?? link)
    if (found === undefined) throw new FakeRefusal('ENODEV')
    const isThere = this.addresses(side, found.ifindex).some((one) => one.address === address)
    if (kind === 'addr.add') {
      if (isThere) throw new FakeRefusal('EEXIST')
      const scope = address.startsWith('fe80:') ? scopeLink : 0
      this.#addresses.push({ side, ifindex: found.ifindex, address, scope })
    } else {
      if (!isThere) throw new FakeRefusal('EADDRNOTAVAIL')
      this.#addresses = this.#addresses.filter(
        (one) => one.side !== side || one.ifindex !== found.ifindex || one.address !== address,
      )
    }
  }

  /** An interface has left its side: its addresses are gone. */
  leave(side: Side, ifindex: number): void {
    this.#addresses = this.#addresses.filter((one) => one.side !== side || one.ifindex !== ifindex)
  }
}
