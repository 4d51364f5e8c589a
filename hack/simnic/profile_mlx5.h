/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: the profile mlx5 inside. */
#ifndef SIMNIC_PROFILE_MLX5_H
#define SIMNIC_PROFILE_MLX5_H

#include "profile.h"

#define MLX5_MAX_PEDITS	16	/* a guess: the source has no number, the firmware has */
#define MLX5_MAX_VLANS	2	/* MLX5_FS_VLAN_DEPTH */

/* What was seen of a rule. A police that is not last begins a new table entry. */
struct simnic_mlx5_seen {
	unsigned int vlans;	/* of the rule; all below: of its table entry */
	unsigned int pedits, ports;
	bool rewrites;		/* a pedit was seen, even one that changes nothing */
	bool pops, forwards, drops;
	u16 to[16];	/* ports since the last rewrite */
	u32 masks[2][6][10];	/* by command, header and word: bits rewritten */
};

/* profile_mlx5_pedit.c */
int simnic_mlx5_pedit(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_mlx5_seen *seen);

/* profile_mlx5_match.c */
int simnic_mlx5_check_prio(const struct simnic_parse *p);
int simnic_mlx5_check_hairpin(const struct simnic_parse *p, bool redirects);

#endif /* SIMNIC_PROFILE_MLX5_H */
