import type { Mutation } from './mutation.ts'

/** Mistakes about ports that others on the node translate. */
export const services: readonly Mutation[] = [
  {
    id: 'offload-services-not-asked',
    file: 'src/offload/ports.ts',
    mistake:
      'A host port is mapped whoever on the node translates it, and every client of the service gets the pod.',
    old: 'if (!config.allowServicePorts) refuseServed(kernel, plan.keys, request.policy)',
    now: 'if (config.allowServicePorts) refuseServed(kernel, plan.keys, request.policy)',
    test: ['native/offload-services.test.ts', 'kube-proxy, mode iptables (iptables-nft)'],
    tier: 'quick',
  },
  {
    id: 'offload-services-check-blind',
    file: 'src/offload/check.ts',
    mistake: 'CHECK does not see a service that came after the ADD.',
    old: '...(config.allowServicePorts ? [] : servedDifferences(kernel, journal.keys)),',
    now: '...(config.allowServicePorts ? servedDifferences(kernel, journal.keys) : []),',
    test: ['native/offload-services.test.ts', 'a service that comes after the ADD is named by CHECK'],
    tier: 'quick',
  },
  {
    id: 'offload-services-node-ports-free',
    file: 'src/offload/services.ts',
    mistake: 'Where kube-proxy runs, ports that it may give to a service tomorrow are mapped today.',
    old: 'others.taker(key) ?? rangeWords(others, key, policy)',
    now: 'others.taker(key)',
    test: ['offload/services.test.ts', 'node ports are kube-proxy’s where it runs'],
    tier: 'quick',
  },
  {
    id: 'offload-services-policy-widened',
    file: 'src/offload/config.ts',
    mistake: 'A network config may take ports of services although the operator forbids it.',
    old: "flag(config, 'allowServicePorts', false) && request.policy.allowServicePorts",
    now: "flag(config, 'allowServicePorts', false)",
    test: ['native/offload-services.test.ts', 'the policy is the bound of what a config allows'],
    tier: 'quick',
  },
  {
    id: 'kernel-foreign-source-decides',
    file: 'src/kernel/foreign-nat/registers.ts',
    mistake: 'A rule for some clients only counts as none at all.',
    old: "if (known[at] !== 1) answer = 'maybe'",
    now: "if (known[at] !== 1) return 'no'",
    test: ['kernel/foreign-nat/rule.test.ts', 'the source'],
    tier: 'quick',
  },
  {
    id: 'kernel-foreign-maybe-ends',
    file: 'src/kernel/foreign-nat/follow.ts',
    mistake:
      'A rule that returns for the clients of one interface ends the way of all: docker’s ports are free.',
    old: 'if (end !== undefined && match.isSure && isRead) return end',
    now: 'if (end !== undefined && isRead) return end',
    test: ['native/offload-services.test.ts', 'docker (iptables-nft)'],
    tier: 'quick',
  },
  {
    id: 'kernel-foreign-skimmed-away',
    file: 'src/kernel/foreign-nat/skim.ts',
    mistake: 'Of thousands of rules those are passed over that name the port.',
    old: 'if (value > 0 && !ports.has(',
    now: 'if (value > 0 && ports.has(',
    test: ['native/offload-services.test.ts', 'kube-proxy, mode iptables (iptables-nft)'],
    tier: 'quick',
  },
  {
    id: 'kernel-foreign-legacy-return',
    file: 'src/kernel/foreign-nat/legacy.ts',
    mistake:
      'The rule of iptables-legacy that ends a chain ends all: what stands behind the jump is not read.',
    old: 'verdict(code === standard.return ? VERDICT.NFT_RETURN : VERDICT.NF_ACCEPT)',
    now: 'verdict(VERDICT.NF_ACCEPT)',
    test: ['native/offload-services.test.ts', 'kube-proxy, mode iptables (iptables-legacy)'],
    tier: 'quick',
  },
  {
    id: 'kernel-foreign-unread-free',
    file: 'src/kernel/foreign-nat/follow.ts',
    mistake: 'A rule that can’t be read is passed over although it names the port.',
    old: 'way.some(({ rule, isNamed }) => isNamed || names(rule, packet.port))',
    now: 'way.length === 0',
    test: ['native/offload-services.test.ts', 'what can’t be read is refused where it names the port'],
    tier: 'quick',
  },
]
