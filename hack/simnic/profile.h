/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: profiles: what other cards take, refuse and do. */
#ifndef SIMNIC_PROFILE_H
#define SIMNIC_PROFILE_H

#include <net/pkt_cls.h>

#include "flow.h"

/* Room for actions that a driver adds to those of tc */
#define SIMNIC_MORE_ACTIONS	12

/*
 * One card, as the source of its driver says. A check that is absent refuses nothing; simnic's
 * own limits come after all checks.
 */
struct simnic_profile_ops {
	const char *name;		/* what the knob and the parameter take */
	u32 extras;			/* enum simnic_extra */
	enum simnic_fragments fragments;	/* the knob's value once the profile is chosen */
	u64 known_keys;			/* of a match; others are ignored. 0: none is */
	bool drops_priority;		/* of rules that match, the first inserted one wins */
	bool no_rule_stats;		/* tc never hears of packets */
	bool police_ip_length;		/* meters count IP packets, not frames */
	bool rate_u32;			/* meters know 32 bits of bytes per second */
	bool ignores_mtu;		/* of a meter that has a rate */
	u32 max_burst;			/* of a meter, in bytes: more is cut. 0: no limit */
	bool pops_untagged;		/* vlan pop needs no match; a frame without a tag is lost */
	bool offloads_legacy;		/* flower on the PF in legacy mode too */
	bool link_speed_units;		/* devlink's rates are refused in mlx5's words */
	bool mode_without_vfs;		/* the eswitch mode changes only while there are no VFs */
	bool no_rates;			/* devlink has none for VFs; as a VF's port is made */
	bool no_mode;			/* devlink knows none, see modeless.c; as the PF's driver binds */

	/* Refuses a filter for what its port is: 0 or a negative errno */
	int (*check_port)(struct simnic_parse *p, const struct net_device *dev);
	/* Refuses a match of flower, p->flow */
	int (*check_match)(struct simnic_parse *p);
	/* The card matches less than tc asked for: changes key and mask of p->rule. */
	void (*loosen_match)(struct simnic_parse *p);
	/* Refuses actions of flower, after its match was parsed */
	int (*check_actions)(struct simnic_parse *p, const struct flow_action *actions);
	/* What the card does for these actions; @done has room for SIMNIC_MORE_ACTIONS more. */
	void (*translate)(struct simnic_parse *p, const struct flow_action *actions,
			  struct flow_action *done);
	/* Refuses a matchall filter */
	int (*check_matchall)(struct simnic_parse *p, const struct flow_action *actions);
	/* Refuses a police action: of a filter, or one that tc offers alone */
	int (*check_police)(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack);
	/* A police action of matchall is something else than a meter. */
	int (*parse_matchall_police)(struct simnic_parse *p, const struct flow_action_entry *e,
				     struct simnic_action *act);
};

/* profile.c */
const struct simnic_profile_ops *simnic_profile_find(const char *name);
void simnic_add_action(struct flow_action *done, const struct flow_action_entry *e);
void simnic_add_verdict(struct flow_action *done, enum flow_action_id id);
bool simnic_on_switch(const struct simnic_parse *p, const struct flow_action_entry *e);

/* profile_mlx5.c */
int simnic_mlx5_check_actions(struct simnic_parse *p, const struct flow_action *actions);
int simnic_mlx5_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			     bool standalone, struct netlink_ext_ack *extack);

/* profile_mlx5_match.c */
int simnic_mlx5_check_match(struct simnic_parse *p);

/* profile_mlx5_limit.c */
int simnic_mlx5_check_matchall(struct simnic_parse *p, const struct flow_action *actions);
int simnic_mlx5_parse_limit(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_action *act);

/* profile_ice.c */
int simnic_ice_check_port(struct simnic_parse *p, const struct net_device *dev);
int simnic_ice_check_match(struct simnic_parse *p);
void simnic_ice_loosen_match(struct simnic_parse *p);
int simnic_ice_check_actions(struct simnic_parse *p, const struct flow_action *actions);
void simnic_ice_translate(struct simnic_parse *p, const struct flow_action *actions,
			  struct flow_action *done);

/* profile_nfp.c */
int simnic_nfp_check_match(struct simnic_parse *p);
int simnic_nfp_check_actions(struct simnic_parse *p, const struct flow_action *actions);
int simnic_nfp_check_matchall(struct simnic_parse *p, const struct flow_action *actions);
int simnic_nfp_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack);

/* profile_sfc.c */
int simnic_sfc_check_match(struct simnic_parse *p);
int simnic_sfc_check_actions(struct simnic_parse *p, const struct flow_action *actions);
void simnic_sfc_translate(struct simnic_parse *p, const struct flow_action *actions,
			  struct flow_action *done);

/* profile_bnxt.c */
#define SIMNIC_BNXT_KEYS	(BIT_ULL(FLOW_DISSECTOR_KEY_CONTROL) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_BASIC) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_VLAN) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_PORTS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ICMP) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_KEYID) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS) | \
				 BIT_ULL(FLOW_DISSECTOR_KEY_ENC_PORTS))
int simnic_bnxt_check_match(struct simnic_parse *p);
int simnic_bnxt_check_actions(struct simnic_parse *p, const struct flow_action *actions);
void simnic_bnxt_translate(struct simnic_parse *p, const struct flow_action *actions,
			   struct flow_action *done);

#endif /* SIMNIC_PROFILE_H */
