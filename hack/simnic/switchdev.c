// SPDX-License-Identifier: GPL-2.0
/* simnic: change of eswitch mode, and the representors. */
#include <linux/rtnetlink.h>

#include "profile.h"
#include "simnic.h"

/**
 * simnic_reps_destroy - remove all representors, in one grace period
 * @hw: the card; under the devlink lock
 */
void simnic_reps_destroy(struct simnic_hw *hw)
{
	struct simnic_port *gone = NULL, *port;
	struct net_device *dev;
	LIST_HEAD(queue);
	unsigned int i;

	rtnl_lock();
	for (i = 0; i < hw->total_vfs; i++) {
		dev = rtnl_dereference(hw->vfs[i].rep);
		if (!dev)
			continue;
		port = netdev_priv(dev);
		simnic_port_detach(dev, &queue);
		port->next = gone;
		gone = port;
	}
	unregister_netdevice_many(&queue);
	rtnl_unlock();

	while (gone) {
		port = gone;
		gone = port->next;
		free_netdev(port->dev);
	}
	/* A port may outlive a representor that was never created. */
	for (i = 0; i < hw->total_vfs; i++)
		simnic_devlink_del_port(&hw->vfs[i]);
}

/**
 * simnic_reps_create - one representor per VF
 * @hw: the card; under the devlink lock
 *
 * Return: 0, or a negative errno and no representor at all.
 */
int simnic_reps_create(struct simnic_hw *hw)
{
	struct net_device *dev;
	unsigned int i;
	int err = 0;

	for (i = 0; i < hw->num_vfs && !err; i++) {
		struct simnic_vport *vport = &hw->vfs[i];

		err = simnic_devlink_add_vf_port(vport);
		if (err)
			break;
		dev = simnic_port_create(hw, SIMNIC_REP, vport, hw->modeless ? NULL : hw->pdev,
					 hw->modeless ? NULL : &vport->dl_port);
		err = PTR_ERR_OR_ZERO(dev);
	}
	if (err)
		simnic_reps_destroy(hw);
	return err;
}

static void simnic_switch_to(struct simnic_hw *hw, u16 mode)
{
	unsigned int i;

	rtnl_lock();
	simnic_flow_flush(hw);
	WRITE_ONCE(hw->mode, mode);
	/* devlink's leaves know of no rates when they are created. */
	for (i = 0; i < hw->total_vfs; i++)
		simnic_vf_set_rates(&hw->vfs[i], 0, 0);
	simnic_update_links(hw);
	rtnl_unlock();
}

/**
 * simnic_set_mode - change the eswitch mode
 * @hw: the card; under the devlink lock
 * @mode: DEVLINK_ESWITCH_MODE_*
 * @extack: reason of a refusal
 *
 * Rules, meters and rates do not survive it. tc goes on showing in_hw for those of the uplink,
 * as it does with real cards.
 *
 * Return: -EOPNOTSUPP for an unknown mode, or why representors could not be
 * created; the mode is the old one then.
 */
int simnic_set_mode(struct simnic_hw *hw, u16 mode, struct netlink_ext_ack *extack)
{
	int err;

	if (mode == hw->mode)
		return 0;
	if (simnic_profile(hw)->mode_without_vfs && hw->num_vfs)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Changing eswitch mode is allowed only if there is no VFs created");
	switch (mode) {
	case DEVLINK_ESWITCH_MODE_LEGACY:
		simnic_meters_off(hw);
		simnic_reps_destroy(hw);
		simnic_switch_to(hw, mode);
		return 0;
	case DEVLINK_ESWITCH_MODE_SWITCHDEV:
		simnic_switch_to(hw, mode);
		err = simnic_reps_create(hw);
		if (!err)
			err = simnic_meters_on(hw);
		if (err) {
			simnic_reps_destroy(hw);
			simnic_switch_to(hw, DEVLINK_ESWITCH_MODE_LEGACY);
			return simnic_refuse(extack, err, "cannot create representors");
		}
		return 0;
	default:
		return simnic_refuse(extack, -EOPNOTSUPP, "eswitch mode %u is unknown", mode);
	}
}
