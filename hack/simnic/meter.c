// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: meters: the police action, in filters and standalone.
 *
 * A meter belongs to a tc action, whose address (the cookie) names it, not to
 * a rule: filters that share an action by index share its meter. tc offers
 * standalone actions to a card only through flow_indr_dev_register(); filters
 * bring the parameters of theirs along.
 */
#include <linux/hashtable.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/seq_file.h>
#include <net/pkt_cls.h>

#include "meter.h"

/**
 * simnic_meter_find - the meter of an action
 * @hw: the card; under its meters_lock
 * @cookie: tc's name for the action
 *
 * Return: NULL when there is none.
 */
struct simnic_meter *simnic_meter_find(struct simnic_hw *hw, unsigned long cookie)
{
	struct simnic_meter *meter;

	hash_for_each_possible(hw->meters, meter, node, cookie)
		if (meter->cookie == cookie)
			return meter;
	return NULL;
}

static s64 simnic_meter_depth(u64 burst, u64 rate)
{
	return rate ? div64_u64(burst * NSEC_PER_SEC, rate) : 0;
}

/* Some cards count the MTU only where no rate does. */
static bool simnic_ignore_mtu(const struct flow_action_entry *e,
			      const struct simnic_profile_ops *profile)
{
	return profile->ignores_mtu &&
		(e->police.rate_bytes_ps || e->police.rate_pkt_ps);
}

static u64 simnic_meter_burst(const struct flow_action_entry *e,
			      const struct simnic_profile_ops *profile)
{
	if (!profile->max_burst || e->police.burst <= profile->max_burst)
		return e->police.burst;
	/* tc hears nothing of it. */
	pr_warn("burst(%u) is too large, use HW allowed value(%u)\n", e->police.burst,
		profile->max_burst);
	return profile->max_burst;
}

/**
 * simnic_meter_set - program a meter
 * @meter: the meter
 * @e: FLOW_ACTION_POLICE
 * @profile: what the card makes of it
 */
void simnic_meter_set(struct simnic_meter *meter, const struct flow_action_entry *e,
		      const struct simnic_profile_ops *profile)
{
	u64 rate = profile->rate_u32 ? (u32)e->police.rate_bytes_ps : e->police.rate_bytes_ps;
	u64 burst = simnic_meter_burst(e, profile), now = ktime_get_ns();

	spin_lock_bh(&meter->lock);
	simnic_bucket_set(&meter->bytes, rate, simnic_meter_depth(burst, rate), now);
	simnic_bucket_set(&meter->packets, e->police.rate_pkt_ps,
			  simnic_meter_depth(e->police.burst_pkt, e->police.rate_pkt_ps), now);
	meter->mtu = simnic_ignore_mtu(e, profile) ? 0 : e->police.mtu;
	meter->ip_length = profile->police_ip_length;
	spin_unlock_bh(&meter->lock);
}

/**
 * simnic_meter_get - the meter of an action, one user more
 * @hw: the card; under its meters_lock
 * @e: FLOW_ACTION_POLICE; a meter that exists is not changed
 * @profile: what the card makes of it
 *
 * Return: NULL when memory is short.
 */
struct simnic_meter *simnic_meter_get(struct simnic_hw *hw, const struct flow_action_entry *e,
				      const struct simnic_profile_ops *profile)
{
	struct simnic_meter *meter = simnic_meter_find(hw, e->cookie);

	if (!meter) {
		meter = kzalloc(sizeof(*meter), GFP_KERNEL);
		if (!meter)
			return NULL;
		meter->hw = hw;
		meter->cookie = e->cookie;
		meter->index = e->hw_index;
		spin_lock_init(&meter->lock);
		meter->passed.lastused = jiffies;
		simnic_meter_set(meter, e, profile);
		hash_add(hw->meters, &meter->node, meter->cookie);
	}
	meter->users++;
	return meter;
}

/**
 * simnic_meter_put - one user of a meter less
 * @meter: the meter; under meters_lock
 */
void simnic_meter_put(struct simnic_meter *meter)
{
	if (--meter->users)
		return;
	hash_del(&meter->node);
	kfree_rcu(meter, rcu);
}

static bool simnic_bucket_has(struct simnic_bucket *b, u32 units, u64 now)
{
	if (!b->rate)
		return true;
	simnic_bucket_fill(b, now);
	return b->tokens >= simnic_bucket_cost(b, units);
}

/* What a meter counts of a frame; of one that is no IP packet always the whole */
static u32 simnic_meter_units(const struct simnic_meter *meter, const struct simnic_pass *pass)
{
	const void *l3 = pass->frame->data + pass->l3;

	if (!meter->ip_length || !pass->l3)
		return pass->frame->len;
	if (pass->key.n_proto == htons(ETH_P_IP))
		return ntohs(((const struct iphdr *)l3)->tot_len);
	return sizeof(struct ipv6hdr) + ntohs(((const struct ipv6hdr *)l3)->payload_len);
}

/* Conforming frames take tokens of both buckets, others none. */
static bool simnic_meter_pass(struct simnic_meter *meter, const struct simnic_pass *frame)
{
	u32 len = frame->frame->len, units = simnic_meter_units(meter, frame);
	u64 now = ktime_get_ns();
	bool pass;

	spin_lock_bh(&meter->lock);
	pass = !meter->mtu || len <= meter->mtu;
	pass = pass && simnic_bucket_has(&meter->bytes, units, now) &&
		simnic_bucket_has(&meter->packets, 1, now);
	if (pass && meter->bytes.rate)
		meter->bytes.tokens -= simnic_bucket_cost(&meter->bytes, units);
	if (pass && meter->packets.rate)
		meter->packets.tokens -= simnic_bucket_cost(&meter->packets, 1);
	meter->passed.pkts++;
	meter->passed.bytes += len;
	meter->passed.drops += !pass;
	meter->passed.lastused = jiffies;
	spin_unlock_bh(&meter->lock);
	return pass;
}

/**
 * simnic_check_police - refuse what simnic cannot meter
 * @e: FLOW_ACTION_POLICE
 * @extack: reason of a refusal
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_check_police(const struct flow_action_entry *e, struct netlink_ext_ack *extack)
{
	if (e->police.exceed.act_id != FLOW_ACTION_DROP)
		return simnic_refuse(extack, -EOPNOTSUPP, "police: exceed must be drop");
	if (e->police.notexceed.act_id != FLOW_ACTION_PIPE &&
	    e->police.notexceed.act_id != FLOW_ACTION_ACCEPT &&
	    e->police.notexceed.act_id != FLOW_ACTION_CONTINUE)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "police: conform must be pipe, ok or continue");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "police: no peakrate, avrate or overhead");
	if (!e->police.rate_bytes_ps && !e->police.rate_pkt_ps && e->police.mtu == ~0U)
		return simnic_refuse(extack, -EOPNOTSUPP, "police: no rate is given");
	return 0;
}

/**
 * simnic_parse_police - a police action of a filter
 * @p: the rule so far
 * @e: FLOW_ACTION_POLICE
 * @act: out; holds its meter until simnic_release_police()
 *
 * Return: -EOPNOTSUPP with the reason, or -ENOMEM.
 */
int simnic_parse_police(struct simnic_parse *p, const struct flow_action_entry *e,
			struct simnic_action *act)
{
	struct simnic_hw *hw = p->vport->hw;
	int err;

	if (p->matchall && p->profile->parse_matchall_police)
		return p->profile->parse_matchall_police(p, e, act);
	/* check_matchall has looked at those of matchall. */
	err = !p->matchall && p->profile->check_police ?
		p->profile->check_police(hw, e, false, p->extack) : 0;
	if (!err)
		err = simnic_check_police(e, p->extack);
	if (err)
		return err;
	mutex_lock(&hw->meters_lock);
	act->police.meter = simnic_meter_get(hw, e, p->profile);
	mutex_unlock(&hw->meters_lock);
	if (!act->police.meter)
		return -ENOMEM;
	switch (e->police.notexceed.act_id) {
	case FLOW_ACTION_PIPE:
		act->police.conform = SIMNIC_NEXT;
		break;
	case FLOW_ACTION_ACCEPT:
		act->police.conform = SIMNIC_TO_HOST;
		p->decided = true;
		break;
	default:
		act->police.conform = SIMNIC_CONTINUE;
		p->decided = true;
		break;
	}
	return 0;
}

/**
 * simnic_meter_is_standalone - is there a meter of a standalone action?
 * @hw: the card
 * @cookie: of the action
 *
 * Return: false for a meter that filters alone have brought.
 */
bool simnic_meter_is_standalone(struct simnic_hw *hw, unsigned long cookie)
{
	struct simnic_meter *meter;
	bool is;

	mutex_lock(&hw->meters_lock);
	meter = simnic_meter_find(hw, cookie);
	is = meter && meter->standalone;
	mutex_unlock(&hw->meters_lock);
	return is;
}

/**
 * simnic_release_police - give back the meter of a rule
 * @rule: the rule, unlinked
 * @act: the action
 */
void simnic_release_police(struct simnic_rule *rule, struct simnic_action *act)
{
	struct simnic_hw *hw = rule->vport->hw;

	mutex_lock(&hw->meters_lock);
	simnic_meter_put(act->police.meter);
	mutex_unlock(&hw->meters_lock);
}

/**
 * simnic_run_police - drop frames beyond the rate
 * @pass: the frame
 * @act: the action
 *
 * Return: what follows for conforming frames, SIMNIC_DONE for others.
 */
enum simnic_verdict simnic_run_police(struct simnic_pass *pass,
				      const struct simnic_action *act)
{
	if (simnic_meter_pass(act->police.meter, pass))
		return act->police.conform;
	atomic64_inc(&pass->rule->drops);
	simnic_count(pass->vport, SIMNIC_HW_DROPS, 1);
	kfree_skb(pass->frame);
	return SIMNIC_DONE;
}

/**
 * simnic_show_police - print the action for the table dump
 * @s: output
 * @act: the action
 */
void simnic_show_police(struct seq_file *s, const struct simnic_action *act)
{
	struct simnic_meter *meter = act->police.meter;
	const char *conform = act->police.conform == SIMNIC_NEXT ? "pipe" :
		act->police.conform == SIMNIC_TO_HOST ? "ok" : "continue";

	spin_lock_bh(&meter->lock);
	seq_printf(s, "police index %u", meter->index);
	if (meter->bytes.rate)
		seq_printf(s, " rate %llu bytes/s", meter->bytes.rate);
	if (meter->packets.rate)
		seq_printf(s, " rate %llu packets/s", meter->packets.rate);
	seq_printf(s, " drop/%s drops %llu", conform, meter->passed.drops);
	spin_unlock_bh(&meter->lock);
}
