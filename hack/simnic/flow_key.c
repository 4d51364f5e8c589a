// SPDX-License-Identifier: GPL-2.0
/* simnic: the parser of the simulated hardware, a frame to its key. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "flow.h"

static bool simnic_has(const struct simnic_pass *pass, unsigned int off, unsigned int len)
{
	return off + len <= pass->frame->len;
}

static void simnic_parse_ports(struct simnic_pass *pass, unsigned int off)
{
	const __be16 *ports = (const __be16 *)(pass->frame->data + off);

	if (pass->key.ip_proto != IPPROTO_TCP && pass->key.ip_proto != IPPROTO_UDP &&
	    pass->key.ip_proto != IPPROTO_SCTP)
		return;
	/* Ports are in the first fragment only, and some cards do not look there. */
	if (pass->key.fragment &&
	    (!pass->key.first_fragment ||
	     READ_ONCE(pass->hw->knobs.fragments) == SIMNIC_FRAGMENTS_NONE))
		return;
	if (!simnic_has(pass, off, 8))
		return;
	pass->l4 = off;
	pass->key.has_ports = 0xff;
	pass->key.sport = ports[0];
	pass->key.dport = ports[1];
}

static void simnic_parse_fragment(struct simnic_pass *pass, bool more, bool behind)
{
	if (!more && !behind)
		return;
	pass->key.fragment = 0xff;
	if (!behind)
		pass->key.first_fragment = 0xff;
}

static void simnic_parse_ipv4(struct simnic_pass *pass, unsigned int off)
{
	const struct iphdr *ip = (const struct iphdr *)(pass->frame->data + off);

	if (!simnic_has(pass, off, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5 ||
	    !simnic_has(pass, off, ip->ihl * 4))
		return;
	pass->l3 = off;
	pass->key.ip_proto = ip->protocol;
	pass->key.tos = ip->tos;
	pass->key.ttl = ip->ttl;
	pass->key.src[0] = ip->saddr;
	pass->key.dst[0] = ip->daddr;
	simnic_parse_fragment(pass, ip->frag_off & htons(IP_MF),
			      ip->frag_off & htons(IP_OFFSET));
	simnic_parse_ports(pass, off + ip->ihl * 4);
}

/*
 * Of the extension headers the card knows only the fragment header; behind
 * any other it finds no ports.
 */
static void simnic_parse_ipv6(struct simnic_pass *pass, unsigned int off)
{
	const struct ipv6hdr *ip = (const struct ipv6hdr *)(pass->frame->data + off);
	unsigned int next = off + sizeof(*ip);

	if (!simnic_has(pass, off, sizeof(*ip)) || ip->version != 6)
		return;
	pass->l3 = off;
	pass->key.ip_proto = ip->nexthdr;
	pass->key.tos = ipv6_get_dsfield(ip);
	pass->key.ttl = ip->hop_limit;
	memcpy(pass->key.src, &ip->saddr, sizeof(ip->saddr));
	memcpy(pass->key.dst, &ip->daddr, sizeof(ip->daddr));
	if (ip->nexthdr == NEXTHDR_FRAGMENT) {
		const struct frag_hdr *frag;

		if (!simnic_has(pass, next, sizeof(*frag)))
			return;
		frag = (const struct frag_hdr *)(pass->frame->data + next);
		pass->key.ip_proto = frag->nexthdr;
		simnic_parse_fragment(pass, frag->frag_off & htons(IP6_MF),
				      frag->frag_off & htons(IP6_OFFSET));
		next += sizeof(*frag);
	}
	simnic_parse_ports(pass, next);
}

/**
 * simnic_parse_frame - fill in key and header offsets
 * @pass: with its frame set
 */
void simnic_parse_frame(struct simnic_pass *pass)
{
	const struct ethhdr *eth = (const struct ethhdr *)pass->frame->data;
	unsigned int off = ETH_HLEN;
	unsigned int tags;
	__be16 proto;

	memset(&pass->key, 0, sizeof(pass->key));
	pass->l3 = 0;
	pass->l4 = 0;
	pass->key.in_port = pass->vport->id;
	ether_addr_copy(pass->key.eth_dst, eth->h_dest);
	ether_addr_copy(pass->key.eth_src, eth->h_source);
	proto = eth->h_proto;
	pass->key.outer_proto = proto;
	for (tags = 0; tags < SIMNIC_MAX_TAGS && eth_type_vlan(proto); tags++) {
		const struct vlan_hdr *tag;

		if (!simnic_has(pass, off, VLAN_HLEN))
			return;
		tag = (const struct vlan_hdr *)(pass->frame->data + off);
		proto = tag->h_vlan_encapsulated_proto;
		if (!tags) {
			pass->key.vlan_tci = tag->h_vlan_TCI;
			pass->key.vlan_next = proto;
		} else {
			pass->key.cvlan_tci = tag->h_vlan_TCI;
			pass->key.cvlan_next = proto;
		}
		pass->key.tags = tags + 1;
		off += VLAN_HLEN;
	}
	pass->key.n_proto = proto;
	if (proto == htons(ETH_P_IP))
		simnic_parse_ipv4(pass, off);
	else if (proto == htons(ETH_P_IPV6))
		simnic_parse_ipv6(pass, off);
}
