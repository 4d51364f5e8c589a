// A look at what pods of a runtime leave on a node. In: a Lab. Out: lines.
import type { Lab } from '../lab.ts'

/** Things of pods that are still on the node: namespaces, addresses, records, results, interfaces, mapped ports, limits. */
export async function leftovers(lab: Lab): Promise<string[]> {
  const out = await lab.must(`
    ls /run/netns | sed -n 's/^cni-/namespace &/p'
    find /var/lib/cni/networks -type f -name '[0-9]*' | sed 's/^/address /'
    find /var/lib/cni/vf-flower -type f ! -path '*/lock/*' | sed 's/^/record /'
    find /var/lib/cni/results -type f | sed 's/^/result /'
    ip -br link | sed -n -E 's/^(veth|vfr)/interface &/p'
    nft list ruleset | grep -E '(dport|[tu][cd]p) .*:' | sed 's/^/rule /'
    tc qdisc show | grep -E 'tbf|clsact' | sed 's/^/qdisc /'`)
  return out.split('\n').filter(Boolean)
}
