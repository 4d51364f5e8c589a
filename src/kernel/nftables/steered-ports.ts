/** Names of what the host's table knows of ports that filters take past its stack; what it does with them is in nftables/kept-off.ts. */

/** Addresses, protocols and ports that filters take. */
export const steered = { 4: 'steered4', 6: 'steered6' } as const

/** Of a reservation those that come by the wire: what is for the host's loopback address never does. */
export function steeredKeys<K extends { readonly address: string }>(keys: readonly K[]): K[] {
  return keys.filter(({ address }) => !address.startsWith('127.'))
}
