/**
 * Names of the host table's sets of steered ports: host ports whose frames flow filters take past the host's stack.
 * nftables/kept-off.ts has the chains that use the sets.
 */

/** The sets of addresses, protocols and ports that flow filters take. */
export const steered = { 4: 'steered4', 6: 'steered6' } as const

/** The keys that can come by a wire: a frame for the host's loopback address never does. */
export function steeredKeys<K extends { readonly address: string }>(keys: readonly K[]): K[] {
  return keys.filter(({ address }) => !address.startsWith('127.'))
}
