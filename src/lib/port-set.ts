/** Sets of ports in the kernel's words (net.ipv4.ip_local_reserved_ports): `80,8080-8090`. */

/** Parses such a text; parts that are neither a port nor a range are ignored. */
export function parsePortSet(text: string): Set<number> {
  const ports = new Set<number>()
  for (const part of text.split(',')) {
    const [, from, to] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part) ?? []
    if (from === undefined) continue
    for (let port = Number(from); port <= Math.min(Number(to ?? from), 65535); port++) ports.add(port)
  }
  return ports
}

/** Prints ports as such a text: sorted, neighbours as one range; '' for none. */
export function formatPortSet(ports: Iterable<number>): string {
  const sorted = [...new Set(ports)].sort((a, b) => a - b)
  const parts: string[] = []
  for (let at = 0; at < sorted.length; at++) {
    const first = sorted[at]
    while (sorted[at + 1] === (sorted[at] ?? 0) + 1) at++
    parts.push(first === sorted[at] ? `${first}` : `${first}-${sorted[at]}`)
  }
  return parts.join(',')
}
