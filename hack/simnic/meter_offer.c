// SPDX-License-Identifier: GPL-2.0
/* simnic: standalone police actions, which tc offers to every card. */
#include <net/pkt_cls.h>

#include "meter.h"

static int simnic_offer_replace(struct simnic_hw *hw, struct flow_offload_action *offer)
{
	const struct flow_action_entry *e = &offer->action.entries[0];
	struct simnic_meter *meter;
	struct simnic_knobs knobs;
	int err;

	/* Not worth a word: tc offers every action of the host. */
	if (e->id != FLOW_ACTION_POLICE)
		return -EOPNOTSUPP;
	err = simnic_take_knobs(hw, &knobs, offer->extack);
	if (err)
		return err;
	err = knobs.profile->check_police ?
		knobs.profile->check_police(hw, e, true, offer->extack) : 0;
	if (!err)
		err = simnic_check_police(e, offer->extack);
	if (err)
		return err;
	meter = simnic_meter_find(hw, offer->cookie);
	if (meter)
		simnic_meter_set(meter, e, knobs.profile);
	if (meter && meter->standalone)
		return 0;
	meter = simnic_meter_get(hw, e, knobs.profile);
	if (!meter)
		return -ENOMEM;
	meter->standalone = true;
	return 0;
}

static int simnic_offer_stats(struct simnic_meter *meter, struct flow_offload_action *offer)
{
	struct flow_stats *told = &meter->told, *now = &meter->passed;

	spin_lock_bh(&meter->lock);
	flow_stats_update(&offer->stats, now->bytes - told->bytes, now->pkts - told->pkts,
			  now->drops - told->drops, now->lastused,
			  FLOW_ACTION_HW_STATS_DELAYED);
	*told = *now;
	spin_unlock_bh(&meter->lock);
	return 0;
}

static int simnic_offer(struct simnic_hw *hw, struct flow_offload_action *offer)
{
	struct simnic_meter *meter;

	if (offer->command == FLOW_ACT_REPLACE)
		return simnic_offer_replace(hw, offer);
	meter = simnic_meter_find(hw, offer->cookie);
	if (!meter || !meter->standalone)
		return -ENOENT;
	switch (offer->command) {
	case FLOW_ACT_STATS:
		return simnic_offer_stats(meter, offer);
	case FLOW_ACT_DESTROY:
		meter->standalone = false;
		simnic_meter_put(meter);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* Anything but standalone actions comes through ndo_setup_tc. */
static int simnic_indirect(struct net_device *dev, struct Qdisc *sch, void *priv,
			   enum tc_setup_type type, void *type_data, void *data,
			   void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct simnic_hw *hw = priv;
	int err;

	if (type != TC_SETUP_ACT)
		return -EOPNOTSUPP;
	mutex_lock(&hw->meters_lock);
	err = simnic_offer(hw, data);
	mutex_unlock(&hw->meters_lock);
	return err;
}

/**
 * simnic_meters_on - let tc put standalone actions into the card
 * @hw: the card; without RTNL
 *
 * Return: 0 or -ENOMEM.
 */
int simnic_meters_on(struct simnic_hw *hw)
{
	int err = flow_indr_dev_register(simnic_indirect, hw);

	hw->offers_actions = !err;
	return err;
}

/**
 * simnic_meters_off - take all standalone actions out of the card
 * @hw: the card; without RTNL
 */
void simnic_meters_off(struct simnic_hw *hw)
{
	if (!hw->offers_actions)
		return;
	hw->offers_actions = false;
	flow_indr_dev_unregister(simnic_indirect, hw, NULL);
}
