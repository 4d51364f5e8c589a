// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile mlx5: matchall, which has one use, the rate limiter of a VF.
 *
 * Source: scan_tc_matchall_fdb_actions() and apply_police_params() of
 * mellanox/mlx5/core/en_tc.c, Linux 6.12.
 */
#include <linux/seq_file.h>

#include "profile.h"

/**
 * simnic_mlx5_check_matchall - refuse a matchall filter as this card does
 * @p: rule without a match
 * @actions: from tc
 *
 * matchall has one use: the rate limiter of a VF.
 *
 * Return: 0 or a negative errno.
 */
int simnic_mlx5_check_matchall(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e = &actions->entries[0];

	if (p->rule->prio != 1)
		return simnic_refuse(p->extack, -EINVAL, "only priority 1 is supported");
	if (!flow_action_has_entries(actions))
		return simnic_refuse(p->extack, -EINVAL, "matchall called with no action");
	if (!flow_offload_has_one_action(actions))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "matchall policing support only a single action");
	if (e->id != FLOW_ACTION_POLICE)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "mlx5 supports only police action for matchall");
	if (e->police.notexceed.act_id != FLOW_ACTION_CONTINUE)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when conform action is not continue");
	if (e->police.exceed.act_id != FLOW_ACTION_DROP)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when exceed action is not drop");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when peakrate/avrate/overhead is configured");
	if (simnic_is_uplink(p->vport))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Ingress rate limit is supported only for Eswitch ports connected to VFs");
	return 0;
}

/* A frame that the limiter passes goes on to the next priority. */
static enum simnic_verdict simnic_run_limit(struct simnic_pass *pass,
					    const struct simnic_action *act)
{
	return SIMNIC_CONTINUE;
}

static void simnic_show_limit(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "limit %u Mbit/s", act->limit);
}

static void simnic_release_limit(struct simnic_rule *rule, struct simnic_action *act)
{
	simnic_sched_set(rule->vport, 0, rule->vport->min_rate * SIMNIC_MBIT);
}

static const struct simnic_action_ops simnic_limit_ops = {
	.id = FLOW_ACTION_POLICE,
	.name = "police",
	.run = simnic_run_limit,
	.show = simnic_show_limit,
	.release = simnic_release_limit,
};

/**
 * simnic_mlx5_parse_limit - a police action of matchall: the VF's rate limiter
 * @p: the rule so far, checked by simnic_mlx5_check_matchall()
 * @e: FLOW_ACTION_POLICE
 * @act: out
 *
 * The same limiter that devlink's tx_max sets, rounded to whole Mbit/s; who
 * writes last wins, and removing the filter leaves the VF without a limit.
 *
 * Return: -EINVAL when the rate is above the link's.
 */
int simnic_mlx5_parse_limit(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_action *act)
{
	u64 mbit = div64_u64(e->police.rate_bytes_ps + SIMNIC_MBIT / 2, SIMNIC_MBIT);

	if (mbit > SIMNIC_SPEED)
		return simnic_refuse(p->extack, -EINVAL, "failed applying action to hardware");
	if (e->police.rate_bytes_ps)
		mbit = max(mbit, 1ULL);
	act->ops = &simnic_limit_ops;
	act->limit = mbit;
	p->decided = true;
	simnic_sched_set(p->vport, mbit * SIMNIC_MBIT, p->vport->min_rate * SIMNIC_MBIT);
	return 0;
}
