// SPDX-License-Identifier: GPL-2.0
/* simnic: the flow table as text, one rule a line. */
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>

#include "flow.h"

/**
 * simnic_show_port - print the name of a port of the switch
 * @s: output
 * @vport: its number
 */
void simnic_show_port(struct seq_file *s, u16 vport)
{
	if (vport == SIMNIC_VPORT_UPLINK)
		seq_puts(s, "uplink");
	else if (vport == SIMNIC_VPORT_SECOND)
		seq_puts(s, "second");
	else
		seq_printf(s, "vf%u", vport);
}

static void simnic_show_mac(struct seq_file *s, const char *name, const u8 *addr,
			    const u8 *mask)
{
	if (is_zero_ether_addr(mask))
		return;
	seq_printf(s, " %s %pM", name, addr);
	if (!is_broadcast_ether_addr(mask))
		seq_printf(s, "/%pM", mask);
}

static void simnic_show_be16(struct seq_file *s, const char *fmt, __be16 value, __be16 mask)
{
	if (!mask)
		return;
	seq_printf(s, fmt, ntohs(value));
	if (mask != htons(0xffff))
		seq_printf(s, "/%#x", ntohs(mask));
}

static void simnic_show_addr(struct seq_file *s, const char *name, const __be32 *addr,
			     const __be32 *mask, bool v6)
{
	if (!mask[0] && !mask[1] && !mask[2] && !mask[3])
		return;
	if (v6)
		seq_printf(s, " %s %pI6c/%pI6c", name, addr, mask);
	else
		seq_printf(s, " %s %pI4/%pI4", name, addr, mask);
}

static void simnic_show_match(struct seq_file *s, const struct simnic_rule *rule)
{
	const struct simnic_key *k = &rule->key, *m = &rule->mask;
	bool v6 = k->n_proto == htons(ETH_P_IPV6);

	simnic_show_be16(s, " protocol %04x", k->outer_proto, m->outer_proto);
	simnic_show_be16(s, " tci %#x", k->vlan_tci, m->vlan_tci);
	simnic_show_be16(s, " vlan_ethtype %04x", k->vlan_next, m->vlan_next);
	simnic_show_be16(s, " cvlan_tci %#x", k->cvlan_tci, m->cvlan_tci);
	simnic_show_be16(s, " cvlan_ethtype %04x", k->cvlan_next, m->cvlan_next);
	if (m->tags)
		seq_printf(s, " num_of_vlans %u", k->tags);
	if (m->in_port)
		seq_printf(s, " in_port %u", k->in_port);
	simnic_show_be16(s, " eth_type %04x", k->n_proto, m->n_proto);
	simnic_show_mac(s, "dst_mac", k->eth_dst, m->eth_dst);
	simnic_show_mac(s, "src_mac", k->eth_src, m->eth_src);
	if (m->ip_proto)
		seq_printf(s, " ip_proto %u", k->ip_proto);
	if (m->tos)
		seq_printf(s, " ip_tos %#x/%#x", k->tos, m->tos);
	if (m->ttl)
		seq_printf(s, " ip_ttl %u/%#x", k->ttl, m->ttl);
	if (m->fragment)
		seq_printf(s, " %s", k->fragment ? "frag" : "nofrag");
	if (m->first_fragment)
		seq_printf(s, " %s", k->first_fragment ? "firstfrag" : "nofirstfrag");
	simnic_show_addr(s, "src_ip", k->src, m->src, v6);
	simnic_show_addr(s, "dst_ip", k->dst, m->dst, v6);
	simnic_show_be16(s, " src_port %u", k->sport, m->sport);
	simnic_show_be16(s, " dst_port %u", k->dport, m->dport);
}

static void simnic_show_rule(struct seq_file *s, const struct simnic_rule *rule)
{
	unsigned int i;

	seq_puts(s, "in ");
	simnic_show_port(s, rule->vport->id);
	seq_printf(s, " prio %u", rule->prio);
	if (rule->chain)
		seq_printf(s, " chain %u", rule->chain);
	simnic_show_match(s, rule);
	seq_puts(s, " ->");
	for (i = 0; i < rule->num_actions; i++) {
		seq_puts(s, i ? ", " : " ");
		rule->actions[i].ops->show(s, &rule->actions[i]);
	}
	seq_printf(s, " | packets %llu bytes %llu drops %llu\n",
		   (u64)atomic64_read(&rule->packets), (u64)atomic64_read(&rule->bytes),
		   (u64)atomic64_read(&rule->drops));
}

static void simnic_show_vport(struct seq_file *s, const struct simnic_vport *vport)
{
	const struct simnic_group *group;
	const struct simnic_rule *rule;
	unsigned int i;

	list_for_each_entry(group, &vport->groups, list)
		for (i = 0; i < SIMNIC_GROUP_BUCKETS; i++)
			hlist_for_each_entry(rule, &group->buckets[i], in_group)
				simnic_show_rule(s, rule);
}

/**
 * simnic_show_rules - all rules, by ingress port and priority
 * @s: output
 * @hw: the card; under RTNL
 */
void simnic_show_rules(struct seq_file *s, struct simnic_hw *hw)
{
	unsigned int i;

	simnic_show_vport(s, &hw->uplink);
	simnic_show_vport(s, &hw->second);
	for (i = 0; i < hw->total_vfs; i++)
		simnic_show_vport(s, &hw->vfs[i]);
}
