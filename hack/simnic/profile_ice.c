// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile ice: the ice driver of Linux 6.12 on E810 in switchdev mode.
 *
 * In switchdev mode the driver takes the MAC filter and the anti-spoof check from a VF
 * (ice_eswitch.c: ice_eswitch_cfg_vsi()). So a frame that a redirect alone sends to a VF has a
 * foreign MAC address, and simnic delivers it as the VF's netdev gets it from any profile: as a
 * frame for another host. That E810 delivers it too is an inference.
 *
 * Fragments: simnic reads ports in the first one, although E810's parser has packet types of
 * its own for fragments and may find no ports there; the source of the driver does not say.
 */
#include <net/ipv6.h>

#include "profile.h"

#define SIMNIC_ICE_TUNNEL_KEYS	(BIT_ULL(FLOW_DISSECTOR_KEY_ENC_CONTROL) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_KEYID) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_PORTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_OPTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IP))

#define SIMNIC_ICE_KEYS		(BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_CVLAN) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IP) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_PORTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_PPPOE) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_L2TPV3) | \
				 SIMNIC_ICE_TUNNEL_KEYS)

/**
 * simnic_ice_check_port - refuse filters of other chains, and without hw-tc-offload
 * @p: the rule
 * @dev: PF or representor
 *
 * Return: 0, -EOPNOTSUPP or -EINVAL.
 */
int simnic_ice_check_port(struct simnic_parse *p, const struct net_device *dev)
{
	if (p->common->chain_index)
		return -EOPNOTSUPP;
	if (!(dev->features & NETIF_F_HW_TC))
		return simnic_refuse(p->extack, -EINVAL,
				     "can't apply TC flower filters, turn ON hw-tc-offload and try again");
	return 0;
}

static int simnic_ice_check_ipv6(struct simnic_parse *p)
{
	struct flow_match_control control;
	struct flow_match_ipv6_addrs v6;

	flow_rule_match_control(p->flow, &control);
	if (control.key->addr_type != FLOW_DISSECTOR_KEY_IPV6_ADDRS)
		return 0;
	flow_rule_match_ipv6_addrs(p->flow, &v6);
	if (ipv6_addr_loopback(&v6.key->dst) || ipv6_addr_loopback(&v6.key->src))
		return simnic_refuse(p->extack, -EINVAL, "Bad IPv6, addr is LOOPBACK");
	if (ipv6_addr_any(&v6.mask->dst) && ipv6_addr_any(&v6.mask->src))
		return simnic_refuse(p->extack, -EINVAL, "Bad src/dest IPv6, addr is any");
	return 0;
}

/**
 * simnic_ice_check_match - refuse a match as this card does
 * @p: the rule, its match not parsed yet
 *
 * Control flags are the knob's business.
 *
 * Return: 0, -EOPNOTSUPP or -EINVAL.
 */
int simnic_ice_check_match(struct simnic_parse *p)
{
	u64 used = p->flow->match.dissector->used_keys;
	struct flow_match_basic basic;
	struct flow_match_vlan vlan;
	int err;

	if (used & ~SIMNIC_ICE_KEYS)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Unsupported key used");
	if (used & SIMNIC_ICE_TUNNEL_KEYS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Tunnel key used, but device isn't a tunnel");
	if (flow_rule_match_key(p->flow, FLOW_DISSECTOR_KEY_VLAN)) {
		flow_rule_match_vlan(p->flow, &vlan);
		if (vlan.mask->vlan_id && vlan.mask->vlan_id != VLAN_VID_MASK)
			return simnic_refuse(p->extack, -EINVAL, "Bad VLAN mask");
	}
	err = simnic_ice_check_ipv6(p);
	if (err || !flow_rule_match_key(p->flow, FLOW_DISSECTOR_KEY_PORTS))
		return err;
	flow_rule_match_basic(p->flow, &basic);
	if (basic.key->ip_proto != IPPROTO_TCP && basic.key->ip_proto != IPPROTO_UDP)
		return simnic_refuse(p->extack, -EINVAL,
				     "Only UDP and TCP transport are supported");
	return 0;
}

/**
 * simnic_ice_loosen_match - forget what the driver does not hand to the card
 * @p: the rule with its match
 *
 * The protocol above IP is told by the kind of ports alone: a match on ip_proto without ports
 * matches all protocols.
 */
void simnic_ice_loosen_match(struct simnic_parse *p)
{
	struct simnic_rule *rule = p->rule;

	if (rule->mask.sport || rule->mask.dport)
		return;
	rule->key.ip_proto = 0;
	rule->mask.ip_proto = 0;
}

static int simnic_ice_forward(struct simnic_parse *p, const struct flow_action_entry *e)
{
	struct simnic_port *to = e->dev ? simnic_port_of(e->dev) : NULL;
	bool uplink = simnic_is_uplink(p->vport);

	if (to && (to->kind == SIMNIC_REP || (to->kind == SIMNIC_PF && !uplink)))
		return 0;
	return simnic_refuse(p->extack, -EINVAL, "Unsupported netdevice in switchdev mode");
}

/**
 * simnic_ice_check_actions - refuse all but drop, redirect and mirror
 * @p: the rule with its match
 * @actions: from tc
 *
 * Return: 0 or -EINVAL.
 */
int simnic_ice_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e;
	int i, err;

	if (!flow_action_has_entries(actions))
		return -EINVAL;
	flow_action_for_each(i, e, actions) {
		switch (e->id) {
		case FLOW_ACTION_DROP:
			break;
		case FLOW_ACTION_REDIRECT:
		case FLOW_ACTION_MIRRED:
			err = simnic_ice_forward(p, e);
			if (err)
				return err;
			break;
		default:
			return simnic_refuse(p->extack, -EINVAL,
					     "Unsupported action in switchdev mode");
		}
	}
	return 0;
}

/**
 * simnic_ice_translate - what the card does: the last action
 * @p: the rule
 * @actions: from tc, checked
 * @done: out
 *
 * The driver has room for one action and one target, so a mirror before a redirect is lost.
 * What follows a mirror alone is an inference: the frame goes on to the host.
 */
void simnic_ice_translate(struct simnic_parse *p, const struct flow_action *actions,
			  struct flow_action *done)
{
	const struct flow_action_entry *last = &actions->entries[actions->num_entries - 1];

	simnic_add_action(done, last);
	if (last->id == FLOW_ACTION_MIRRED)
		simnic_add_verdict(done, FLOW_ACTION_ACCEPT);
}
