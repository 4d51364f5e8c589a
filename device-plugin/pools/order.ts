/** The order of devices: the same at each call, on each node, whatever the locale is. */

/** Compares ids by their characters' numbers. PCI addresses of one domain come out in the order of the bus. */
export function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return compareTexts(left.id, right.id)
}

/** Compares texts by their characters' numbers: below 0, 0 or above 0. */
export function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
