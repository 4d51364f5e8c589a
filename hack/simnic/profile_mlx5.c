// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile mlx5: the actions of flower.
 *
 * It refuses a rule where the mlx5 driver of Linux 6.12 refuses
 * it, in the same words, as far as simnic can offload such a rule at all. Source:
 * mellanox/mlx5/core, no hardware. These checks come before those of flow_action.c.
 */
#include <linux/tc_act/tc_csum.h>

#include "profile_mlx5.h"

/* A policed filter needs a table behind that of its priority too: en/tc/post_act.c:38 */
static bool simnic_mlx5_has_no_meters(struct simnic_hw *hw)
{
	return READ_ONCE(hw->knobs.no_meters) || READ_ONCE(hw->knobs.prio_max);
}

/**
 * simnic_mlx5_check_police - the limits of police on this card
 * @hw: the card
 * @e: FLOW_ACTION_POLICE
 * @standalone: offered by tc alone, not by a flower filter
 * @extack: reason of a refusal
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_mlx5_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			     bool standalone, struct netlink_ext_ack *extack)
{
	const enum flow_action_id ids[] = {
		e->police.exceed.act_id, e->police.notexceed.act_id,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i] != FLOW_ACTION_PIPE && ids[i] != FLOW_ACTION_ACCEPT &&
		    ids[i] != FLOW_ACTION_JUMP && ids[i] != FLOW_ACTION_DROP)
			return simnic_refuse(extack, -EOPNOTSUPP,
					     "Offload not supported when conform-exceed action is not pipe, ok, jump or drop");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when peakrate/avrate/overhead is configured");
	if (!simnic_mlx5_has_no_meters(hw))
		return 0;
	/* A filter is refused without a word: tc_act_can_offload_police(). */
	return standalone ? simnic_refuse(extack, -EOPNOTSUPP, "Failed to get flow meter") :
		-EOPNOTSUPP;
}

static int simnic_mlx5_csum(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_mlx5_seen *seen)
{
	if (!seen->rewrites)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "TC csum action is only offloaded with pedit");
	if (e->csum_flags & ~(TCA_CSUM_UPDATE_FLAG_IPV4HDR | TCA_CSUM_UPDATE_FLAG_TCP |
			      TCA_CSUM_UPDATE_FLAG_UDP))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "can't offload TC csum action for some header/s");
	return 0;
}

static int simnic_mlx5_forward(struct simnic_parse *p, const struct flow_action_entry *e,
			       struct simnic_mlx5_seen *seen)
{
	struct simnic_port *to = e->dev ? simnic_port_of(e->dev) : NULL;
	unsigned int i;

	if (!to || to->hw != p->vport->hw ||
	    (to->kind != SIMNIC_PF && to->kind != SIMNIC_REP))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "devices are not on same switch HW, can't offload forwarding");
	if (p->legacy && to->vport == p->vport) {
		seen->forwards = true;
		return 0;
	}
	for (i = 0; i < seen->ports; i++)
		if (seen->to[i] == to->vport->id)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "can't duplicate output to same device");
	if (seen->ports < ARRAY_SIZE(seen->to))
		seen->to[seen->ports++] = to->vport->id;
	if (to->vport == p->vport)
		return simnic_refuse(p->extack, -EOPNOTSUPP, to->kind == SIMNIC_PF ?
				     "devices are both uplink, can't offload forwarding" :
				     "can't forward from a VF to itself");
	seen->forwards = true;
	return 0;
}

/* act/vlan_mangle.c: a modified tag is a pedit. */
static int simnic_mlx5_vlan_rewrite(struct simnic_parse *p, const struct flow_action_entry *e,
				    struct simnic_mlx5_seen *seen)
{
	const struct simnic_key *key = &p->rule->key;

	if (p->rule->mask.outer_proto != htons(0xffff) ||
	    key->outer_proto != htons(ETH_P_8021Q))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "VLAN rewrite action must have VLAN protocol match");
	if (e->vlan.prio != ntohs(key->vlan_tci) >> VLAN_PRIO_SHIFT)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Changing VLAN prio is not supported");
	if (++seen->pedits > MLX5_MAX_PEDITS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "too many pedit actions, can't offload");
	seen->rewrites = true;
	seen->ports = 0;
	return 0;
}

/* act/vlan.c: push or pop */
static int simnic_mlx5_vlan(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_mlx5_seen *seen)
{
	if (e->id == FLOW_ACTION_VLAN_PUSH && seen->pops) {
		seen->pops = false;
		return simnic_mlx5_vlan_rewrite(p, e, seen);
	}
	if (seen->vlans >= MLX5_MAX_VLANS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Total vlans used is greater than supported");
	/* It is the first tag that asks for pop_vlan_2 and push_vlan_2: eswitch.h:601-611 */
	if (!seen->vlans && READ_ONCE(p->vport->hw->knobs.no_vlan_2))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "firmware vlan actions is not supported");
	seen->pops = e->id == FLOW_ACTION_VLAN_POP && !seen->vlans;
	seen->vlans++;
	seen->ports = 0;
	return 0;
}

/* act/act.c: tc_acts_fdb[] and tc_acts_nic[], as far as simnic has the action */
static bool simnic_mlx5_knows(const struct simnic_parse *p, enum flow_action_id id)
{
	switch (id) {
	case FLOW_ACTION_ACCEPT:
	case FLOW_ACTION_DROP:
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_MANGLE:
	case FLOW_ACTION_ADD:
	case FLOW_ACTION_CSUM:
		return true;
	case FLOW_ACTION_TRAP:
	case FLOW_ACTION_GOTO:
	case FLOW_ACTION_MIRRED:
	case FLOW_ACTION_REDIRECT_INGRESS:
	case FLOW_ACTION_VLAN_PUSH:
	case FLOW_ACTION_VLAN_POP:
	case FLOW_ACTION_VLAN_MANGLE:
	case FLOW_ACTION_POLICE:
		return !p->legacy;
	default:
		return false;
	}
}

static int simnic_mlx5_action(struct simnic_parse *p, const struct flow_action_entry *e,
			      struct simnic_mlx5_seen *seen)
{
	if (!simnic_mlx5_knows(p, e->id))
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Not implemented offload action");
	switch (e->id) {
	case FLOW_ACTION_MANGLE:
	case FLOW_ACTION_ADD:
		return simnic_mlx5_pedit(p, e, seen);
	case FLOW_ACTION_CSUM:
		return simnic_mlx5_csum(p, e, seen);
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_MIRRED:
		return simnic_mlx5_forward(p, e, seen);
	case FLOW_ACTION_REDIRECT_INGRESS:
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "redirect to ingress is supported only for OVS internal ports");
	case FLOW_ACTION_VLAN_PUSH:
	case FLOW_ACTION_VLAN_POP:
		return simnic_mlx5_vlan(p, e, seen);
	case FLOW_ACTION_VLAN_MANGLE:
		return simnic_mlx5_vlan_rewrite(p, e, seen);
	case FLOW_ACTION_DROP:
		seen->drops = true;
		return 0;
	case FLOW_ACTION_POLICE:
		return simnic_mlx5_check_police(p->vport->hw, e, false, p->extack);
	default:
		seen->forwards = true;
		return 0;
	}
}

/* en_tc.c: parse_tc_actions() splits a rule behind a police, and the jump costs a register. */
static int simnic_mlx5_split(struct simnic_parse *p, struct simnic_mlx5_seen *seen)
{
	unsigned int vlans = seen->vlans;

	if (seen->pedits >= MLX5_MAX_PEDITS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "too many pedit actions, can't offload");
	memset(seen, 0, sizeof(*seen));
	seen->vlans = vlans;
	return 0;
}

static bool simnic_mlx5_redirects(const struct flow_action *actions)
{
	const struct flow_action_entry *e;
	int i;

	flow_action_for_each(i, e, actions)
		if (e->id == FLOW_ACTION_REDIRECT)
			return true;
	return false;
}

/**
 * simnic_mlx5_check_actions - refuse a rule as this card does, in its own words
 * @p: rule with its match
 * @actions: from tc
 *
 * In legacy mode the PF's own steering takes the rule, and a redirect to the PF is a hairpin:
 * the frame goes into the embedded switch as one that the PF sends (act/mirred_nic.c).
 *
 * Return: 0 or a negative errno.
 */
int simnic_mlx5_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	struct simnic_mlx5_seen *seen;
	const struct flow_action_entry *e;
	int i, err = 0;

	seen = kzalloc(sizeof(*seen), GFP_KERNEL);
	if (!seen)
		return -ENOMEM;
	flow_action_for_each(i, e, actions) {
		err = simnic_mlx5_action(p, e, seen);
		if (!err && e->id == FLOW_ACTION_POLICE && i < actions->num_entries - 1)
			err = simnic_mlx5_split(p, seen);
		if (err)
			goto free;
	}
	if (!seen->forwards && !seen->drops)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Rule must have at least one forward/drop action");
	else if (seen->forwards && seen->drops)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Rule cannot support forward+drop action");
	else if (seen->drops && seen->pedits)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Drop with modify header action is not supported");
	else if (p->legacy)
		err = simnic_mlx5_check_hairpin(p, simnic_mlx5_redirects(actions));
	else
		err = simnic_mlx5_check_prio(p);
free:
	kfree(seen);
	return err;
}
