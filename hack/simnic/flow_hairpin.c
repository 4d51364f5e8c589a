// SPDX-License-Identifier: GPL-2.0
/* simnic: the redirect of legacy mode, from the PF to the PF. */
#include <linux/seq_file.h>

#include "flow.h"

/* The PF sends the frame, and the switch takes it from there. */
static enum simnic_verdict simnic_run_hairpin(struct simnic_pass *pass,
					      const struct simnic_action *act)
{
	if (READ_ONCE(pass->hw->knobs.hairpin_lost))
		kfree_skb(pass->frame);
	else
		simnic_legacy_rx(pass->hw, SIMNIC_VPORT_PF, pass->frame);
	return SIMNIC_DONE;
}

static void simnic_show_hairpin(struct seq_file *s, const struct simnic_action *act)
{
	seq_puts(s, "hairpin");
}

static const struct simnic_action_ops simnic_hairpin_ops = {
	.id = FLOW_ACTION_REDIRECT,
	.name = "redirect",
	.run = simnic_run_hairpin,
	.show = simnic_show_hairpin,
};

/**
 * simnic_make_hairpin - turn a redirect into a hairpin
 * @act: the redirect
 */
void simnic_make_hairpin(struct simnic_action *act)
{
	act->ops = &simnic_hairpin_ops;
}
