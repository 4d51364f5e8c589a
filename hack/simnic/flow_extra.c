// SPDX-License-Identifier: GPL-2.0
/* simnic: what some cards take beyond addresses and ports: chains, and TOS in pedit. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/seq_file.h>
#include <net/pkt_cls.h>

#include "flow.h"

/**
 * simnic_dsfield - the bits of a word that are TOS or traffic class
 * @base: header
 * @offset: of a word in it
 *
 * Return: the bits, in frame order; 0: none.
 */
u32 simnic_dsfield(enum flow_action_mangle_base base, u32 offset)
{
	if (offset)
		return 0;
	if (base == FLOW_ACT_MANGLE_HDR_TYPE_IP4)
		return (__force u32)htonl(0x00ff0000);
	return base == FLOW_ACT_MANGLE_HDR_TYPE_IP6 ? (__force u32)htonl(0x0ff00000) : 0;
}

/**
 * simnic_check_chain - refuse a filter of a chain that the card does not have
 * @common: the request
 * @extras: bits of enum simnic_extra
 *
 * Return: 0 or -EOPNOTSUPP, with the words of the kernel's helper for such cards.
 */
int simnic_check_chain(const struct flow_cls_common_offload *common, u32 extras)
{
	if (!common->chain_index || extras & SIMNIC_EXTRA_CHAINS)
		return 0;
	NL_SET_ERR_MSG(common->extack, "Driver supports only offload of chain 0");
	return -EOPNOTSUPP;
}

/**
 * simnic_parse_goto - goto chain
 * @p: the rule so far
 * @e: FLOW_ACTION_GOTO
 * @act: out
 *
 * Jumps lead to higher chains only, so each walk through the table ends.
 *
 * Return: -EOPNOTSUPP with the reason.
 */
int simnic_parse_goto(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_action *act)
{
	if (!(p->extras & SIMNIC_EXTRA_CHAINS))
		return simnic_refuse(p->extack, -EOPNOTSUPP, "action goto chain is not supported");
	if (e->chain_index <= p->rule->chain)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "cannot go from chain %u to chain %u: must be a higher one",
				     p->rule->chain, e->chain_index);
	act->chain = e->chain_index;
	return 0;
}

/**
 * simnic_run_goto - go on in another chain
 * @pass: the frame
 * @act: the chain
 *
 * Return: SIMNIC_GOTO
 */
enum simnic_verdict simnic_run_goto(struct simnic_pass *pass,
				    const struct simnic_action *act)
{
	pass->chain = act->chain;
	return SIMNIC_GOTO;
}

/**
 * simnic_show_goto - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_goto(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "goto chain %u", act->chain);
}
