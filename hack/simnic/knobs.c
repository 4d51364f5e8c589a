// SPDX-License-Identifier: GPL-2.0
/* simnic: the knobs of a card as its control plane reads them. */
#include "flow.h"
#include "simnic.h"

/**
 * simnic_take_knobs - the knobs for one operation
 * @hw: the card
 * @knobs: out
 * @extack: reason of a refusal
 *
 * Return: 0, or the errno of a refusal that the knob fail_next asked for; one less is left.
 */
int simnic_take_knobs(struct simnic_hw *hw, struct simnic_knobs *knobs,
		      struct netlink_ext_ack *extack)
{
	bool fail;

	spin_lock(&hw->knobs_lock);
	*knobs = hw->knobs;
	fail = hw->knobs.fail_count;
	if (fail)
		hw->knobs.fail_count--;
	spin_unlock(&hw->knobs_lock);
	return fail ? simnic_refuse(extack, -knobs->fail_errno, "%s", knobs->fail_text) : 0;
}

/**
 * simnic_profile - the limits that the card has now
 * @hw: the card
 *
 * Return: a line of the table of profile.c.
 */
const struct simnic_profile_ops *simnic_profile(struct simnic_hw *hw)
{
	const struct simnic_profile_ops *profile;

	spin_lock(&hw->knobs_lock);
	profile = hw->knobs.profile;
	spin_unlock(&hw->knobs_lock);
	return profile;
}

/**
 * simnic_fragments - how the card treats fragments now
 * @hw: the card
 *
 * Return: SIMNIC_FRAGMENTS_*.
 */
enum simnic_fragments simnic_fragments(struct simnic_hw *hw)
{
	enum simnic_fragments fragments;

	spin_lock(&hw->knobs_lock);
	fragments = hw->knobs.fragments;
	spin_unlock(&hw->knobs_lock);
	return fragments;
}
