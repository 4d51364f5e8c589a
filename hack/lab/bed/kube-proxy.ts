// Rules as kube-proxy 1.31 and later writes them, in each of its modes, for any number of services; and the rules of docker and of
// the nftables half of portmap. In: services. Out: input for iptables-restore, nft, ipset and ipvsadm.

/** A service of one port. */
export interface Service {
  readonly name: string
  readonly proto: 'tcp' | 'udp'
  readonly clusterIP: string
  readonly port: number
  /** Its port of the node; undefined for a service within the cluster. */
  readonly nodePort?: number
  /** An address for clients from outside. */
  readonly externalIP?: string
  readonly endpoint: { readonly address: string; readonly port: number }
}

/** `count` TCP services with a node port each, from 30000 on where there is room; none of them is on a port of `without`. */
export function manyServices(count: number, without: readonly number[] = [], from = 30_000): Service[] {
  return Array.from({ length: count }, (_, index) => {
    const nodePort = from + index
    return {
      name: `ns${index % 50}/svc${index}`,
      proto: 'tcp',
      clusterIP: `172.30.${(index >> 8) & 0xff}.${index & 0xff}`,
      port: 80,
      ...(nodePort > 32_767 || without.includes(nodePort) ? {} : { nodePort }),
      endpoint: { address: `10.244.${(index >> 8) & 0xff}.${index & 0xff}`, port: 8080 },
    }
  })
}

/** Sixteen letters for the end of a chain's name. kube-proxy takes them from a hash, this function from a number. */
function hashed(index: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  let rest = (index + 1) * 2_654_435_761
  return Array.from({ length: 16 }, () => {
    const letter = letters[rest % 32] ?? 'A'
    rest = Math.floor(rest / 32) + (rest % 32) * 134_217_689
    return letter
  }).join('')
}

/** Mode iptables, one family: input for `iptables-restore --noflush`. */
export function iptablesMode(services: readonly Service[], family: 4 | 6 = 4): string {
  const pods = family === 4 ? '10.244.0.0/16' : 'fd00:244::/48'
  const [chains, rules, dispatch, nodePorts]: [string[], string[], string[], string[]] = [[], [], [], []]
  services.forEach(({ name, proto, clusterIP, port, nodePort, externalIP, endpoint }, index) => {
    const full = `${name}:p${port}`
    const [svc, ext, sep] = ['SVC', 'EXT', 'SEP'].map((kind) => `KUBE-${kind}-${hashed(index)}`)
    const to = `${family === 4 ? endpoint.address : `[${endpoint.address}]`}:${endpoint.port}`
    const match = `-p ${proto} -m ${proto}`
    chains.push(`:${svc} - [0:0]`, `:${sep} - [0:0]`)
    rules.push(
      `-A ${svc} -d ${clusterIP} ! -s ${pods} ${match} --dport ${port} -m comment --comment "${full} cluster IP" -j KUBE-MARK-MASQ`,
      `-A ${svc} -m comment --comment "${full} -> ${to}" -j ${sep}`,
      `-A ${sep} -s ${endpoint.address} -m comment --comment ${full} -j KUBE-MARK-MASQ`,
      `-A ${sep} ${match} -m comment --comment ${full} -j DNAT --to-destination ${to}`,
    )
    dispatch.push(
      `-A KUBE-SERVICES -m comment --comment "${full} cluster IP" ${match} -d ${clusterIP} --dport ${port} -j ${svc}`,
    )
    if (nodePort === undefined && externalIP === undefined) return
    chains.push(`:${ext} - [0:0]`)
    rules.push(
      `-A ${ext} -m comment --comment "masquerade traffic for ${full} external destinations" -j KUBE-MARK-MASQ`,
      `-A ${ext} -j ${svc}`,
    )
    if (externalIP !== undefined)
      dispatch.push(
        `-A KUBE-SERVICES -m comment --comment "${full} external IP" ${match} -d ${externalIP} --dport ${port} -j ${ext}`,
      )
    if (nodePort !== undefined)
      nodePorts.push(`-A KUBE-NODEPORTS -m comment --comment ${full} ${match} --dport ${nodePort} -j ${ext}`)
  })
  const last = '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
  return [
    '*nat',
    ...['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'].map(
      (name) => `:${name} - [0:0]`,
    ),
    ...chains,
    '-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    ...dispatch,
    `-A KUBE-SERVICES -m comment --comment ${last} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
    ...nodePorts,
    ...rules,
    'COMMIT',
    '',
  ].join('\n')
}

/** Mode nftables, one family: input for `nft -f`. `nodePortIPs` are the addresses with node ports; without them all local ones. */
export function nftablesMode(
  services: readonly Service[],
  { family = 4, nodePortIPs }: { readonly family?: 4 | 6; readonly nodePortIPs?: readonly string[] } = {},
): string {
  const ip = family === 4 ? 'ip' : 'ip6'
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const [loopback, pods] = family === 4 ? ['127.0.0.0/8', '10.244.0.0/16'] : ['::1', 'fd00:244::/48']
  const table = `${ip} kube-proxy`
  const [chains, byAddress, byPort]: [string[], string[], string[]] = [[], [], []]
  services.forEach(({ name, proto, clusterIP, port, nodePort, externalIP, endpoint }, index) => {
    const hash = hashed(index).slice(0, 8)
    const [svc, ext] = [
      `service-${hash}-${name}/${proto}/p${port}`,
      `external-${hash}-${name}/${proto}/p${port}`,
    ]
    const sep = `endpoint-${hash}-${name}/${proto}/p${port}__${endpoint.address.replaceAll(':', '.')}/${endpoint.port}`
    const to = `${family === 4 ? endpoint.address : `[${endpoint.address}]`}:${endpoint.port}`
    chains.push(
      `chain ${sep} { ${ip} saddr ${endpoint.address} jump mark-for-masquerade; meta l4proto ${proto} dnat to ${to}; }`,
      `chain ${svc} { ${ip} daddr ${clusterIP} ${proto} dport ${port} ${ip} saddr != ${pods} jump mark-for-masquerade; numgen random mod 1 vmap { 0 : goto ${sep} }; }`,
    )
    byAddress.push(`${clusterIP} . ${proto} . ${port} : goto ${svc}`)
    if (nodePort !== undefined || externalIP !== undefined)
      chains.push(`chain ${ext} { jump mark-for-masquerade; goto ${svc}; }`)
    if (externalIP !== undefined) byAddress.push(`${externalIP} . ${proto} . ${port} : goto ${ext}`)
    if (nodePort !== undefined) byPort.push(`${proto} . ${nodePort} : goto ${ext}`)
  })
  const elements = (list: readonly string[]) => (list.length === 0 ? '' : `elements = { ${list.join(', ')} }`)
  const nodePorts =
    nodePortIPs === undefined
      ? `fib daddr type local ${ip} daddr != ${loopback} meta l4proto . th dport vmap @service-nodeports`
      : `${ip} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports`
  return `table ${table} {
    comment "rules for kube-proxy"
    chain mark-for-masquerade { mark set mark or 0x4000; }
    chain masquerading {
      mark and 0x4000 == 0 return
      mark set mark xor 0x4000
      masquerade fully-random
    }
    ${chains.join('\n')}
    set nodeport-ips { type ${type}; ${elements(nodePortIPs ?? [])} }
    map service-ips { type ${type} . inet_proto . inet_service : verdict; ${elements(byAddress)} }
    map service-nodeports { type inet_proto . inet_service : verdict; ${elements(byPort)} }
    chain services {
      ${ip} daddr . meta l4proto . th dport vmap @service-ips
      ${nodePorts}
    }
    chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
    chain nat-output { type nat hook output priority -100; jump services; }
    chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
  }
`
}

/**
 * Mode IPVS, one family: input for `ipset restore`, `iptables-restore --noflush` and `ipvsadm --restore`. The addresses of services
 * are on the interface kube-ipvs0, which the caller makes; `nodeIPs` are the addresses with node ports.
 */
export function ipvsMode(
  services: readonly Service[],
  nodeIPs: readonly string[],
): { readonly sets: string; readonly rules: string; readonly services: string } {
  const within = services.map(
    ({ clusterIP, proto, port }) => `add KUBE-CLUSTER-IP ${clusterIP},${proto}:${port}`,
  )
  const onNode = services.flatMap(({ proto, nodePort }) =>
    nodePort === undefined ? [] : [`${proto}:${nodePort}`],
  )
  const virtual = services.flatMap(({ proto, clusterIP, port, nodePort, endpoint }) => {
    const addresses = [
      `${clusterIP}:${port}`,
      ...(nodePort === undefined ? [] : nodeIPs.map((ip) => `${ip}:${nodePort}`)),
    ]
    const kind = proto === 'tcp' ? '-t' : '-u'
    return addresses.flatMap((address) => [
      `-A ${kind} ${address} -s rr`,
      `-a ${kind} ${address} -r ${endpoint.address}:${endpoint.port} -m -w 1`,
    ])
  })
  return {
    sets: [
      'create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536',
      'create KUBE-NODE-PORT-TCP bitmap:port range 0-65535',
      ...within,
      ...onNode.flatMap((one) => (one.startsWith('tcp:') ? [`add KUBE-NODE-PORT-TCP ${one.slice(4)}`] : [])),
      '',
    ].join('\n'),
    rules: [
      '*nat',
      ...['KUBE-SERVICES', 'KUBE-NODE-PORT', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'].map(
        (name) => `:${name} - [0:0]`,
      ),
      '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
      '-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN',
      '-A KUBE-SERVICES ! -s 10.244.0.0/16 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ',
      '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
      '-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT',
      '-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ',
      '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
      '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
      '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
      'COMMIT',
      '',
    ].join('\n'),
    services: [...virtual, ''].join('\n'),
  }
}

/** A published port as docker's bridge driver makes it: input for `iptables-restore --noflush`. */
export function dockerPort(
  hostPort: number,
  to: { readonly address: string; readonly port: number },
): string {
  return [
    '*nat',
    ':DOCKER - [0:0]',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    '-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
    '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
    '-A DOCKER -i docker0 -j RETURN',
    `-A DOCKER ! -i docker0 -p tcp -m tcp --dport ${hostPort} -j DNAT --to-destination ${to.address}:${to.port}`,
    'COMMIT',
    '',
  ].join('\n')
}

/** Mappings of portmap 1.6 and later with `backend: nftables`: input for `nft -f`. */
export function portmapNftables(
  mappings: readonly { readonly hostIP?: string; readonly hostPort: number; readonly to: string }[],
  containerID: string,
): string {
  const rules = (isBound: boolean) =>
    mappings
      .filter(({ hostIP }) => (hostIP !== undefined) === isBound)
      .map(({ hostIP, hostPort, to }) => {
        const address = hostIP === undefined ? '' : `ip daddr ${hostIP} `
        return `${address}tcp dport ${hostPort} dnat to ${to} comment "${containerID}"`
      })
      .join('\n')
  return `table ip cni_hostport {
    comment "CNI portmap plugin"
    chain hostports {
      ${rules(false)}
    }
    chain hostip_hostports {
      ${rules(true)}
    }
    chain prerouting { type nat hook prerouting priority dstnat; jump hostip_hostports; jump hostports; }
    chain output { type nat hook output priority dstnat; jump hostip_hostports; fib daddr type local jump hostports; }
  }
`
}
