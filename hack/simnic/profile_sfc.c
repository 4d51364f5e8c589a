// SPDX-License-Identifier: GPL-2.0
/* simnic: the profile sfc: the sfc driver of Linux 6.12 on EF100. */
#include "profile.h"

/**
 * simnic_sfc_check_actions - refuse actions above the MAC addresses
 * @p: rule with its match
 * @actions: from tc
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_sfc_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e;
	int i;

	flow_action_for_each(i, e, actions) {
		if (e->id == FLOW_ACTION_CSUM)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "action csum is not supported");
		if (e->id == FLOW_ACTION_POLICE)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "action police is not supported");
		if ((e->id == FLOW_ACTION_MANGLE || e->id == FLOW_ACTION_ADD) &&
		    e->mangle.htype != FLOW_ACT_MANGLE_HDR_TYPE_ETH)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "cannot rewrite the %s header, only MAC addresses",
					     simnic_header_name(e->mangle.htype));
	}
	return 0;
}

/**
 * simnic_sfc_check_matchall - refuse matchall
 * @p: the rule
 * @actions: from tc
 *
 * Return: -EOPNOTSUPP.
 */
int simnic_sfc_check_matchall(struct simnic_parse *p, const struct flow_action *actions)
{
	return simnic_refuse(p->extack, -EOPNOTSUPP, "matchall is not offloaded");
}

/**
 * simnic_sfc_check_police - refuse police
 * @hw: the card
 * @e: FLOW_ACTION_POLICE
 * @standalone: without a filter
 * @extack: reason of a refusal
 *
 * Return: -EOPNOTSUPP.
 */
int simnic_sfc_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack)
{
	return simnic_refuse(extack, -EOPNOTSUPP, "action police is not supported");
}
