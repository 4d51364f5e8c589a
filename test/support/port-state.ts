// What port mappings and limits change on a node and in pods, as text from the node's own tools. In: names. Out: a script
// for the lab, and the differences of two of its outputs.

/** Marks the part of {@link stateScript}'s output that dies with the pods. */
export const PODS = '== pods'

/**
 * Prints all that port mappings and limits change on the node and in pods, and what stands beside it: filters, tables,
 * records, rules, routes, shapers, policers, rates of VFs and their ports. Much less than a snapshot of the host, in much
 * less time. What a process left that was killed while it wrote a record is cleared away after ten minutes only.
 */
export function stateScript(pf: string, pods: readonly { readonly name: string }[]): string {
  return `
    tc qdisc show | grep -E 'clsact|ingress'
    for dev in $(tc qdisc show | grep -E 'clsact|ingress' | sed 's/.* dev \\([^ ]*\\) .*/\\1/'); do
      tc filter show dev $dev ingress | grep -vE '^ *index|installed|used_hw_stats|^\\s*$'
    done
    tc qdisc show | grep tbf | grep -v ' dev veth'
    ip -br link show type ifb
    tc actions list action police | grep 'police 0x'
    ip link show dev ${pf} | grep ' vf '
    devlink port function rate show
    nft list ruleset
    find /var/lib/cni/vf-flower/offload /run/vf-flower -type f ! -name lock ! -name '*-lock*' ! -name '.*.tmp' 2>/dev/null
    cat /proc/sys/net/ipv4/conf/${pf}/route_localnet
    echo '${PODS}'
    tc qdisc show | grep 'tbf.* dev veth'
    for pod in ${pods.map(({ name }) => name).join(' ')}; do
      ip netns exec $pod sh -c 'ip -4 rule; ip -6 rule; nft list ruleset
        tc qdisc show | grep -E "clsact|tbf"; ip -br link | cut -d" " -f1
        ip -4 route show table all; ip -6 route show table all' | sed 's/ expires [0-9]*sec//'
    done
    true`
}

/** Lines of two outputs of {@link stateScript} that differ. */
export function stateDifferences(before: string, now: string): string[] {
  const [old, live] = [before.split('\n'), now.split('\n')]
  return [
    ...live.filter((line) => !old.includes(line)).map((line) => `+${line}`),
    ...old.filter((line) => !live.includes(line)).map((line) => `-${line}`),
  ]
}
