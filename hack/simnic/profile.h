/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: profiles: what other cards take, refuse and do. */
#ifndef SIMNIC_PROFILE_H
#define SIMNIC_PROFILE_H

#include "flow.h"

/*
 * One card, as the source of its driver says. A check that is absent refuses nothing; simnic's
 * own limits come after all checks.
 */
struct simnic_profile_ops {
	const char *name;		/* what the knob and the parameter take */
	enum simnic_fragments fragments;	/* the knob's value once the profile is chosen */
	u32 extras;			/* enum simnic_extra, beyond addresses and ports */
	bool drops_priority;		/* of rules that match, the first inserted one wins */
	bool police_ip_length;		/* meters count IP packets, not frames */
	bool rate_u32;			/* meters know 32 bits of bytes per second */
	bool ignores_mtu;		/* of a meter that has a rate */
	bool loses_port_rewrite;	/* of the destination port */
	bool link_speed_units;		/* devlink's rates are refused in mlx5's words */

	/* Refuses a match of flower: 0 or a negative errno */
	int (*check_match)(struct simnic_parse *p, const struct flow_rule *flow);
	/* Refuses actions of flower, after its match was parsed */
	int (*check_actions)(struct simnic_parse *p, const struct flow_action *actions);
	/* Refuses a matchall filter */
	int (*check_matchall)(struct simnic_parse *p, const struct flow_action *actions);
	/* Refuses a police action: of a filter, or one that tc offers alone */
	int (*check_police)(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack);
	/* A police action of matchall is something else than a meter. */
	int (*parse_matchall_police)(struct simnic_parse *p, const struct flow_action_entry *e,
				     struct simnic_action *act);
	/* The driver accepts the action and does nothing with it. */
	bool (*swallows)(const struct flow_action_entry *e);
};

/* profile.c */
const struct simnic_profile_ops *simnic_profile_find(const char *name);

/* profile_mlx5.c */
int simnic_mlx5_check_actions(struct simnic_parse *p, const struct flow_action *actions);
int simnic_mlx5_check_matchall(struct simnic_parse *p, const struct flow_action *actions);
int simnic_mlx5_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			     bool standalone, struct netlink_ext_ack *extack);
int simnic_mlx5_parse_limit(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_action *act);

/* profile_sfc.c */
int simnic_sfc_check_actions(struct simnic_parse *p, const struct flow_action *actions);
int simnic_sfc_check_matchall(struct simnic_parse *p, const struct flow_action *actions);
int simnic_sfc_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack);

#endif /* SIMNIC_PROFILE_H */
