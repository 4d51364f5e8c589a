// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile nfp: the nfp driver of Linux 6.12 with flower firmware.
 *
 * The firmware is one that has all features of the driver's list (flower/main.h:
 * NFP_FL_FEATS_HOST), meters and priorities of VLAN tags among them.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tc_act/tc_csum.h>
#include <net/ipv6.h>

#include "profile.h"

#define SIMNIC_NFP_KEYS	(BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_TCP) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_PORTS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_CVLAN) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_KEYID) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_CONTROL) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_PORTS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_OPTS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IP) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_MPLS) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_CT) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_META) | \
			 BIT_ULL(FLOW_DISSECTOR_KEY_IP))

#define SIMNIC_NFP_ABOVE_L3	BIT_ULL(FLOW_DISSECTOR_KEY_PORTS)
#define SIMNIC_NFP_ABOVE_L2	(SIMNIC_NFP_ABOVE_L3 | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS))

/* A macro, because simnic_refuse() keeps long words only where they are constant. */
#define simnic_nfp_no(p, why) \
	simnic_refuse((p)->extack, -EOPNOTSUPP, "unsupported offload: " why)

static bool simnic_nfp_knows_ports(u8 ip_proto)
{
	return ip_proto == IPPROTO_TCP || ip_proto == IPPROTO_UDP || ip_proto == IPPROTO_SCTP ||
		ip_proto == IPPROTO_ICMP || ip_proto == IPPROTO_ICMPV6;
}

/**
 * simnic_nfp_check_match - refuse a match as this card does
 * @p: the rule, its match not parsed yet
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_nfp_check_match(struct simnic_parse *p)
{
	u64 used = p->flow->match.dissector->used_keys;
	struct flow_match_basic basic;

	if (used & ~SIMNIC_NFP_KEYS)
		return simnic_nfp_no(p, "match not supported");
	flow_rule_match_basic(p->flow, &basic);
	if (basic.mask->n_proto) {
		switch (basic.key->n_proto) {
		case htons(ETH_P_IP):
		case htons(ETH_P_IPV6):
		case htons(ETH_P_MPLS_UC):
		case htons(ETH_P_MPLS_MC):
		case htons(ETH_P_8021Q):
			break;
		case htons(ETH_P_ARP):
			return simnic_nfp_no(p, "ARP not supported");
		default:
			return simnic_nfp_no(p, "match on given EtherType is not supported");
		}
	} else if (used & SIMNIC_NFP_ABOVE_L2) {
		return simnic_nfp_no(p, "cannot match above L2 without specified EtherType");
	}
	if ((!basic.mask->ip_proto || !simnic_nfp_knows_ports(basic.key->ip_proto)) &&
	    used & SIMNIC_NFP_ABOVE_L3)
		return simnic_nfp_no(p, "cannot match on L4 information without specified IP protocol type");
	return 0;
}

/* The checksums that the card mends by itself, as the protocol of the match says */
static u32 simnic_nfp_l4_sums(const struct simnic_rule *rule)
{
	switch (rule->key.ip_proto) {
	case 0:
		return TCA_CSUM_UPDATE_FLAG_TCP | TCA_CSUM_UPDATE_FLAG_UDP;
	case IPPROTO_TCP:
		return TCA_CSUM_UPDATE_FLAG_TCP;
	case IPPROTO_UDP:
		return TCA_CSUM_UPDATE_FLAG_UDP;
	default:
		return 0;
	}
}

static int simnic_nfp_ip4(struct simnic_parse *p, u32 offset, u32 written)
{
	const struct iphdr *tos = (const struct iphdr *)&written;

	switch (offset) {
	case offsetof(struct iphdr, daddr):
	case offsetof(struct iphdr, saddr):
		return 0;
	case offsetof(struct iphdr, ttl):
		if (written & ~(__force u32)htonl(0xff000000))
			return simnic_nfp_no(p, "invalid pedit IPv4 ttl action");
		return 0;
	case 0:
		if (tos->version || tos->ihl || tos->tot_len)
			return simnic_nfp_no(p, "invalid pedit IPv4 tos action");
		return 0;
	default:
		return simnic_nfp_no(p, "pedit on unsupported section of IPv4 header");
	}
}

static int simnic_nfp_ip6(struct simnic_parse *p, u32 offset, u32 written)
{
	if (offset == offsetof(struct ipv6hdr, payload_len) &&
	    written & ~(__force u32)htonl(0x000000ff))
		return simnic_nfp_no(p, "invalid pedit IPv6 hop limit action");
	if (!offset && written & ~(__force u32)IPV6_FLOWINFO_MASK)
		return simnic_nfp_no(p, "invalid pedit IPv6 flow info action");
	if (offset >= sizeof(struct ipv6hdr))
		return simnic_nfp_no(p, "pedit on unsupported section of IPv6 header");
	return 0;
}

/* @sums: out, checksums that the card changes along with the field */
static int simnic_nfp_pedit(struct simnic_parse *p, const struct flow_action_entry *e, u32 *sums)
{
	u32 offset = e->mangle.offset, written = ~e->mangle.mask;

	switch (e->mangle.htype) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		if (offset + 4 > 2 * ETH_ALEN || e->mangle.val & ~written)
			return simnic_nfp_no(p, "invalid pedit ethernet action");
		return 0;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (e->mangle.val & ~written)
			return simnic_nfp_no(p, "invalid pedit IPv4 action");
		*sums |= TCA_CSUM_UPDATE_FLAG_IPV4HDR | simnic_nfp_l4_sums(p->rule);
		return simnic_nfp_ip4(p, offset, written);
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		if (e->mangle.val & ~written)
			return simnic_nfp_no(p, "invalid pedit IPv6 action");
		*sums |= simnic_nfp_l4_sums(p->rule);
		return simnic_nfp_ip6(p, offset, written);
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		if (offset)
			return simnic_nfp_no(p, "pedit on unsupported section of L4 header");
		if (e->mangle.val & ~written)
			return simnic_nfp_no(p, "invalid pedit L4 action");
		*sums |= simnic_nfp_l4_sums(p->rule);
		return 0;
	default:
		return simnic_nfp_no(p, "pedit on unsupported header");
	}
}

static int simnic_nfp_output(struct simnic_parse *p, const struct flow_action_entry *e, u32 sums)
{
	if (sums)
		return simnic_nfp_no(p, "set actions without updating checksums are not supported");
	if (!e->dev)
		return simnic_nfp_no(p, "invalid egress interface for mirred action");
	if (!simnic_on_switch(p, e))
		return simnic_nfp_no(p, "ingress and egress interfaces are on different devices");
	return 0;
}

/* @sums: those that the card changes and no csum action has asked for so far */
static int simnic_nfp_action(struct simnic_parse *p, const struct flow_action_entry *e, u32 *sums)
{
	switch (e->id) {
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_REDIRECT_INGRESS:
	case FLOW_ACTION_MIRRED:
	case FLOW_ACTION_MIRRED_INGRESS:
		return simnic_nfp_output(p, e, *sums);
	case FLOW_ACTION_MANGLE:
		return simnic_nfp_pedit(p, e, sums);
	case FLOW_ACTION_CSUM:
		if (e->csum_flags & ~*sums)
			return simnic_nfp_no(p, "unsupported csum update action in action list");
		*sums &= ~e->csum_flags;
		return 0;
	case FLOW_ACTION_PTYPE:
		return e->ptype == PACKET_HOST ? 0 : -EOPNOTSUPP;
	case FLOW_ACTION_DROP:
	case FLOW_ACTION_VLAN_POP:
	case FLOW_ACTION_VLAN_PUSH:
	case FLOW_ACTION_TUNNEL_ENCAP:
	case FLOW_ACTION_TUNNEL_DECAP:
	case FLOW_ACTION_MPLS_PUSH:
	case FLOW_ACTION_MPLS_POP:
	case FLOW_ACTION_MPLS_MANGLE:
	case FLOW_ACTION_POLICE:	/* simnic_nfp_check_police() */
		return 0;
	default:
		return simnic_nfp_no(p, "unsupported action in action list");
	}
}

/**
 * simnic_nfp_check_actions - refuse actions as this card does
 * @p: the rule with its match
 * @actions: from tc
 *
 * Checksums must be what the card does by itself after a pedit, all of it and no more.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_nfp_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e;
	u32 sums = 0;
	int i, err;

	flow_action_for_each(i, e, actions) {
		err = simnic_nfp_action(p, e, &sums);
		if (err)
			return err;
	}
	return 0;
}

static int simnic_nfp_validate(const struct flow_action_entry *e, bool of_port,
			       struct netlink_ext_ack *extack)
{
	enum flow_action_id conform = e->police.notexceed.act_id;

	if (e->police.exceed.act_id != FLOW_ACTION_DROP)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when exceed action is not drop");
	if (of_port && conform != FLOW_ACTION_CONTINUE && conform != FLOW_ACTION_ACCEPT)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when conform action is not continue or ok");
	if (!of_port && conform != FLOW_ACTION_PIPE && conform != FLOW_ACTION_ACCEPT)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when conform action is not pipe or ok");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when peakrate/avrate/overhead is configured");
	return 0;
}

/**
 * simnic_nfp_check_police - the limits of police on this card
 * @hw: the card
 * @e: FLOW_ACTION_POLICE
 * @standalone: offered by tc alone, not by a flower filter
 * @extack: reason of a refusal
 *
 * A filter may use a meter that is in the card already, none of its own.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_nfp_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack)
{
	int err;

	if (!standalone && !simnic_meter_is_standalone(hw, e->cookie))
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "can not offload flow table with unsupported police action.");
	if (!standalone)
		return 0;
	err = simnic_nfp_validate(e, false, extack);
	if (!err && !e->police.rate_bytes_ps && !e->police.rate_pkt_ps)
		err = simnic_refuse(extack, -EOPNOTSUPP,
				    "unsupported offload: unsupported qos rate limit");
	return err;
}

/**
 * simnic_nfp_check_matchall - refuse a matchall filter as this card does
 * @p: rule without a match
 * @actions: from tc
 *
 * matchall has one use: the policer of a VF's port, for bytes, packets or both.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_nfp_check_matchall(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e;
	unsigned int bytes = 0, packets = 0;
	int i, err;

	if (simnic_is_uplink(p->vport))
		return simnic_nfp_no(p, "qos rate limit offload not supported on non-VF ports");
	if (!actions->num_entries || actions->num_entries > 2)
		return simnic_nfp_no(p, "qos rate limit offload only support action number 1 or 2");
	if (p->rule->prio != 1)
		return simnic_nfp_no(p, "qos rate limit offload requires highest priority");
	flow_action_for_each(i, e, actions) {
		if (e->id != FLOW_ACTION_POLICE)
			return simnic_nfp_no(p, "qos rate limit offload requires police action");
		err = simnic_nfp_validate(e, true, p->extack);
		if (err)
			return err;
		if (e->police.rate_bytes_ps && bytes++)
			return simnic_nfp_no(p, "qos rate limit offload only support one BPS action");
		if (e->police.rate_pkt_ps && packets++)
			return simnic_nfp_no(p, "qos rate limit offload only support one PPS action");
	}
	return 0;
}
