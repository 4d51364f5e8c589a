// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the table of profiles.
 *
 * Source: the drivers of Linux 6.12 below drivers/net/ethernet, no hardware. Beside each line
 * stands the driver's function that decides it.
 */
#include <linux/string.h>

#include "profile.h"

static const struct simnic_profile_ops simnic_profiles[] = {
	{
		.name = "full",
		.extras = ~0U,
	},
	{
		/* mellanox/mlx5/core */
		.name = "mlx5",
		.extras = SIMNIC_EXTRA_IP_FIELDS,	/* en_tc.c: __parse_cls_flower() */
		.ignores_mtu = true,	/* en/tc/meter.c: mlx5e_tc_meter_modify() */
		.link_speed_units = true,	/* esw/qos.c: esw_qos_devlink_rate_to_mbps() */
		/* en_tc.c: parse_tc_fdb_actions(), en/tc/act/ */
		.check_actions = simnic_mlx5_check_actions,
		/* en_tc.c: mlx5e_tc_configure_matchall(), scan_tc_matchall_fdb_actions() */
		.check_matchall = simnic_mlx5_check_matchall,
		/* en/tc/act/police.c: mlx5e_policer_validate() */
		.check_police = simnic_mlx5_check_police,
		/* en_tc.c: apply_police_params() */
		.parse_matchall_police = simnic_mlx5_parse_limit,
	},
	{
		/* sfc, EF100 */
		.name = "sfc",
		/* tc.c: efx_tc_flower_replace() */
		.check_actions = simnic_sfc_check_actions,
		/* tc_bindings.c: efx_tc_block_cb() knows flower alone */
		.check_matchall = simnic_sfc_check_matchall,
		.check_police = simnic_sfc_check_police,
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
