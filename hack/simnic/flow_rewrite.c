// SPDX-License-Identifier: GPL-2.0
/* simnic: the actions pedit and csum. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/seq_file.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/unaligned.h>
#include <net/checksum.h>
#include <net/ip6_checksum.h>

#include "flow.h"

static const char * const simnic_headers[] = {
	[FLOW_ACT_MANGLE_UNSPEC] = "network",
	[FLOW_ACT_MANGLE_HDR_TYPE_ETH] = "eth",
	[FLOW_ACT_MANGLE_HDR_TYPE_IP4] = "ip",
	[FLOW_ACT_MANGLE_HDR_TYPE_IP6] = "ip6",
	[FLOW_ACT_MANGLE_HDR_TYPE_TCP] = "tcp",
	[FLOW_ACT_MANGLE_HDR_TYPE_UDP] = "udp",
};

/**
 * simnic_header_name - the name of a header for words and dumps
 * @base: header
 *
 * Return: "unknown" for a header that the card does not know.
 */
const char *simnic_header_name(enum flow_action_mangle_base base)
{
	return base < ARRAY_SIZE(simnic_headers) ? simnic_headers[base] : "unknown";
}

/**
 * simnic_rewritable - the bits of a word that the card can rewrite
 * @base: header
 * @offset: of a word in it
 *
 * Return: the bits of the word, in frame order; 0: nothing.
 */
u32 simnic_rewritable(enum flow_action_mangle_base base, u32 offset)
{
	if (offset % 4)
		return 0;
	switch (base) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		return offset < 2 * ETH_ALEN ? ~0U : 0;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (offset == offsetof(struct iphdr, ttl))
			return (__force u32)htonl(0xff000000);
		return offset == offsetof(struct iphdr, saddr) ||
			offset == offsetof(struct iphdr, daddr) ? ~0U : 0;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		if (offset == offsetof(struct ipv6hdr, payload_len))
			return (__force u32)htonl(0x000000ff);	/* hop limit */
		return offset >= offsetof(struct ipv6hdr, saddr) &&
			offset < sizeof(struct ipv6hdr) ? ~0U : 0;
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		return offset ? 0 : ~0U;
	default:
		return 0;
	}
}

/*
 * The match must make sure that the header is there, or with @bare say nothing of it: such a
 * card rewrites what a frame has.
 */
static bool simnic_header_matched(const struct simnic_rule *rule, bool bare,
				  enum flow_action_mangle_base base)
{
	bool proto = rule->mask.ip_proto == 0xff;
	bool ether = rule->mask.n_proto == htons(0xffff);
	bool any_proto = bare && !rule->mask.ip_proto;
	bool any_ether = bare && !rule->mask.n_proto;

	switch (base) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		return true;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		return any_ether ||
			(ether && rule->key.n_proto == htons(ETH_P_IP) && (proto || any_proto));
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		return any_ether ||
			(ether && rule->key.n_proto == htons(ETH_P_IPV6) && (proto || any_proto));
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
		return any_proto || (proto && rule->key.ip_proto == IPPROTO_TCP);
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		return any_proto || (proto && rule->key.ip_proto == IPPROTO_UDP);
	default:
		return false;
	}
}

/**
 * simnic_parse_mangle - one key of a pedit action
 * @p: the rule so far
 * @e: FLOW_ACTION_MANGLE or FLOW_ACTION_ADD
 * @act: out
 *
 * Return: -EOPNOTSUPP with the reason, for fields the card cannot rewrite.
 */
int simnic_parse_mangle(struct simnic_parse *p, const struct flow_action_entry *e,
			struct simnic_action *act)
{
	enum flow_action_mangle_base base = e->mangle.htype;
	u32 allowed = simnic_rewritable(base, e->mangle.offset);
	u32 dsfield = p->extras & SIMNIC_EXTRA_DSFIELD ?
		simnic_dsfield(base, e->mangle.offset) : 0;
	const char *header = simnic_header_name(base);

	if (!(allowed | dsfield) || ~e->mangle.mask & ~(allowed | dsfield))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "cannot rewrite offset %u of the %s header",
				     e->mangle.offset, header);
	/* Addition is for a TTL or a hop limit, one byte without carry. */
	if (e->id == FLOW_ACTION_ADD && (allowed == ~0U || dsfield))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "pedit add works on TTL and hop limit only");
	if (!simnic_header_matched(p->rule, p->extras & SIMNIC_EXTRA_BARE, base))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "rewriting the %s header needs eth_type and ip_proto matched",
				     header);
	act->mangle.base = base;
	act->mangle.add = e->id == FLOW_ACTION_ADD;
	act->mangle.offset = e->mangle.offset;
	act->mangle.mask = e->mangle.mask;
	act->mangle.val = e->mangle.val;
	p->rewrites = true;
	return 0;
}

/* Start of a header, or NULL in a frame or fragment that does not have it */
static u8 *simnic_header(struct simnic_pass *pass, enum flow_action_mangle_base base)
{
	__be16 proto = pass->key.n_proto;

	switch (base) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		return pass->frame->data;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		return pass->l3 && proto == htons(ETH_P_IP) ? pass->frame->data + pass->l3 : NULL;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		return pass->l3 && proto == htons(ETH_P_IPV6) ? pass->frame->data + pass->l3 : NULL;
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
		return pass->l4 && pass->key.ip_proto == IPPROTO_TCP ?
			pass->frame->data + pass->l4 : NULL;
	default:
		return pass->l4 && pass->key.ip_proto == IPPROTO_UDP ?
			pass->frame->data + pass->l4 : NULL;
	}
}

/**
 * simnic_run_mangle - rewrite one word
 * @pass: the frame
 * @act: what to do
 *
 * Checksums stay as they were: that is what csum is for.
 *
 * Return: SIMNIC_NEXT
 */
enum simnic_verdict simnic_run_mangle(struct simnic_pass *pass,
				      const struct simnic_action *act)
{
	u8 *header = simnic_header(pass, act->mangle.base);
	u32 old, val = act->mangle.val;

	if (!header)
		return SIMNIC_NEXT;
	old = get_unaligned((u32 *)(header + act->mangle.offset));
	if (act->mangle.add)
		val = (old + val) & ~act->mangle.mask;
	put_unaligned((old & act->mangle.mask) ^ val,
		      (u32 *)(header + act->mangle.offset));
	return SIMNIC_NEXT;
}

/**
 * simnic_show_mangle - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_mangle(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "pedit %s+%u %s %08x/%08x", simnic_headers[act->mangle.base],
		   act->mangle.offset, act->mangle.add ? "add" : "set",
		   ntohl((__force __be32)act->mangle.val),
		   ntohl((__force __be32)~act->mangle.mask));
}

/**
 * simnic_parse_csum - a csum action
 * @p: the rule so far
 * @e: FLOW_ACTION_CSUM
 * @act: out
 *
 * Return: -EOPNOTSUPP with the reason, without a pedit before, or for headers
 * other than IPv4, TCP and UDP.
 */
int simnic_parse_csum(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_action *act)
{
	const u32 known = TCA_CSUM_UPDATE_FLAG_IPV4HDR | TCA_CSUM_UPDATE_FLAG_TCP |
		TCA_CSUM_UPDATE_FLAG_UDP;

	if (e->csum_flags & ~known)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "csum works on ip4h, tcp and udp only");
	if (!p->rewrites)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "csum is offloaded only after pedit");
	act->csum = e->csum_flags;
	return 0;
}

static void simnic_csum_ipv4(struct iphdr *ip)
{
	ip->check = 0;
	ip->check = ip_fast_csum(ip, ip->ihl);
}

/* Sum over the transport header and data plus the pseudo header */
static __sum16 simnic_sum(const struct simnic_pass *pass, unsigned int len)
{
	const void *l3 = pass->frame->data + pass->l3;
	const struct ipv6hdr *v6 = l3;
	__wsum sum = csum_partial(pass->frame->data + pass->l4, len, 0);

	if (pass->key.n_proto == htons(ETH_P_IP)) {
		const struct iphdr *ip = l3;

		return csum_tcpudp_magic(ip->saddr, ip->daddr, len, ip->protocol, sum);
	}
	return csum_ipv6_magic(&v6->saddr, &v6->daddr, len, pass->key.ip_proto, sum);
}

/* Length of transport header and data by the network header, without padding */
static unsigned int simnic_l4_len(const struct simnic_pass *pass)
{
	const void *l3 = pass->frame->data + pass->l3;
	unsigned int end;

	if (pass->key.n_proto == htons(ETH_P_IP))
		end = pass->l3 + ntohs(((const struct iphdr *)l3)->tot_len);
	else
		end = pass->l3 + sizeof(struct ipv6hdr) +
			ntohs(((const struct ipv6hdr *)l3)->payload_len);
	return end > pass->frame->len || end < pass->l4 ? 0 : end - pass->l4;
}

static void simnic_csum_tcp(struct simnic_pass *pass, unsigned int len)
{
	struct tcphdr *tcp = (struct tcphdr *)(pass->frame->data + pass->l4);

	if (len < sizeof(*tcp))
		return;
	tcp->check = 0;
	tcp->check = simnic_sum(pass, len);
}

static void simnic_csum_udp(struct simnic_pass *pass, unsigned int len)
{
	struct udphdr *udp = (struct udphdr *)(pass->frame->data + pass->l4);

	/* IPv4: no sum stays no sum. */
	if (len < sizeof(*udp) || (!udp->check && pass->key.n_proto == htons(ETH_P_IP)))
		return;
	udp->check = 0;
	udp->check = simnic_sum(pass, len);
	if (!udp->check)
		udp->check = CSUM_MANGLED_0;
}

/**
 * simnic_run_csum - recompute checksums
 * @pass: the frame
 * @act: which
 *
 * The sum of a fragment can't be known and is left alone.
 *
 * Return: SIMNIC_NEXT
 */
enum simnic_verdict simnic_run_csum(struct simnic_pass *pass,
				    const struct simnic_action *act)
{
	if (!pass->l3)
		return SIMNIC_NEXT;
	if (act->csum & TCA_CSUM_UPDATE_FLAG_IPV4HDR && pass->key.n_proto == htons(ETH_P_IP))
		simnic_csum_ipv4((struct iphdr *)(pass->frame->data + pass->l3));
	if (!pass->l4 || pass->key.fragment)
		return SIMNIC_NEXT;
	if (act->csum & TCA_CSUM_UPDATE_FLAG_TCP && pass->key.ip_proto == IPPROTO_TCP)
		simnic_csum_tcp(pass, simnic_l4_len(pass));
	if (act->csum & TCA_CSUM_UPDATE_FLAG_UDP && pass->key.ip_proto == IPPROTO_UDP)
		simnic_csum_udp(pass, simnic_l4_len(pass));
	return SIMNIC_NEXT;
}

/**
 * simnic_show_csum - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_csum(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "csum%s%s%s",
		   act->csum & TCA_CSUM_UPDATE_FLAG_IPV4HDR ? " ip4h" : "",
		   act->csum & TCA_CSUM_UPDATE_FLAG_TCP ? " tcp" : "",
		   act->csum & TCA_CSUM_UPDATE_FLAG_UDP ? " udp" : "");
}
