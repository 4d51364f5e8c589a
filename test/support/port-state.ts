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
  // A process is what takes time in the guest: the shell does what it can by itself.
  return `
    tc qdisc show | while read -r _ kind handle _ dev rest; do
      case $kind:$dev in
        clsact:*|ingress:*) echo "$kind $dev"; tc filter show dev $dev ingress;;
        tbf:veth*) ;;
        tbf:*) echo "$kind $handle $dev $rest";;
      esac
    done | grep -vE '^ *index|installed|used_hw_stats|^\\s*$'
    ip -br link show type ifb
    tc actions list action police | grep 'police 0x'
    ip link show dev ${pf} | grep ' vf '
    devlink port function rate show
    nft list ruleset
    find /var/lib/cni/vf-flower/offload /run/vf-flower -type f ! -name lock ! -name '*-lock*' ! -name '.*.tmp' 2>/dev/null
    read -r localnet </proc/sys/net/ipv4/conf/${pf}/route_localnet; echo "route_localnet $localnet"
    echo '${PODS}'
    tc qdisc show | grep 'tbf.* dev veth'
    for pod in ${pods.map(({ name }) => name).join(' ')}; do
      nsenter --net=/run/netns/$pod sh -c '
        for family in -4 -6; do printf "rule\\nroute show table all\\n" | ip $family -b -; done
        nft list ruleset
        tc qdisc show | grep -E "clsact|tbf"; ip -br link | cut -d" " -f1' | sed 's/ expires [0-9]*sec//'
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
