// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the table of profiles.
 *
 * Source: the drivers of Linux 6.12 below drivers/net/ethernet, no hardware. Beside each line
 * stands the driver's function that decides it. [I]: an inference, the source does not say it.
 *
 * drops_priority: the driver gives the card no priority. Which of two rules wins that match one
 * frame is then the card's business; simnic takes the one that was inserted first [I].
 */
#include <linux/string.h>

#include "profile.h"

/* The driver's block callback knows flower alone. */
static int simnic_no_matchall(struct simnic_parse *p, const struct flow_action *actions)
{
	return -EOPNOTSUPP;
}

/* The driver does not hear of standalone actions. */
static int simnic_no_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			    bool standalone, struct netlink_ext_ack *extack)
{
	return -EOPNOTSUPP;
}

static const struct simnic_profile_ops simnic_profiles[] = {
	{
		.name = "full",
		.extras = SIMNIC_EXTRA_ALL,
	},
	{
		/* mellanox/mlx5/core */
		.name = "mlx5",
		.extras = SIMNIC_EXTRA_IP_FIELDS,	/* en_tc.c: __parse_cls_flower() */
		.ignores_mtu = true,	/* en/tc/act/police.c: fill_meter_params_from_act() */
		/* en/tc/meter.c: mlx5e_tc_meter_modify() */
		.police_ip_length = true,
		.max_burst = 0x7fffffff,
		/* en/tc/act/vlan.c: parse_tc_vlan_action() asks for no match */
		.pops_untagged = true,
		.offloads_legacy = true,	/* en_tc.c: mlx5e_add_nic_flow() */
		.link_speed_units = true,	/* esw/qos.c: esw_qos_devlink_rate_to_mbps() */
		/* en_tc.c: __parse_cls_flower() */
		.check_match = simnic_mlx5_check_match,
		/* en_tc.c: parse_tc_fdb_actions(), parse_tc_nic_actions(), en/tc/act/ */
		.check_actions = simnic_mlx5_check_actions,
		/* en_tc.c: mlx5e_tc_configure_matchall(), scan_tc_matchall_fdb_actions() */
		.check_matchall = simnic_mlx5_check_matchall,
		/* en/tc/act/police.c: mlx5e_policer_validate() */
		.check_police = simnic_mlx5_check_police,
		/* en_tc.c: apply_police_params() */
		.parse_matchall_police = simnic_mlx5_parse_limit,
	},
	{
		/* intel/ice, E810 */
		.name = "ice",
		.extras = SIMNIC_EXTRA_IP_FIELDS,	/* ice_tc_lib.c: ice_parse_cls_flower() */
		/* ice_tc_lib.c: ice_parse_cls_flower() refuses control flags */
		.fragments = SIMNIC_FRAGMENTS_REFUSE,
		.drops_priority = true,	/* ice_tc_lib.c: ice_eswitch_add_tc_fltr(), always 7 */
		/* ice_main.c: ice_setup_tc_cls_flower(); ice_repr.c does the same */
		.no_rule_stats = true,
		.mode_without_vfs = true,	/* ice_eswitch.c: ice_eswitch_mode_set() */
		.check_port = simnic_ice_check_port,	/* ice_tc_lib.c: ice_add_cls_flower() */
		.check_match = simnic_ice_check_match,	/* ice_parse_cls_flower() */
		.loosen_match = simnic_ice_loosen_match,	/* ice_tc_fill_rules() */
		.check_actions = simnic_ice_check_actions,	/* ice_eswitch_tc_parse_action() */
		.translate = simnic_ice_translate,	/* ice_tc_setup_action() */
		.check_matchall = simnic_no_matchall,	/* ice_main.c: ice_setup_tc_block_cb() */
		.check_police = simnic_no_police,	/* ice_main.c: ice_indr_setup_tc_cb() */
	},
	{
		/* netronome/nfp/flower, firmware with all that the driver knows of */
		.name = "nfp",
		/* offload.c: NFP_FLOWER_WHITELIST_DISSECTOR; action.c: nfp_fl_set_ip4() */
		.extras = SIMNIC_EXTRA_IP_FIELDS | SIMNIC_EXTRA_DSFIELD | SIMNIC_EXTRA_BARE,
		.drops_priority = true,	/* offload.c: nfp_flower_add_offload() */
		.no_rates = true,	/* nfp_devlink.c: nfp_devlink_ops */
		/* qos_conf.c: nfp_flower_offload_one_police() has u32 rate */
		.rate_u32 = true,
		.ignores_mtu = true,	/* qos_conf.c: nfp_act_install_actions() */
		.check_match = simnic_nfp_check_match,	/* nfp_flower_calculate_key_layers() */
		.check_actions = simnic_nfp_check_actions,	/* nfp_flower_loop_action() */
		/* qos_conf.c: nfp_flower_install_rate_limiter() */
		.check_matchall = simnic_nfp_check_matchall,
		/* qos_conf.c: nfp_policer_validate(), action.c: nfp_flower_meter_action() */
		.check_police = simnic_nfp_check_police,
	},
	{
		/* sfc, EF100 */
		.name = "sfc",
		.extras = SIMNIC_EXTRA_BARE,	/* tc.c: efx_tc_flower_replace() has no checks */
		.drops_priority = true,	/* tc.c: efx_tc_flower_replace(), EFX_TC_PRIO_TC */
		.no_rates = true,	/* efx_devlink.c: sfc_devlink_ops */
		.no_mode = true,	/* the same; ef100_sriov.c: efx_ef100_pci_sriov_enable() */
		.check_match = simnic_sfc_check_match,	/* tc.c: efx_tc_flower_parse_match() */
		.check_actions = simnic_sfc_check_actions,	/* tc.c: efx_tc_flower_replace() */
		.translate = simnic_sfc_translate,	/* tc.c: efx_tc_flower_replace(), its end */
		.check_matchall = simnic_no_matchall,	/* tc_bindings.c: efx_tc_block_cb() */
		.check_police = simnic_no_police,	/* tc_bindings.c: efx_tc_indr_setup_cb() */
	},
	{
		/* broadcom/bnxt */
		.name = "bnxt",
		.extras = SIMNIC_EXTRA_BARE,	/* bnxt_tc.c: bnxt_tc_parse_actions(), no checks */
		/* bnxt_tc.c: bnxt_tc_parse_flow() refuses control flags */
		.fragments = SIMNIC_FRAGMENTS_REFUSE,
		/* bnxt_tc_parse_flow() reads these and does not look whether there are others */
		.known_keys = SIMNIC_BNXT_KEYS,
		.drops_priority = true,	/* bnxt_hwrm_cfa_flow_alloc(), no PRI_HINT */
		.no_rates = true,	/* bnxt_devlink.c: bnxt_dl_ops */
		.check_match = simnic_bnxt_check_match,	/* bnxt_tc_can_offload() */
		.check_actions = simnic_bnxt_check_actions,	/* bnxt_tc_parse_actions() */
		.translate = simnic_bnxt_translate,	/* bnxt_hwrm_cfa_flow_alloc() */
		.check_matchall = simnic_no_matchall,	/* bnxt.c: bnxt_setup_tc_block_cb() */
		.check_police = simnic_no_police,	/* bnxt_tc.c: bnxt_tc_setup_indr_cb() */
	},
};

/**
 * simnic_profile_find - a profile by its name
 * @name: as the knob and the parameter take it
 *
 * Return: NULL when it is unknown.
 */
const struct simnic_profile_ops *simnic_profile_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(simnic_profiles); i++)
		if (!strcmp(simnic_profiles[i].name, name))
			return &simnic_profiles[i];
	return NULL;
}

/**
 * simnic_add_action - the card does one more action
 * @done: what it does so far, with room
 * @e: the action
 */
void simnic_add_action(struct flow_action *done, const struct flow_action_entry *e)
{
	done->entries[done->num_entries++] = *e;
}

/**
 * simnic_add_verdict - the card does one more action that has no parameters
 * @done: what it does so far, with room
 * @id: FLOW_ACTION_*
 */
void simnic_add_verdict(struct flow_action *done, enum flow_action_id id)
{
	struct flow_action_entry e = { .id = id, .hw_stats = FLOW_ACTION_HW_STATS_ANY };

	simnic_add_action(done, &e);
}

/**
 * simnic_on_switch - can the card forward to the target of an action?
 * @p: the rule
 * @e: redirect or mirror
 *
 * Return: false for what is no port of the same embedded switch.
 */
bool simnic_on_switch(const struct simnic_parse *p, const struct flow_action_entry *e)
{
	struct simnic_port *to = e->dev ? simnic_port_of(e->dev) : NULL;

	return to && to->hw == p->vport->hw && (to->kind == SIMNIC_PF || to->kind == SIMNIC_REP);
}
