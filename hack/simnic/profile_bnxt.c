// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile bnxt: the bnxt_en driver of Linux 6.12.
 *
 * Reasons go to the kernel's log alone, so refusals have no words. What the driver does not know
 * it leaves out, keys of the match and actions alike, and says that the rule is in hardware.
 *
 * MAC and IP addresses are taken as the driver means them: it swaps the bytes of some and says
 * that the firmware wants it so [inference].
 */
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "profile.h"

/* struct bnxt_tc_actions and the request to the firmware, as far as simnic can do them */
struct simnic_bnxt_rule {
	bool drops, rewrites_mac, pops, pushes, nat, nat_source, nat_ip4;
	u8 mac[2 * ETH_ALEN], mac_mask[2 * ETH_ALEN];	/* destination, source */
	u32 address[2][4];		/* [0]: destination */
	__be16 port[2];
	enum flow_action_mangle_base l4;
	struct flow_action_entry push, redirect;
};

static bool simnic_bnxt_partial(const u8 *mac, const u8 *mask)
{
	return !is_zero_ether_addr(mac) && !is_broadcast_ether_addr(mask);
}

/* The id must be exact; a priority is not looked at, or exactly 0. */
static bool simnic_bnxt_vlan_ok(const struct flow_match_vlan *vlan)
{
	if (!vlan->key->vlan_id && !vlan->key->vlan_priority)
		return true;
	return vlan->mask->vlan_id == VLAN_VID_MASK &&
		(!vlan->mask->vlan_priority ||
		 (vlan->mask->vlan_priority == 7 && !vlan->key->vlan_priority));
}

/**
 * simnic_bnxt_check_match - refuse a match as this card does, without words
 * @p: the rule, its match not parsed yet
 *
 * Control flags are the knob's business.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_bnxt_check_match(struct simnic_parse *p)
{
	struct flow_match_eth_addrs eth;
	struct flow_match_basic basic;
	struct flow_match_vlan vlan;

	flow_rule_match_basic(p->flow, &basic);
	if (flow_rule_match_key(p->flow, FLOW_DISSECTOR_KEY_PORTS) &&
	    basic.key->ip_proto != IPPROTO_TCP && basic.key->ip_proto != IPPROTO_UDP)
		return -EOPNOTSUPP;
	if (flow_rule_match_key(p->flow, FLOW_DISSECTOR_KEY_ETH_ADDRS)) {
		flow_rule_match_eth_addrs(p->flow, &eth);
		if (simnic_bnxt_partial(eth.key->src, eth.mask->src) ||
		    simnic_bnxt_partial(eth.key->dst, eth.mask->dst))
			return -EOPNOTSUPP;
	}
	if (flow_rule_match_key(p->flow, FLOW_DISSECTOR_KEY_VLAN)) {
		flow_rule_match_vlan(p->flow, &vlan);
		if (!simnic_bnxt_vlan_ok(&vlan))
			return -EOPNOTSUPP;
	}
	return basic.mask->n_proto == htons(0xffff) ? 0 : -EOPNOTSUPP;
}

static int simnic_bnxt_mac(struct simnic_bnxt_rule *rule, const struct flow_action_entry *e)
{
	u32 offset = e->mangle.offset, written = ~e->mangle.mask;
	u32 old, mask;

	if (offset > 8)
		return -EINVAL;
	memcpy(&old, rule->mac + offset, sizeof(old));
	memcpy(&mask, rule->mac_mask + offset, sizeof(mask));
	old = (e->mangle.val & written) | (old & ~written);
	mask |= written;
	memcpy(rule->mac + offset, &old, sizeof(old));
	memcpy(rule->mac_mask + offset, &mask, sizeof(mask));
	rule->rewrites_mac = true;
	return 0;
}

/* One address: the last one that an action names, and nothing of its mask */
static int simnic_bnxt_address(struct simnic_bnxt_rule *rule, const struct flow_action_entry *e)
{
	bool ip4 = e->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_IP4;
	u32 source = ip4 ? offsetof(struct iphdr, saddr) : offsetof(struct ipv6hdr, saddr);
	u32 size = ip4 ? sizeof(u32) : sizeof(struct in6_addr);
	u32 offset = e->mangle.offset;

	if (offset < source || offset >= source + 2 * size)
		return -EINVAL;
	rule->nat = true;
	rule->nat_ip4 = ip4;
	rule->nat_source = offset < source + size;
	rule->address[rule->nat_source ? 1 : 0][(offset - source) % size / sizeof(u32)] =
		e->mangle.val;
	return 0;
}

/*
 * bnxt_tc_parse_pedit() puts the word through htons(), which takes its lower half. On a little
 * endian machine that is the half of the source port; of a word for the destination port it is
 * 0, and bnxt_hwrm_cfa_flow_alloc() hands no port 0 to the firmware: the port stays.
 */
static int simnic_bnxt_port(struct simnic_bnxt_rule *rule, const struct flow_action_entry *e)
{
	if (!rule->nat)
		return -EINVAL;
	rule->port[rule->nat_source ? 1 : 0] = (__force __be16)(u16)e->mangle.val;
	rule->l4 = e->mangle.htype;
	return 0;
}

static int simnic_bnxt_pedit(struct simnic_bnxt_rule *rule, const struct flow_action_entry *e)
{
	switch (e->mangle.htype) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		return simnic_bnxt_mac(rule, e);
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		return simnic_bnxt_address(rule, e);
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		return simnic_bnxt_port(rule, e);
	default:
		return -EINVAL;
	}
}

static int simnic_bnxt_macs_ok(const struct simnic_bnxt_rule *rule)
{
	unsigned int at;

	for (at = 0; at < 2 * ETH_ALEN; at += ETH_ALEN)
		if (!is_zero_ether_addr(rule->mac_mask + at) &&
		    !is_broadcast_ether_addr(rule->mac_mask + at))
			return -EINVAL;
	if (is_zero_ether_addr(rule->mac) && is_zero_ether_addr(rule->mac + ETH_ALEN))
		return -EINVAL;
	return 0;
}

/* bnxt_tc_parse_actions() */
static int simnic_bnxt_read(struct simnic_parse *p, const struct flow_action *actions,
			    struct simnic_bnxt_rule *rule)
{
	const struct flow_action_entry *e;
	int i, err;

	memset(rule, 0, sizeof(*rule));
	if (!flow_action_has_entries(actions))
		return -EINVAL;
	flow_action_for_each(i, e, actions) {
		err = 0;
		switch (e->id) {
		case FLOW_ACTION_DROP:
			rule->drops = true;
			return 0;
		case FLOW_ACTION_REDIRECT:
			if (!simnic_on_switch(p, e))
				return -EINVAL;
			rule->redirect = *e;
			break;
		case FLOW_ACTION_VLAN_POP:
			rule->pops = true;
			break;
		case FLOW_ACTION_VLAN_PUSH:
			rule->pushes = true;
			rule->push = *e;
			rule->push.vlan.prio = 0;	/* bnxt_tc_parse_vlan() leaves it out */
			break;
		case FLOW_ACTION_VLAN_MANGLE:
		case FLOW_ACTION_TUNNEL_ENCAP:	/* takes some; none here */
		case FLOW_ACTION_TUNNEL_DECAP:
			return -EOPNOTSUPP;
		case FLOW_ACTION_MANGLE:
			err = simnic_bnxt_pedit(rule, e);
			break;
		default:	/* accepted, and not done: csum, police, ct, mirror, ... */
			break;
		}
		if (err)
			return err;
	}
	return rule->rewrites_mac ? simnic_bnxt_macs_ok(rule) : 0;
}

/**
 * simnic_bnxt_check_actions - refuse actions as this card does, without words
 * @p: the rule with its match
 * @actions: from tc
 *
 * Return: 0, -EINVAL or -EOPNOTSUPP.
 */
int simnic_bnxt_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	struct simnic_bnxt_rule rule;

	if (!flow_action_basic_hw_stats_check(actions, p->extack))
		return -EOPNOTSUPP;
	return simnic_bnxt_read(p, actions, &rule);
}

static void simnic_bnxt_add_mangle(struct flow_action *done, enum flow_action_mangle_base base,
				   u32 offset, u32 mask, u32 val)
{
	struct flow_action_entry e = {
		.id = FLOW_ACTION_MANGLE,
		.hw_stats = FLOW_ACTION_HW_STATS_ANY,
		.mangle = { .htype = base, .mask = mask, .offset = offset, .val = val },
	};

	simnic_add_action(done, &e);
}

/*
 * The request carries addresses, not masks; an address of zeros stands for none [inference].
 * With a tag to push or pop the driver puts the addresses of the match in the place of those of
 * pedit: the frame keeps its own.
 */
static void simnic_bnxt_add_macs(const struct simnic_bnxt_rule *rule, struct flow_action *done)
{
	u32 words[3], masks[3];
	unsigned int i;

	if (!rule->rewrites_mac || rule->pops || rule->pushes)
		return;
	memcpy(words, rule->mac, sizeof(words));
	memcpy(masks, rule->mac_mask, sizeof(masks));
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (masks[i])
			simnic_bnxt_add_mangle(done, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4 * i,
					       ~masks[i], words[i] & masks[i]);
}

static void simnic_bnxt_add_nat(const struct simnic_bnxt_rule *rule, struct flow_action *done)
{
	enum flow_action_mangle_base base = rule->nat_ip4 ? FLOW_ACT_MANGLE_HDR_TYPE_IP4 :
		FLOW_ACT_MANGLE_HDR_TYPE_IP6;
	unsigned int i, words = rule->nat_ip4 ? 1 : 4, which = rule->nat_source ? 1 : 0;
	u32 offset = rule->nat_ip4 ? offsetof(struct iphdr, saddr) :
		offsetof(struct ipv6hdr, saddr);
	__be16 port[2] = {};	/* source, destination */
	__be16 written[2] = {};
	u32 val, mask;

	if (!rule->nat)
		return;
	if (!rule->nat_source)
		offset += words * sizeof(u32);
	for (i = 0; i < words; i++)
		simnic_bnxt_add_mangle(done, base, offset + i * sizeof(u32), 0,
				       rule->address[which][i]);
	if (!rule->port[which])
		return;
	port[!which] = rule->port[which];
	written[!which] = htons(0xffff);
	memcpy(&val, port, sizeof(val));
	memcpy(&mask, written, sizeof(mask));
	simnic_bnxt_add_mangle(done, rule->l4, 0, ~mask, val);
}

/**
 * simnic_bnxt_translate - what the card does
 * @p: the rule
 * @actions: from tc, checked
 * @done: out
 *
 * Of a push and a pop the pop wins. Whether the firmware mends checksums after it has rewritten
 * an address is not in the source; simnic does not. A rule that neither forwards nor drops hands
 * the frame to the host [inference].
 */
void simnic_bnxt_translate(struct simnic_parse *p, const struct flow_action *actions,
			   struct flow_action *done)
{
	struct simnic_bnxt_rule rule;

	if (simnic_bnxt_read(p, actions, &rule))
		return;
	if (rule.drops) {
		simnic_add_verdict(done, FLOW_ACTION_DROP);
		return;
	}
	if (rule.pops)
		simnic_add_verdict(done, FLOW_ACTION_VLAN_POP);
	simnic_bnxt_add_macs(&rule, done);
	simnic_bnxt_add_nat(&rule, done);
	if (rule.pushes && !rule.pops)
		simnic_add_action(done, &rule.push);
	if (rule.redirect.dev)
		simnic_add_action(done, &rule.redirect);
	else
		simnic_add_verdict(done, FLOW_ACTION_ACCEPT);
}
