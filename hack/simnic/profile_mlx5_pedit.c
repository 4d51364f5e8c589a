// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile mlx5: rewriting.
 *
 * Source: act/pedit.c, offload_pedit_fields() and modify_header_match_supported() of
 * mellanox/mlx5/core/en_tc.c, Linux 6.12.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "profile_mlx5.h"

/* The word is matched and rewritten to the same: the card does nothing. */
static bool simnic_mlx5_elided(const struct simnic_rule *rule,
			       const struct flow_action_entry *e)
{
	const struct simnic_key *k = &rule->key, *m = &rule->mask;
	__be32 key = 0, mask = 0;

	switch (e->mangle.htype) {
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (e->mangle.offset == offsetof(struct iphdr, saddr)) {
			key = k->src[0];
			mask = m->src[0];
		} else if (e->mangle.offset == offsetof(struct iphdr, daddr)) {
			key = k->dst[0];
			mask = m->dst[0];
		}
		break;
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		key = htonl(ntohs(k->sport) << 16 | ntohs(k->dport));
		mask = htonl(ntohs(m->sport) << 16 | ntohs(m->dport));
		break;
	default:
		return false;
	}
	return !(~(__force u32)mask & ~e->mangle.mask) &&
		!(((__force u32)key ^ e->mangle.val) & ~e->mangle.mask);
}

static bool simnic_mlx5_only_ttl(const struct flow_action_entry *e)
{
	u32 written = ~e->mangle.mask;

	if (e->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_IP4)
		return e->mangle.offset == offsetof(struct iphdr, ttl) &&
			!(written & ~(__force u32)htonl(0xff000000));
	return e->mangle.offset == offsetof(struct ipv6hdr, payload_len) &&
		!(written & ~(__force u32)htonl(0x000000ff));
}

/* The bits of a word that the table `fields` of en_tc.c can name, in frame order */
static u32 simnic_mlx5_fields(u8 header, u32 offset)
{
	switch (header) {
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (!offset)
			return (__force u32)htonl(0x00fc0000);	/* DSCP without ECN */
		break;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		if (!offset)
			return (__force u32)htonl(0x0fc00000);
		break;
	}
	return simnic_rewritable(header, offset);
}

/**
 * simnic_mlx5_pedit - refuse a rewrite as this card does
 * @p: rule with its match
 * @e: FLOW_ACTION_MANGLE or FLOW_ACTION_ADD
 * @seen: what came before; takes this one in
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_mlx5_pedit(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_mlx5_seen *seen)
{
	u8 header = e->mangle.htype, proto = p->rule->key.ip_proto;
	u32 word = e->mangle.offset / 4, *masks;

	if (header == FLOW_ACT_MANGLE_UNSPEC)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "legacy pedit isn't offloaded");
	if (header >= ARRAY_SIZE(seen->masks[0]) || word >= ARRAY_SIZE(seen->masks[0][0]) ||
	    ~e->mangle.mask & ~simnic_mlx5_fields(header, e->mangle.offset))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "attempt to offload an unsupported field");
	masks = seen->masks[e->id == FLOW_ACTION_ADD][header];
	if (masks[word] & ~e->mangle.mask)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "curr_pmask and new mask same. Acting twice on same location");
	masks[word] |= ~e->mangle.mask;
	seen->rewrites = true;
	if (!simnic_mlx5_elided(p->rule, e) && ++seen->pedits > MLX5_MAX_PEDITS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "too many pedit actions, can't offload");
	if ((header == FLOW_ACT_MANGLE_HDR_TYPE_IP4 || header == FLOW_ACT_MANGLE_HDR_TYPE_IP6) &&
	    !simnic_mlx5_only_ttl(e) &&
	    proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "can't offload re-write of non TCP/UDP");
	seen->ports = 0;
	return 0;
}
