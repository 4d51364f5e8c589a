// Answers of a kernel about the host's interfaces and addresses, from lists of them.
import type { AddressFacts, LinkFacts } from '../../src/kernel/api/facts.ts'
import { ipFamily, parseCidr } from '../../src/lib/ip.ts'

/** RT_SCOPE_LINK, linux/rtnetlink.h. */
const scopeLink = 253

/** Answers about these interfaces. */
export function linkAnswers(links: readonly object[]) {
  const all = links as readonly LinkFacts[]
  return {
    link: (_side: string, by: number | string) =>
      all.find(({ ifindex, name }) => ifindex === by || name === by),
    links: () => all,
    linksAt: (ifindexes: readonly number[]) => all.filter(({ ifindex }) => ifindexes.includes(ifindex)),
    eswitchPorts: () => all,
    linksOfKind: (wanted: string) => all.filter(({ kind }) => kind === wanted),
  }
}

/** Answers about these addresses of the host. */
export function addressAnswers(addresses: readonly AddressFacts[]) {
  return {
    addresses: () => addresses,
    nodeAddresses: (families: readonly (4 | 6)[]) =>
      addresses.filter(
        ({ address, scope }) => scope !== scopeLink && families.includes(ipFamily(parseCidr(address).ip)),
      ),
  }
}
