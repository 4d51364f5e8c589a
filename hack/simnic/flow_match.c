// SPDX-License-Identifier: GPL-2.0
/* simnic: tc's match (struct flow_rule) to key and mask, or a refusal. */
#include <net/flow_dissector.h>

#include "flow.h"

struct simnic_match_parse {
	struct simnic_vport *vport;
	const struct flow_rule *rule;
	u32 extras;
	struct netlink_ext_ack *extack;
	struct simnic_key *key, *mask;
};

static const struct {
	enum flow_dissector_key_id id;
	const char *what;
} simnic_unsupported[] = {
	{ FLOW_DISSECTOR_KEY_CVLAN, "an inner VLAN tag" },
	{ FLOW_DISSECTOR_KEY_PORTS_RANGE, "a range of ports" },
	{ FLOW_DISSECTOR_KEY_TCP, "TCP flags" },
	{ FLOW_DISSECTOR_KEY_IP, "TOS or TTL" },
	{ FLOW_DISSECTOR_KEY_ICMP, "ICMP type or code" },
	{ FLOW_DISSECTOR_KEY_ARP, "ARP fields" },
	{ FLOW_DISSECTOR_KEY_MPLS, "MPLS labels" },
	{ FLOW_DISSECTOR_KEY_CT, "connection tracking state" },
	{ FLOW_DISSECTOR_KEY_ENC_KEYID, "tunnel key id" },
	{ FLOW_DISSECTOR_KEY_ENC_CONTROL, "tunnel headers" },
	{ FLOW_DISSECTOR_KEY_HASH, "a packet hash" },
	{ FLOW_DISSECTOR_KEY_NUM_OF_VLANS, "the number of VLAN tags" },
	{ FLOW_DISSECTOR_KEY_PPPOE, "PPPoE fields" },
};

#define SIMNIC_KEYS (BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_META) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
		     BIT_ULL(FLOW_DISSECTOR_KEY_PORTS))

static int simnic_check_keys(struct simnic_match_parse *p)
{
	u64 left = p->rule->match.dissector->used_keys & ~SIMNIC_KEYS;
	unsigned int i;

	if (p->extras & SIMNIC_EXTRA_IP_FIELDS)
		left &= ~BIT_ULL(FLOW_DISSECTOR_KEY_IP);
	if (p->extras & SIMNIC_EXTRA_TAG_FIELDS)
		left &= ~(BIT_ULL(FLOW_DISSECTOR_KEY_CVLAN) |
			  BIT_ULL(FLOW_DISSECTOR_KEY_NUM_OF_VLANS));
	if (!left)
		return 0;
	for (i = 0; i < ARRAY_SIZE(simnic_unsupported); i++)
		if (left & BIT_ULL(simnic_unsupported[i].id))
			return simnic_refuse(p->extack, -EOPNOTSUPP, "cannot match on %s",
					     simnic_unsupported[i].what);
	return simnic_refuse(p->extack, -EOPNOTSUPP,
			     "cannot match on dissector keys %#llx", left);
}

static bool simnic_match_port(struct simnic_match_parse *p, const struct simnic_vport *vport,
			      const struct net_device *dev, int ifindex)
{
	if (!dev || dev->ifindex != ifindex)
		return false;
	p->key->in_port = vport->id;
	p->mask->in_port = 0xffff;
	return true;
}

/* A filter of a shared block may name another port of the switch: then it matches nothing here. */
static bool simnic_match_any_port(struct simnic_match_parse *p, int ifindex)
{
	struct simnic_hw *hw = p->vport->hw;
	unsigned int i;

	if (simnic_match_port(p, &hw->uplink, rtnl_dereference(hw->uplink.dev), ifindex) ||
	    simnic_match_port(p, &hw->second, rtnl_dereference(hw->second.dev), ifindex))
		return true;
	for (i = 0; i < hw->total_vfs; i++)
		if (simnic_match_port(p, &hw->vfs[i], rtnl_dereference(hw->vfs[i].rep), ifindex))
			return true;
	return false;
}

static int simnic_match_meta(struct simnic_match_parse *p)
{
	struct flow_match_meta match;
	struct net_device *dev;

	if (!flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_META))
		return 0;
	flow_rule_match_meta(p->rule, &match);
	if (match.mask->l2_miss)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "cannot match on l2_miss");
	if (!match.mask->ingress_ifindex)
		return 0;
	dev = simnic_is_uplink(p->vport) ?
		rtnl_dereference(p->vport->dev) : rtnl_dereference(p->vport->rep);
	if (match.mask->ingress_ifindex == ~0 && p->extras & SIMNIC_EXTRA_INDEV &&
	    simnic_match_any_port(p, match.key->ingress_ifindex))
		return 0;
	if (match.mask->ingress_ifindex != ~0 || !dev ||
	    match.key->ingress_ifindex != dev->ifindex)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "can match on indev only when it is the filter's own");
	return 0;
}

static int simnic_match_control(struct simnic_match_parse *p)
{
	struct flow_match_control match;
	u32 known;

	if (!flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_CONTROL))
		return 0;
	flow_rule_match_control(p->rule, &match);
	known = simnic_fragments(p->vport->hw) == SIMNIC_FRAGMENTS_REFUSE ? 0 :
		FLOW_DIS_IS_FRAGMENT | FLOW_DIS_FIRST_FRAG;
	/* The words of the kernel's own helper for drivers, flow_rule_is_supp_control_flags() */
	if (match.mask->flags & ~known)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Unsupported match on control.flags %#x", match.mask->flags);
	if (match.mask->flags & FLOW_DIS_IS_FRAGMENT) {
		p->mask->fragment = 0xff;
		p->key->fragment = match.key->flags & FLOW_DIS_IS_FRAGMENT ? 0xff : 0;
	}
	if (match.mask->flags & FLOW_DIS_FIRST_FRAG) {
		p->mask->first_fragment = 0xff;
		p->key->first_fragment = match.key->flags & FLOW_DIS_FIRST_FRAG ? 0xff : 0;
	}
	return 0;
}

static void simnic_match_l2(struct simnic_match_parse *p)
{
	struct flow_match_eth_addrs eth;
	struct flow_match_basic basic;
	struct flow_match_vlan vlan;

	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_BASIC)) {
		flow_rule_match_basic(p->rule, &basic);
		p->key->n_proto = basic.key->n_proto;
		p->mask->n_proto = basic.mask->n_proto;
		p->key->ip_proto = basic.key->ip_proto;
		p->mask->ip_proto = basic.mask->ip_proto;
	}
	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_ETH_ADDRS)) {
		flow_rule_match_eth_addrs(p->rule, &eth);
		ether_addr_copy(p->key->eth_dst, eth.key->dst);
		ether_addr_copy(p->key->eth_src, eth.key->src);
		ether_addr_copy(p->mask->eth_dst, eth.mask->dst);
		ether_addr_copy(p->mask->eth_src, eth.mask->src);
	}
	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_VLAN)) {
		flow_rule_match_vlan(p->rule, &vlan);
		p->key->vlan_tci = htons(vlan.key->vlan_id |
					 vlan.key->vlan_priority << VLAN_PRIO_SHIFT);
		p->mask->vlan_tci = htons(vlan.mask->vlan_id |
					  vlan.mask->vlan_priority << VLAN_PRIO_SHIFT);
		p->key->outer_proto = vlan.key->vlan_tpid;
		p->mask->outer_proto = vlan.mask->vlan_tpid;
		p->key->vlan_next = vlan.key->vlan_eth_type;
		p->mask->vlan_next = vlan.mask->vlan_eth_type;
	}
}

static int simnic_match_second_tag(struct simnic_match_parse *p)
{
	struct flow_match_vlan vlan;

	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_NUM_OF_VLANS)) {
		struct flow_dissector_key_num_of_vlans *key, *mask;

		key = skb_flow_dissector_target(p->rule->match.dissector,
						FLOW_DISSECTOR_KEY_NUM_OF_VLANS,
						p->rule->match.key);
		mask = skb_flow_dissector_target(p->rule->match.dissector,
						 FLOW_DISSECTOR_KEY_NUM_OF_VLANS,
						 p->rule->match.mask);
		/* A frame with more tags counts as one with as many as the parser knows. */
		if (key->num_of_vlans >= SIMNIC_MAX_TAGS + 1)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "cannot match on more than %d VLAN tags",
					     SIMNIC_MAX_TAGS);
		p->key->tags = key->num_of_vlans;
		p->mask->tags = mask->num_of_vlans;
	}
	if (!flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_CVLAN))
		return 0;
	flow_rule_match_cvlan(p->rule, &vlan);
	p->key->cvlan_tci = htons(vlan.key->vlan_id |
				  vlan.key->vlan_priority << VLAN_PRIO_SHIFT);
	p->mask->cvlan_tci = htons(vlan.mask->vlan_id |
				   vlan.mask->vlan_priority << VLAN_PRIO_SHIFT);
	p->key->cvlan_next = vlan.key->vlan_eth_type;
	p->mask->cvlan_next = vlan.mask->vlan_eth_type;
	if (vlan.mask->vlan_tpid) {
		p->key->vlan_next = vlan.key->vlan_tpid;
		p->mask->vlan_next = vlan.mask->vlan_tpid;
	}
	return 0;
}

static void simnic_match_l3(struct simnic_match_parse *p)
{
	struct flow_match_control control;
	struct flow_match_ipv4_addrs v4;
	struct flow_match_ipv6_addrs v6;
	struct flow_match_ip ip;
	u16 type = 0;

	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_IP)) {
		flow_rule_match_ip(p->rule, &ip);
		p->key->tos = ip.key->tos;
		p->key->ttl = ip.key->ttl;
		p->mask->tos = ip.mask->tos;
		p->mask->ttl = ip.mask->ttl;
	}
	/* The dissector names both families; the address type tells which. */
	if (flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_CONTROL)) {
		flow_rule_match_control(p->rule, &control);
		type = control.key->addr_type;
	}
	if (type == FLOW_DISSECTOR_KEY_IPV4_ADDRS) {
		flow_rule_match_ipv4_addrs(p->rule, &v4);
		p->key->src[0] = v4.key->src;
		p->key->dst[0] = v4.key->dst;
		p->mask->src[0] = v4.mask->src;
		p->mask->dst[0] = v4.mask->dst;
	} else if (type == FLOW_DISSECTOR_KEY_IPV6_ADDRS) {
		flow_rule_match_ipv6_addrs(p->rule, &v6);
		memcpy(p->key->src, &v6.key->src, sizeof(p->key->src));
		memcpy(p->key->dst, &v6.key->dst, sizeof(p->key->dst));
		memcpy(p->mask->src, &v6.mask->src, sizeof(p->mask->src));
		memcpy(p->mask->dst, &v6.mask->dst, sizeof(p->mask->dst));
	}
}

static void simnic_match_l4(struct simnic_match_parse *p)
{
	struct flow_match_ports ports;

	if (!flow_rule_match_key(p->rule, FLOW_DISSECTOR_KEY_PORTS))
		return;
	flow_rule_match_ports(p->rule, &ports);
	p->key->sport = ports.key->src;
	p->key->dport = ports.key->dst;
	p->mask->sport = ports.mask->src;
	p->mask->dport = ports.mask->dst;
	if (ports.mask->src || ports.mask->dst) {
		p->key->has_ports = 0xff;
		p->mask->has_ports = 0xff;
	}
}

static void simnic_apply_mask(struct simnic_key *key, const struct simnic_key *mask)
{
	u32 *k = (u32 *)key;
	const u32 *m = (const u32 *)mask;
	unsigned int i;

	for (i = 0; i < SIMNIC_KEY_WORDS; i++)
		k[i] &= m[i];
}

static int simnic_parse_flower(struct simnic_match_parse *p)
{
	int err = simnic_check_keys(p);

	if (!err)
		err = simnic_match_meta(p);
	if (!err)
		err = simnic_match_control(p);
	if (err)
		return err;
	simnic_match_l2(p);
	err = simnic_match_second_tag(p);
	if (err)
		return err;
	simnic_match_l3(p);
	simnic_match_l4(p);
	return 0;
}

/**
 * simnic_parse_match - parse the match of a filter
 * @vport: its ingress port
 * @flow: flower's match; NULL for matchall
 * @common: the request
 * @extras: bits of enum simnic_extra
 * @key: out, masked
 * @mask: out
 *
 * Return: -EOPNOTSUPP, with the reason, for anything the card cannot match.
 */
int simnic_parse_match(struct simnic_vport *vport, const struct flow_rule *flow,
		       const struct flow_cls_common_offload *common, u32 extras,
		       struct simnic_key *key, struct simnic_key *mask)
{
	struct simnic_match_parse p = {
		.vport = vport,
		.rule = flow,
		.extras = extras,
		.extack = common->extack,
		.key = key,
		.mask = mask,
	};
	int err;

	memset(key, 0, sizeof(*key));
	memset(mask, 0, sizeof(*mask));
	err = flow ? simnic_parse_flower(&p) : 0;
	if (err)
		return err;
	/* A filter sees only frames whose first ethertype is its protocol. */
	if (common->protocol != htons(ETH_P_ALL)) {
		key->outer_proto = common->protocol;
		mask->outer_proto = htons(0xffff);
	}
	simnic_apply_mask(key, mask);
	return 0;
}
