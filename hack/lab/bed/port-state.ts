// The changes of port mappings and limits on a node and in pods, as text from the node's own tools. In: names. Out: a script
// for the lab, and the differences of two of its outputs.

/** Marks the part of {@link stateScript}'s output that dies with the pods. */
export const PODS = '== pods'

/**
 * Prints everything that port mappings and limits change on the node and in pods, and its neighbourhood: filters, tables, records,
 * policy rules, routes, shapers, policers, rates of VFs and their ports. This is much less than a snapshot of the host, and much faster:
 * few processes. {@link stateDifferences} ignores irrelevant lines: the temporary file of a process that was killed while writing a
 * record stays for ten minutes, and the note that a PCI function was in a pod stays for good.
 */
export function stateScript(pf: string, pods: readonly { readonly name: string }[]): string {
  return `
    shapers=
    filters='actions list action police'
    while read -r line; do
      case $line in
        *tbf*' dev veth'*) shapers="$shapers
$line" ;;
        *clsact*|*ingress*)
          echo "$line"
          device=\${line#* dev }; filters="$filters
filter show dev \${device%% *} ingress" ;;
        *tbf*) echo "$line" ;;
      esac
    done <<END
$(tc qdisc show)
END
    echo '= filters'
    tc -force -b - <<END
$filters
END
    echo '= links'
    ip -force -b - <<END
link show dev ${pf}
link show type ifb
END
    echo '= rest'
    devlink port function rate show
    nft -s list ruleset
    find /var/lib/cni/vf-flower/offload /run/vf-flower -type f ! -name lock ! -name attachments ! -name '*-lock*' ! -name 'pod-had *' ! -name '.*.tmp' 2>/dev/null
    read -r localnet </proc/sys/net/ipv4/conf/${pf}/route_localnet; echo "route_localnet $localnet"
    read -r reserved </proc/sys/net/ipv4/ip_local_reserved_ports; echo "ip_local_reserved_ports $reserved"
    echo '${PODS}'
    echo "$shapers"
    for pod in ${pods.map(({ name }) => name).join(' ')}; do
      nsenter --net=/run/netns/$pod sh -s <<'END'
      echo '= rest'
      ip -force -b - <<'LINES'
rule show
route show table all
LINES
      ip -6 rule show
      nft -s list ruleset
      echo '= qdiscs of a pod'
      tc qdisc show
      echo '= links of a pod'
      ip -o link show
END
    done
    true`
}

/** The part of a line that is compared, by the section that it stands in; undefined for nothing. */
const comparedOf: Readonly<Record<string, (line: string) => string | undefined>> = {
  filters: (line) => (/^ *index|installed|used_hw_stats|^total acts/.test(line) ? undefined : line),
  links: (line) => (/ vf |ifb/.test(line) ? line.replace(/^\d+: /, '') : undefined),
  'qdiscs of a pod': (line) => (/clsact|tbf/.test(line) ? line : undefined),
  'links of a pod': (line) => /^\d+: ([^:@]+)/.exec(line)?.[1],
  rest: (line) => line.replace(/ expires \d+sec/, ''),
}

function compared(text: string): string[] {
  let section = 'rest'
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('= ')) {
      section = line.slice(2)
      return []
    }
    const kept = comparedOf[section]?.(line)
    return kept === undefined || kept.trim() === '' ? [] : [kept]
  })
}

/** Removes all possible leftovers of plugins from a node when nothing else helps; pods must be gone before. */
export const SCRUB = `
  nft flush ruleset
  echo >/proc/sys/net/ipv4/ip_local_reserved_ports
  for dev in $(tc qdisc show | grep -E 'clsact|ingress' | sed 's/.* dev \\([^ ]*\\) .*/\\1/'); do
    tc qdisc del dev $dev clsact 2>/dev/null || tc qdisc del dev $dev ingress
  done
  find /var/lib/cni/vf-flower /run/vf-flower -type f ! -name lock -delete 2>/dev/null
  true`

/** Lines of two outputs of {@link stateScript} that differ. */
export function stateDifferences(before: string, now: string): string[] {
  const [old, live] = [compared(before), compared(now)]
  return [
    ...live.filter((line) => !old.includes(line)).map((line) => `+${line}`),
    ...old.filter((line) => !live.includes(line)).map((line) => `-${line}`),
  ]
}
