// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile mlx5: matches and priorities.
 *
 * Source: __parse_cls_flower() of mellanox/mlx5/core/en_tc.c, Linux 6.12. In one thing the
 * driver and simnic agree without a check: an ethertype without a VLAN match means a frame
 * without a tag (en_tc.c:2849), and vlan_ethtype one with exactly one tag (:2842).
 */
#include "profile_mlx5.h"

#define MLX5_KEYS (BIT_ULL(FLOW_DISSECTOR_KEY_META) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_CVLAN) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_PORTS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_KEYID) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_PORTS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_CONTROL) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_TCP) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_IP) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_CT) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IP) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ENC_OPTS) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_ICMP) | \
		   BIT_ULL(FLOW_DISSECTOR_KEY_MPLS))

/* mlx5e_flower_parse_meta() */
static int simnic_mlx5_meta(struct simnic_parse *p)
{
	const struct flow_rule *flow = p->flow;
	struct simnic_vport *vport = p->vport;
	struct net_device *dev = simnic_is_uplink(vport) ?
		rtnl_dereference(vport->dev) : rtnl_dereference(vport->rep);
	struct flow_match_meta match;

	if (!flow_rule_match_key(flow, FLOW_DISSECTOR_KEY_META))
		return 0;
	flow_rule_match_meta(flow, &match);
	if (match.mask->l2_miss)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Can't match on \"l2_miss\"");
	if (match.mask->ingress_ifindex && (!dev || match.key->ingress_ifindex != dev->ifindex))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Can't match on the ingress filter port");
	return 0;
}

/**
 * simnic_mlx5_check_match - refuse a match as this card does
 * @p: rule without its match
 *
 * Return: -EOPNOTSUPP, or -EINVAL for ports of other protocols than TCP and UDP.
 */
int simnic_mlx5_check_match(struct simnic_parse *p)
{
	const struct flow_rule *flow = p->flow;
	struct flow_match_control control;
	struct flow_match_basic basic;
	u8 proto = 0;
	int err;

	if (flow->match.dissector->used_keys & ~MLX5_KEYS)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Unsupported key");
	err = simnic_mlx5_meta(p);
	if (err)
		return err;
	if (flow_rule_match_key(flow, FLOW_DISSECTOR_KEY_CONTROL)) {
		flow_rule_match_control(flow, &control);
		/* flow_rule_is_supp_control_flags() */
		if (control.mask->flags & ~FLOW_DIS_IS_FRAGMENT)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "Unsupported match on control.flags %#x",
					     control.mask->flags);
	}
	if (!flow_rule_match_key(flow, FLOW_DISSECTOR_KEY_PORTS))
		return 0;
	if (flow_rule_match_key(flow, FLOW_DISSECTOR_KEY_BASIC)) {
		flow_rule_match_basic(flow, &basic);
		proto = basic.key->ip_proto;
	}
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return simnic_refuse(p->extack, -EINVAL,
				     "Only UDP and TCP transports are supported for L4 matching");
	return 0;
}

/*
 * The knob prio_max: 16 stands for a card without ignore_flow_level (lib/fs_chains.c:
 * mlx5_chains_get_prio_range()), and in legacy mode 1.
 */
static bool simnic_mlx5_prio_fits(const struct simnic_parse *p)
{
	u32 max = READ_ONCE(p->vport->hw->knobs.prio_max);

	return !max || p->rule->prio <= max;
}

/**
 * simnic_mlx5_check_prio - refuse a priority as this card does in switchdev mode
 * @p: a rule that is fine otherwise
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_mlx5_check_prio(const struct simnic_parse *p)
{
	if (simnic_mlx5_prio_fits(p))
		return 0;
	/* en_tc.c: mlx5e_tc_add_fdb_flow() */
	return simnic_refuse(p->extack, -EOPNOTSUPP,
			     "Requested priority is out of supported range");
}

/**
 * simnic_mlx5_check_hairpin - refuse a hairpin or a priority as this card does in legacy mode
 * @p: a rule that is fine otherwise
 * @redirects: it sends frames out again
 *
 * Return: 0 or -EOPNOTSUPP; without a text when the priority is too high.
 */
int simnic_mlx5_check_hairpin(const struct simnic_parse *p, bool redirects)
{
	/* en_tc.c: mlx5e_hairpin_flow_add() */
	if (redirects && READ_ONCE(p->vport->hw->knobs.no_hairpin))
		return simnic_refuse(p->extack, -EOPNOTSUPP, "hairpin is not supported");
	/* lib/fs_chains.c: mlx5_chains_get_table() */
	return simnic_mlx5_prio_fits(p) ? 0 : -EOPNOTSUPP;
}
