// Others that translate host ports of a node, and the rule's text that names each. In: what loads rules. Out: a table for tests.
import { PODS } from '../../hack/lab/bed/bridge-bed.ts'
import {
  dockerPort,
  iptablesMode,
  nftablesMode,
  portmapNftables,
  type Service,
} from '../../hack/lab/bed/kube-proxy.ts'
import { HOST } from '../../hack/lab/bed/topology.ts'

/** A service whose backend is the other pod. */
export const web: Service = {
  ...{ name: 'shop/web', proto: 'tcp', clusterIP: '172.30.0.7', port: 80, nodePort: 30_080 },
  endpoint: { address: PODS['pod-two'].v4, port: 8080 },
}
/** A service at an address of the node, on the service's own port. */
export const outside: Service = {
  ...web,
  name: 'shop/api',
  clusterIP: '172.30.0.8',
  port: 6443,
  nodePort: 30_443,
  externalIP: HOST.v4,
}

/** Translations by others: the program, its preparation, the port, and the rule's text. */
export function makersBy(
  load: (program: string, text: string) => Promise<void>,
): readonly (readonly [string, () => Promise<void>, number, RegExp])[] {
  return [
    [
      'kube-proxy, mode iptables (iptables-nft)',
      () => load('iptables-nft-restore --noflush', iptablesMode([web, outside])),
      30_080,
      /table ip nat chain KUBE-NODEPORTS: .*"shop\/web:p80".* dport 30080 jump KUBE-EXT-\w+, which ends in dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'kube-proxy, mode iptables: an address of its own',
      () => load('iptables-nft-restore --noflush', iptablesMode([web, outside])),
      6443,
      /table ip nat chain KUBE-SERVICES: daddr 10\.1\.0\.1 .*"shop\/api:p6443 external IP".* dport 6443 jump KUBE-EXT-\w+/,
    ],
    [
      'kube-proxy, mode iptables (iptables-legacy)',
      () => load('iptables-legacy-restore --noflush', iptablesMode([web, outside])),
      30_080,
      /table ip nat \(iptables-legacy\) chain KUBE-NODEPORTS: .* dport 30080 jump KUBE-EXT-\w+, which ends in dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'kube-proxy, mode nftables, on all local addresses',
      () => load('nft -f -', nftablesMode([web, outside])),
      30_080,
      /table ip kube-proxy chain services: .* vmap @service-nodeports \(goto external-\w+-shop\/web\/tcp\/p80\), which ends in dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'kube-proxy, mode nftables, on named addresses',
      () => load('nft -f -', nftablesMode([web, outside], { nodePortIPs: [HOST.v4] })),
      30_080,
      /table ip kube-proxy chain services: daddr @nodeport-ips .* vmap @service-nodeports \(goto external-/,
    ],
    [
      'kube-proxy, mode nftables: an address of its own',
      () => load('nft -f -', nftablesMode([web, outside])),
      6443,
      /table ip kube-proxy chain services: .* vmap @service-ips \(goto external-\w+-shop\/api\/tcp\/p6443\)/,
    ],
    [
      'docker (iptables-nft)',
      () => load('iptables-nft-restore --noflush', dockerPort(8082, web.endpoint)),
      8082,
      /table ip nat chain DOCKER: iifname != "docker0" .* dport 8082 dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'docker (iptables-legacy)',
      () => load('iptables-legacy-restore --noflush', dockerPort(8082, web.endpoint)),
      8082,
      /table ip nat \(iptables-legacy\) chain DOCKER: iifname != "docker0" .* dport 8082 dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'portmap, backend nftables',
      () => load('nft -f -', portmapNftables([{ hostPort: 8083, to: '10.88.0.6:8080' }], 'their-container')),
      8083,
      /table ip cni_hostport chain hostports: .* dport 8083 dnat to 10\.88\.0\.6:8080 comment "their-container"/,
    ],
    [
      'portmap, backend nftables, with a hostIP',
      () =>
        load(
          'nft -f -',
          portmapNftables([{ hostIP: HOST.v4, hostPort: 8083, to: '10.88.0.6:8080' }], 'their-container'),
        ),
      8083,
      /chain hostip_hostports: daddr 10\.1\.0\.1 .*dport 8083 dnat to/,
    ],
    [
      'a range of ports in a set',
      () => load('nft -f -', chain('tcp dport { 100, 8080-8090 } dnat to 10.88.0.6:8080')),
      8084,
      /table ip other chain pre: meta l4proto tcp dport @__set\d+ dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'a range of ports',
      () => load('nft -f -', chain('tcp dport 8080-8090 dnat to 10.88.0.6:8080')),
      8084,
      /table ip other chain pre: meta l4proto tcp .*dnat to 10\.88\.0\.6:8080/,
    ],
    [
      'a redirection for the clients of one interface',
      () => load('nft -f -', chain('iifname "up0" tcp dport 8084 redirect to :3128')),
      8084,
      /table ip other chain pre: iifname "up0" meta l4proto tcp dport 8084 redirect to :3128/,
    ],
    [
      'a map by port and the client’s network',
      () =>
        load(
          'nft -f -',
          chain(
            'ip saddr . tcp dport vmap { 10.0.0.0/8 . 8000-8090 : goto web }',
            'chain web { meta l4proto tcp dnat to 10.88.0.6:8080; }',
          ),
        ),
      8084,
      /vmap @__map\d+ \(goto web\), which ends in dnat to 10\.88\.0\.6:8080/,
    ],
  ]
}

/** A table with one rule for new connections from outside, and with the chains that the rule needs. */
export function chain(rule: string, others = ''): string {
  return `table ip other {\n${others}\nchain pre {\ntype nat hook prerouting priority dstnat\n${rule}\n}\n}\n`
}
