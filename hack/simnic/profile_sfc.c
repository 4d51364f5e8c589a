// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile sfc: the sfc driver of Linux 6.12 on EF100.
 *
 * The firmware is one that can match on all fields that the driver knows (mae.c:
 * efx_mae_match_check_caps()).
 */
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "profile.h"

#define SIMNIC_SFC_L4_KEYS	(BIT_ULL(FLOW_DISSECTOR_KEY_PORTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_TCP))

#define SIMNIC_SFC_IP_KEYS	(BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IP) | \
				 SIMNIC_SFC_L4_KEYS)

#define SIMNIC_SFC_KEYS		(BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_CVLAN) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_KEYID) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IP) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_PORTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_CONTROL) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_CT) | \
				 SIMNIC_SFC_IP_KEYS)

/**
 * simnic_sfc_check_match - refuse a match as this card does
 * @p: the rule, its match not parsed yet
 *
 * Return: 0, -EOPNOTSUPP or -EINVAL.
 */
int simnic_sfc_check_match(struct simnic_parse *p)
{
	u64 used = p->flow->match.dissector->used_keys;
	struct flow_match_basic basic;

	if (used & ~SIMNIC_SFC_KEYS)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Unsupported flower keys %#llx", used);
	flow_rule_match_basic(p->flow, &basic);
	if ((basic.mask->n_proto != htons(0xffff) ||
	     (basic.key->n_proto != htons(ETH_P_IP) && basic.key->n_proto != htons(ETH_P_IPV6))) &&
	    used & SIMNIC_SFC_IP_KEYS)
		return simnic_refuse(p->extack, -EINVAL,
				     "L3/L4 flower keys %#llx require protocol ipv[46]", used);
	if ((basic.mask->ip_proto != 0xff ||
	     (basic.key->ip_proto != IPPROTO_UDP && basic.key->ip_proto != IPPROTO_TCP)) &&
	    used & SIMNIC_SFC_L4_KEYS)
		return simnic_refuse(p->extack, -EINVAL,
				     "L4 flower keys %#llx require ipproto udp or tcp", used);
	return 0;
}

/* What was seen of the actions: halves of MAC addresses, and limits of the card */
struct simnic_sfc_seen {
	bool dst_32, dst_16, src_32, src_16;
	bool ttl, done;
	unsigned int pops, pushes;
};

static void simnic_sfc_complete(struct simnic_sfc_seen *seen)
{
	if (seen->dst_32 && seen->dst_16)
		seen->dst_32 = seen->dst_16 = false;
	if (seen->src_32 && seen->src_16)
		seen->src_32 = seen->src_16 = false;
}

static int simnic_sfc_mac(struct simnic_parse *p, const struct flow_action_entry *e,
			  struct simnic_sfc_seen *seen)
{
	u32 mask = e->mangle.mask;

	switch (e->mangle.offset) {
	case 0:
		if (mask)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "mask (%#x) of eth.dst32 mangle is not supported",
					     mask);
		seen->dst_32 = true;
		break;
	case 4:
		if (mask != 0xffff && mask != 0xffff0000)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "mask (%#x) of eth+4 mangle is not high or low 16b",
					     mask);
		seen->src_16 |= mask == 0xffff;
		seen->dst_16 |= mask == 0xffff0000;
		break;
	case 8:
		if (mask)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "mask (%#x) of eth.src32 mangle is not supported",
					     mask);
		seen->src_32 = true;
		break;
	default:
		return simnic_refuse(p->extack, -EOPNOTSUPP, "mangle eth+%u %x/%x is not supported",
				     e->mangle.offset, e->mangle.val, mask);
	}
	simnic_sfc_complete(seen);
	return 0;
}

/*
 * The card can only count TTL and hop limit down by one. It can set one that a match names
 * exactly, to one less; a match on it is beyond this profile's reach, so every set is refused.
 */
static int simnic_sfc_mangle(struct simnic_parse *p, const struct flow_action_entry *e,
			     struct simnic_sfc_seen *seen)
{
	switch (e->mangle.htype) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		return simnic_sfc_mac(p, e, seen);
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (e->mangle.offset == offsetof(struct iphdr, ttl))
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "only support mangle ttl when we have an exact match, current mask (0x0)");
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "only support mangle on the ttl field (offset is %u)",
				     e->mangle.offset);
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		if (e->mangle.offset == offsetof(struct ipv6hdr, payload_len))
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "only support hop_limit when we have an exact match, current mask (0x0)");
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "only support mangle on the hop_limit field");
	default:
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Unhandled mangle htype %u for action rule", e->mangle.htype);
	}
}

static int simnic_sfc_add(struct simnic_parse *p, const struct flow_action_entry *e,
			  struct simnic_sfc_seen *seen)
{
	bool ttl = e->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_IP4 &&
		e->mangle.offset == offsetof(struct iphdr, ttl) &&
		e->mangle.mask == 0xffffff00 && (e->mangle.val & 0xff) == 0xff;
	bool hops = e->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_IP6 &&
		e->mangle.offset == offsetof(struct ipv6hdr, payload_len) &&
		e->mangle.mask == 0x00ffffff && e->mangle.val >> 24 == 0xff;

	if (!ttl && !hops)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "ttl add action type %x %x %x/%x is not supported",
				     e->mangle.htype, e->mangle.offset, e->mangle.val,
				     e->mangle.mask);
	if (seen->ttl)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "multiple dec ttl are not supported");
	seen->ttl = true;
	return 0;
}

static int simnic_sfc_action(struct simnic_parse *p, const struct flow_action_entry *e,
			     struct simnic_sfc_seen *seen)
{
	if (seen->done)
		return simnic_refuse(p->extack, -EINVAL, "Action follows non-pipe action");
	switch (e->id) {
	case FLOW_ACTION_DROP:
		seen->done = true;
		return 0;
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_MIRRED:
		if (!simnic_on_switch(p, e))
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "Mirred egress device not on switch");
		seen->done = e->id == FLOW_ACTION_REDIRECT;
		return 0;
	case FLOW_ACTION_VLAN_POP:
		if (seen->pushes)
			seen->pushes--;
		else if (++seen->pops > 2)
			return simnic_refuse(p->extack, -EINVAL,
					     "More than two VLAN pops, or action order violated");
		return 0;
	case FLOW_ACTION_VLAN_PUSH:
		if (++seen->pushes > 2)
			return simnic_refuse(p->extack, -EINVAL,
					     "More than two VLAN pushes, or action order violated");
		return 0;
	case FLOW_ACTION_MANGLE:
		return simnic_sfc_mangle(p, e, seen);
	case FLOW_ACTION_ADD:
		return simnic_sfc_add(p, e, seen);
	default:
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Unhandled action %u", e->id);
	}
}

/**
 * simnic_sfc_check_actions - refuse actions as this card does
 * @p: the rule with its match
 * @actions: from tc
 *
 * Return: 0, -EOPNOTSUPP or -EINVAL.
 */
int simnic_sfc_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	struct simnic_sfc_seen seen = {};
	const struct flow_action_entry *e;
	int i, err;

	flow_action_for_each(i, e, actions) {
		err = simnic_sfc_action(p, e, &seen);
		if (err)
			return err;
	}
	if (seen.dst_32 || seen.dst_16)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Incomplete pedit of destination MAC address");
	if (seen.src_32 || seen.src_16)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Incomplete pedit of source MAC address");
	return 0;
}

/**
 * simnic_sfc_translate - what the card does: the same, and then the host gets the frame
 * @p: the rule
 * @actions: from tc, checked
 * @done: out
 */
void simnic_sfc_translate(struct simnic_parse *p, const struct flow_action *actions,
			  struct flow_action *done)
{
	const struct flow_action_entry *e;
	bool ends = false;
	int i;

	flow_action_for_each(i, e, actions) {
		simnic_add_action(done, e);
		ends = e->id == FLOW_ACTION_DROP || e->id == FLOW_ACTION_REDIRECT;
	}
	if (!ends)
		simnic_add_verdict(done, FLOW_ACTION_ACCEPT);
}
