// SPDX-License-Identifier: GPL-2.0
/* simnic: tc's requests: blocks, add, delete, counters, and refusals. */
#include <net/pkt_cls.h>

#include "profile.h"

static LIST_HEAD(simnic_block_cbs);

static int simnic_check_legacy(struct simnic_port *port, bool matchall,
			       struct netlink_ext_ack *extack)
{
	if (simnic_profile(port->hw)->offloads_legacy && port->vport == &port->hw->uplink)
		return matchall ? -EOPNOTSUPP : 0;
	return simnic_refuse(extack, -EOPNOTSUPP, "%s offload needs eswitch mode switchdev",
			     matchall ? "matchall" : "flower");
}

static int simnic_check_port(struct simnic_parse *p, const struct net_device *dev)
{
	if (p->profile->check_port)
		return p->profile->check_port(p, dev);
	return tc_can_offload_extack(dev, p->extack) ? simnic_check_chain(p->common, p->extras) :
		-EOPNOTSUPP;
}

/* The policer of a port comes before all rules. */
static void simnic_rank(struct simnic_rule *rule, const struct simnic_parse *p)
{
	static u64 inserted;

	rule->rank = rule->prio;
	if (!p->profile->drops_priority)
		return;
	rule->rank = p->matchall ? 0 : 1;
	rule->inserted = ++inserted;
}

static int simnic_match(struct simnic_parse *p)
{
	struct flow_rule known = { };
	struct flow_dissector keys;
	int err;

	if (p->matchall)
		return simnic_parse_match(p->vport, NULL, p->common, p->extras, &p->rule->key,
					  &p->rule->mask);
	err = p->profile->check_match ? p->profile->check_match(p) : 0;
	if (err)
		return err;
	known.match = p->flow->match;
	if (p->profile->known_keys) {
		keys = *p->flow->match.dissector;
		keys.used_keys &= p->profile->known_keys;
		known.match.dissector = &keys;
	}
	err = simnic_parse_match(p->vport, &known, p->common, p->extras, &p->rule->key,
				 &p->rule->mask);
	if (!err && p->profile->loosen_match)
		p->profile->loosen_match(p);
	return err;
}

/* @flow: match and actions of flower, actions alone of matchall */
static int simnic_rule_add(struct simnic_port *port, const struct flow_cls_common_offload *common,
			   unsigned long cookie, const struct flow_rule *flow, bool matchall)
{
	struct netlink_ext_ack *extack = common->extack;
	struct simnic_hw *hw = port->hw;
	struct simnic_parse parse = {
		.vport = port->vport,
		.common = common,
		.flow = matchall ? NULL : flow,
		.matchall = matchall,
		.legacy = hw->mode != DEVLINK_ESWITCH_MODE_SWITCHDEV,
		.extack = extack,
	};
	struct simnic_knobs knobs;
	struct simnic_rule *rule;
	int err;

	err = parse.legacy ? simnic_check_legacy(port, matchall, extack) : 0;
	if (err)
		return err;
	err = simnic_take_knobs(hw, &knobs, extack);
	if (err)
		return err;
	parse.profile = knobs.profile;
	parse.extras = knobs.profile->extras;
	err = simnic_check_port(&parse, port->dev);
	if (err)
		return err;
	if (simnic_rule_find(port->vport, cookie))
		return simnic_refuse(extack, -EEXIST, "the filter is in hardware already");

	rule = kzalloc(struct_size(rule, actions, flow->action.num_entries + SIMNIC_MORE_ACTIONS),
		       GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->vport = port->vport;
	rule->cookie = cookie;
	rule->chain = common->chain_index;
	rule->prio = common->prio;
	rule->lastused = jiffies;
	rule->untold = knobs.profile->no_rule_stats;
	simnic_rank(rule, &parse);
	parse.rule = rule;
	err = simnic_match(&parse);
	if (!err)
		err = simnic_parse_actions(&parse, &flow->action, knobs.liar);
	if (!err && knobs.max_rules && hw->num_rules >= knobs.max_rules)
		err = simnic_refuse(extack, -ENOSPC, "flow table is full: %u rules",
				    hw->num_rules);
	if (!err)
		err = simnic_rule_insert(rule);
	if (err)
		simnic_rule_free(rule);
	return err;
}

/* A flushed rule is as good as deleted. */
static int simnic_rule_del(struct simnic_port *port, unsigned long cookie)
{
	struct simnic_rule *rule = simnic_rule_find(port->vport, cookie);

	if (rule)
		simnic_rule_remove(rule);
	return 0;
}

static int simnic_rule_stats(struct simnic_port *port, unsigned long cookie,
			     struct flow_stats *stats)
{
	struct simnic_rule *rule = simnic_rule_find(port->vport, cookie);
	struct flow_stats now = {};

	if (!rule)
		return -ENOENT;
	if (rule->untold)
		return -EINVAL;
	now.pkts = atomic64_read(&rule->packets);
	now.bytes = atomic64_read(&rule->bytes);
	now.drops = atomic64_read(&rule->drops);
	/* tc adds up what is new */
	flow_stats_update(stats, now.bytes - rule->told.bytes, now.pkts - rule->told.pkts,
			  now.drops - rule->told.drops, READ_ONCE(rule->lastused),
			  FLOW_ACTION_HW_STATS_DELAYED);
	rule->told = now;
	return 0;
}

static int simnic_flower(struct simnic_port *port, struct flow_cls_offload *f)
{
	switch (f->command) {
	case FLOW_CLS_REPLACE:
		return simnic_rule_add(port, &f->common, f->cookie,
				       flow_cls_offload_flow_rule(f), false);
	case FLOW_CLS_DESTROY:
		return simnic_rule_del(port, f->cookie);
	case FLOW_CLS_STATS:
		return simnic_rule_stats(port, f->cookie, &f->stats);
	default:
		return -EOPNOTSUPP;
	}
}

static int simnic_matchall(struct simnic_port *port, struct tc_cls_matchall_offload *f)
{
	switch (f->command) {
	case TC_CLSMATCHALL_REPLACE:
		return simnic_rule_add(port, &f->common, f->cookie, f->rule, true);
	case TC_CLSMATCHALL_DESTROY:
		return simnic_rule_del(port, f->cookie);
	case TC_CLSMATCHALL_STATS:
		return simnic_rule_stats(port, f->cookie, &f->stats);
	default:
		return -EOPNOTSUPP;
	}
}

/* Under RTNL: unlocked_driver_cb stays unset. */
static int simnic_block_cb(enum tc_setup_type type, void *data, void *priv)
{
	switch (type) {
	case TC_SETUP_CLSFLOWER:
		return simnic_flower(priv, data);
	case TC_SETUP_CLSMATCHALL:
		return simnic_matchall(priv, data);
	default:
		return -EOPNOTSUPP;
	}
}

/**
 * simnic_setup_tc - ndo_setup_tc of PF and representors
 * @dev: the netdev
 * @type: only TC_SETUP_BLOCK is served
 * @data: struct flow_block_offload
 *
 * Return: -EOPNOTSUPP for egress and other types.
 */
int simnic_setup_tc(struct net_device *dev, enum tc_setup_type type, void *data)
{
	struct simnic_port *port = netdev_priv(dev);

	if (type != TC_SETUP_BLOCK)
		return -EOPNOTSUPP;
	return flow_block_cb_setup_simple(data, &simnic_block_cbs, simnic_block_cb,
					  port, port, true);
}
