// SPDX-License-Identifier: GPL-2.0
/* simnic: the actions redirect and mirror. */
#include <linux/seq_file.h>

#include "flow.h"

/**
 * simnic_parse_forward - redirect or mirror
 * @p: the rule so far
 * @e: FLOW_ACTION_REDIRECT or FLOW_ACTION_MIRRED
 * @act: out
 *
 * The target must be another port of the same switch. In legacy mode it may be the PF itself.
 *
 * Return: -EOPNOTSUPP with the reason.
 */
int simnic_parse_forward(struct simnic_parse *p, const struct flow_action_entry *e,
			 struct simnic_action *act)
{
	struct simnic_port *to = e->dev ? simnic_port_of(e->dev) : NULL;

	if (!to || to->hw != p->vport->hw ||
	    (to->kind != SIMNIC_PF && to->kind != SIMNIC_REP))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "cannot forward to %s: not on the same switch",
				     e->dev ? e->dev->name : "a device that is gone");
	/* A hairpin consumes the frame, so a mirror can't be one. */
	if (p->legacy && e->id == FLOW_ACTION_REDIRECT && to->vport == p->vport) {
		simnic_make_hairpin(act);
		return 0;
	}
	if (to->vport == p->vport)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "cannot forward from %s to itself", e->dev->name);
	act->vport = to->vport->id;
	return 0;
}

static void simnic_send(struct simnic_pass *pass, u16 vport, struct sk_buff *frame)
{
	if (vport == SIMNIC_VPORT_UPLINK)
		simnic_to_wire(&pass->hw->uplink, frame);
	else if (vport == SIMNIC_VPORT_SECOND)
		simnic_to_wire(&pass->hw->second, frame);
	else
		simnic_to_function(&pass->hw->vfs[vport], frame);
}

/**
 * simnic_run_redirect - the frame leaves by another port
 * @pass: the frame
 * @act: the port
 *
 * Return: SIMNIC_DONE
 */
enum simnic_verdict simnic_run_redirect(struct simnic_pass *pass,
					const struct simnic_action *act)
{
	simnic_send(pass, act->vport, pass->frame);
	return SIMNIC_DONE;
}

/**
 * simnic_show_redirect - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_redirect(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, "redirect ");
	simnic_show_port(s, act->vport);
}

/**
 * simnic_run_mirror - a copy of the frame leaves by another port
 * @pass: the frame
 * @act: the port
 *
 * Return: SIMNIC_NEXT
 */
enum simnic_verdict simnic_run_mirror(struct simnic_pass *pass,
				      const struct simnic_action *act)
{
	struct sk_buff *copy = skb_copy(pass->frame, GFP_ATOMIC);

	if (copy)
		simnic_send(pass, act->vport, copy);
	return SIMNIC_NEXT;
}

/**
 * simnic_show_mirror - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_mirror(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, "mirror ");
	simnic_show_port(s, act->vport);
}
