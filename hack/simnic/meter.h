/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: a meter, for filters and for tc's standalone actions. */
#ifndef SIMNIC_METER_H
#define SIMNIC_METER_H

#include "profile.h"

struct simnic_meter {
	struct hlist_node node;
	struct simnic_hw *hw;
	unsigned long cookie;
	u32 index;			/* as tc shows it */
	unsigned int users;		/* rules, and tc for a standalone action */
	bool standalone;
	struct rcu_head rcu;

	spinlock_t lock;		/* of all below */
	struct simnic_bucket bytes, packets;
	u32 mtu;
	bool ip_length;			/* of a packet, not the frame */
	struct flow_stats passed;	/* packets and bytes seen, drops among them */
	struct flow_stats told;		/* to tc, for a standalone action */
};

/* meter.c */
struct simnic_meter *simnic_meter_find(struct simnic_hw *hw, unsigned long cookie);
struct simnic_meter *simnic_meter_get(struct simnic_hw *hw, const struct flow_action_entry *e,
				      const struct simnic_profile_ops *profile);
void simnic_meter_put(struct simnic_meter *meter);
void simnic_meter_set(struct simnic_meter *meter, const struct flow_action_entry *e,
		      const struct simnic_profile_ops *profile);
int simnic_check_police(const struct flow_action_entry *e, struct netlink_ext_ack *extack);

#endif /* SIMNIC_METER_H */
