// SPDX-License-Identifier: GPL-2.0
/* simnic: the table of actions, and those that end a rule or tag a frame. */
#include <linux/seq_file.h>

#include "profile.h"

static int simnic_parse_drop(struct simnic_parse *p, const struct flow_action_entry *e,
			     struct simnic_action *act)
{
	if (p->rewrites)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "cannot rewrite and drop");
	return 0;
}

static enum simnic_verdict simnic_run_drop(struct simnic_pass *pass,
					   const struct simnic_action *act)
{
	simnic_count(pass->vport, SIMNIC_HW_DROPS, 1);
	kfree_skb(pass->frame);
	return SIMNIC_DONE;
}

static void simnic_show_drop(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, "drop");
}

static int simnic_parse_host(struct simnic_parse *p, const struct flow_action_entry *e,
			     struct simnic_action *act)
{
	return 0;
}

static enum simnic_verdict simnic_run_host(struct simnic_pass *pass,
					   const struct simnic_action *act)
{
	return SIMNIC_TO_HOST;
}

static void simnic_show_host(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, act->ops->name);
}

static int simnic_parse_tag(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_action *act)
{
	bool matched = p->rule->mask.outer_proto == htons(0xffff);
	bool tagged = p->pushed ||
		(matched ? eth_type_vlan(p->rule->key.outer_proto) :
			   p->extras & SIMNIC_EXTRA_BARE);

	if (e->id == FLOW_ACTION_VLAN_PUSH) {
		if (!eth_type_vlan(e->vlan.proto))
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "cannot push a tag of protocol %#x",
					     ntohs(e->vlan.proto));
		if (p->pushed)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "cannot push more than one VLAN tag");
		p->pushed = true;
	} else if (!tagged && !(e->id == FLOW_ACTION_VLAN_POP && p->profile->pops_untagged)) {
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "vlan pop and modify need a match on a VLAN tag");
	}
	act->vlan.blind = !tagged;
	act->vlan.proto = e->vlan.proto;
	act->vlan.vid = e->vlan.vid;
	act->vlan.prio = e->vlan.prio;
	return 0;
}

static void simnic_shift(struct simnic_pass *pass, int by)
{
	if (pass->l3)
		pass->l3 += by;
	if (pass->l4)
		pass->l4 += by;
}

static enum simnic_verdict simnic_run_push(struct simnic_pass *pass,
					   const struct simnic_action *act)
{
	/* One rule pushes one tag, but rules that continue may follow each other. */
	if (!simnic_tag_push(pass->frame, act->vlan.proto,
			     act->vlan.prio << VLAN_PRIO_SHIFT | act->vlan.vid))
		return simnic_run_drop(pass, act);
	simnic_shift(pass, VLAN_HLEN);
	return SIMNIC_NEXT;
}

static void simnic_show_push(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "vlan push %u prio %u proto %04x", act->vlan.vid, act->vlan.prio,
		   ntohs(act->vlan.proto));
}

static struct vlan_ethhdr *simnic_tag(const struct simnic_pass *pass)
{
	struct vlan_ethhdr *hdr = (struct vlan_ethhdr *)pass->frame->data;

	/* The frame without the tag must still have a header. */
	if (pass->frame->len < VLAN_ETH_HLEN || !eth_type_vlan(hdr->h_vlan_proto))
		return NULL;
	return hdr;
}

static enum simnic_verdict simnic_run_pop(struct simnic_pass *pass,
					  const struct simnic_action *act)
{
	if (!simnic_tag(pass))
		return act->vlan.blind ? simnic_run_drop(pass, act) : SIMNIC_NEXT;
	simnic_tag_pop(pass->frame);
	simnic_shift(pass, -VLAN_HLEN);
	return SIMNIC_NEXT;
}

static void simnic_show_pop(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, "vlan pop");
}

/* tc does not tell the card whether a priority was given: 0 keeps the old one. */
static enum simnic_verdict simnic_run_modify(struct simnic_pass *pass,
					     const struct simnic_action *act)
{
	struct vlan_ethhdr *hdr = simnic_tag(pass);
	u16 tci;

	if (!hdr)
		return SIMNIC_NEXT;
	tci = ntohs(hdr->h_vlan_TCI);
	if (act->vlan.prio)
		tci = (tci & ~VLAN_PRIO_MASK) | act->vlan.prio << VLAN_PRIO_SHIFT;
	hdr->h_vlan_TCI = htons((tci & ~VLAN_VID_MASK) | act->vlan.vid);
	hdr->h_vlan_proto = act->vlan.proto;
	return SIMNIC_NEXT;
}

static void simnic_show_modify(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "vlan modify %u prio %u proto %04x", act->vlan.vid, act->vlan.prio,
		   ntohs(act->vlan.proto));
}

static const struct simnic_action_ops simnic_actions[] = {
	{ FLOW_ACTION_REDIRECT, "redirect", .last = true, .parse = simnic_parse_forward,
	  .run = simnic_run_redirect, .show = simnic_show_redirect },
	{ FLOW_ACTION_MIRRED, "mirror", .parse = simnic_parse_forward,
	  .run = simnic_run_mirror, .show = simnic_show_mirror },
	{ FLOW_ACTION_DROP, "drop", .last = true, .parse = simnic_parse_drop,
	  .run = simnic_run_drop, .show = simnic_show_drop },
	{ FLOW_ACTION_ACCEPT, "ok", .last = true, .parse = simnic_parse_host,
	  .run = simnic_run_host, .show = simnic_show_host },
	{ FLOW_ACTION_TRAP, "trap", .last = true, .parse = simnic_parse_host,
	  .run = simnic_run_host, .show = simnic_show_host },
	{ FLOW_ACTION_GOTO, "goto", .last = true, .parse = simnic_parse_goto,
	  .run = simnic_run_goto, .show = simnic_show_goto },
	{ FLOW_ACTION_MANGLE, "pedit", .parse = simnic_parse_mangle,
	  .run = simnic_run_mangle, .show = simnic_show_mangle },
	{ FLOW_ACTION_ADD, "pedit", .parse = simnic_parse_mangle,
	  .run = simnic_run_mangle, .show = simnic_show_mangle },
	{ FLOW_ACTION_POLICE, "police", .parse = simnic_parse_police,
	  .run = simnic_run_police, .show = simnic_show_police,
	  .release = simnic_release_police },
	{ FLOW_ACTION_CSUM, "csum", .parse = simnic_parse_csum,
	  .run = simnic_run_csum, .show = simnic_show_csum },
	{ FLOW_ACTION_VLAN_PUSH, "vlan", .parse = simnic_parse_tag,
	  .run = simnic_run_push, .show = simnic_show_push },
	{ FLOW_ACTION_VLAN_POP, "vlan", .parse = simnic_parse_tag,
	  .run = simnic_run_pop, .show = simnic_show_pop },
	{ FLOW_ACTION_VLAN_MANGLE, "vlan", .parse = simnic_parse_tag,
	  .run = simnic_run_modify, .show = simnic_show_modify },
};

/* Names for refusals; any other id is told by number. */
static const struct {
	enum flow_action_id id;
	const char *name;
} simnic_other_actions[] = {
	{ FLOW_ACTION_REDIRECT_INGRESS, "redirect to ingress" },
	{ FLOW_ACTION_MIRRED_INGRESS, "mirror to ingress" },
	{ FLOW_ACTION_CT, "ct" },
	{ FLOW_ACTION_TUNNEL_ENCAP, "tunnel_key set" },
	{ FLOW_ACTION_TUNNEL_DECAP, "tunnel_key unset" },
	{ FLOW_ACTION_MARK, "skbedit mark" },
	{ FLOW_ACTION_PRIORITY, "skbedit priority" },
	{ FLOW_ACTION_SAMPLE, "sample" },
	{ FLOW_ACTION_MPLS_PUSH, "mpls push" },
	{ FLOW_ACTION_MPLS_POP, "mpls pop" },
	{ FLOW_ACTION_GATE, "gate" },
	{ FLOW_ACTION_PIPE, "pipe" },
	{ FLOW_ACTION_CONTINUE, "continue" },
};

static int simnic_refuse_action(struct simnic_parse *p, enum flow_action_id id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(simnic_other_actions); i++)
		if (simnic_other_actions[i].id == id)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "action %s is not supported",
					     simnic_other_actions[i].name);
	return simnic_refuse(p->extack, -EOPNOTSUPP, "action %d is not supported", id);
}

static const struct simnic_action_ops *simnic_action_find(enum flow_action_id id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(simnic_actions); i++)
		if (simnic_actions[i].id == id)
			return &simnic_actions[i];
	return NULL;
}

/* What the card's own driver refuses, before simnic's limits */
static int simnic_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	if (p->matchall)
		return p->profile->check_matchall ? p->profile->check_matchall(p, actions) : 0;
	return p->profile->check_actions ? p->profile->check_actions(p, actions) : 0;
}

static int simnic_take_actions(struct simnic_parse *p, const struct flow_action *actions,
			       const char *liar)
{
	const struct simnic_action_ops *ops, *decided = NULL;
	const struct flow_action_entry *e;
	int i, err;

	flow_action_for_each(i, e, actions) {
		struct simnic_action *act = &p->rule->actions[p->rule->num_actions];

		ops = simnic_action_find(e->id);
		if (!ops)
			return simnic_refuse_action(p, e->id);
		if (decided)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "action %s after %s never runs",
					     ops->name, decided->name);
		act->ops = ops;
		err = ops->parse(p, e, act);
		if (err)
			return err;
		if (ops->last || p->decided)
			decided = ops;
		if (strcmp(ops->name, liar))
			p->rule->num_actions++;
		else if (act->ops->release)
			act->ops->release(p->rule, act);
	}
	if (!decided && !(p->extras & SIMNIC_EXTRA_NO_END && actions->num_entries))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "a rule must forward, drop or accept");
	return 0;
}

/**
 * simnic_parse_actions - parse the actions of a filter
 * @p: rule with its match, room for all actions and SIMNIC_MORE_ACTIONS
 * @actions: from tc
 * @liar: name of the action to accept and ignore, or ""
 *
 * Return: -EOPNOTSUPP with the reason, or what the profile refuses with.
 */
int simnic_parse_actions(struct simnic_parse *p, const struct flow_action *actions,
			 const char *liar)
{
	struct flow_action *done;
	int err;

	if (!flow_action_hw_stats_check(actions, p->extack,
					FLOW_ACTION_HW_STATS_DELAYED_BIT))
		return -EOPNOTSUPP;
	err = simnic_check_actions(p, actions);
	if (err || p->matchall || !p->profile->translate)
		return err ?: simnic_take_actions(p, actions, liar);
	done = kzalloc(struct_size(done, entries, actions->num_entries + SIMNIC_MORE_ACTIONS),
		       GFP_KERNEL);
	if (!done)
		return -ENOMEM;
	p->profile->translate(p, actions, done);
	err = simnic_take_actions(p, done, liar);
	kfree(done);
	return err;
}
