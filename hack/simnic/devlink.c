// SPDX-License-Identifier: GPL-2.0
/* simnic: the devlink instance of the PF: eswitch mode, rates of VFs, the uplink's port. */
#include <linux/rtnetlink.h>

#include "profile.h"
#include "simnic.h"

static struct simnic_hw *simnic_devlink_hw(struct devlink *devlink)
{
	return *(struct simnic_hw **)devlink_priv(devlink);
}

/* Of a card whose switch another host manages mlx5 says no more (eswitch.c:70-79). */
static bool simnic_manages(struct devlink *devlink)
{
	return !READ_ONCE(simnic_devlink_hw(devlink)->knobs.no_eswitch);
}

static int simnic_eswitch_mode_get(struct devlink *devlink, u16 *mode)
{
	if (!simnic_manages(devlink))
		return -EOPNOTSUPP;
	*mode = simnic_devlink_hw(devlink)->mode;
	return 0;
}

static int simnic_eswitch_mode_set(struct devlink *devlink, u16 mode,
				   struct netlink_ext_ack *extack)
{
	if (!simnic_manages(devlink))
		return -EOPNOTSUPP;
	return simnic_set_mode(simnic_devlink_hw(devlink), mode, extack);
}

static int simnic_info_get(struct devlink *devlink, struct devlink_info_req *req,
			   struct netlink_ext_ack *extack)
{
	struct simnic_hw *hw = simnic_devlink_hw(devlink);
	char serial[17];
	int err;

	snprintf(serial, sizeof(serial), "%*phN", hw->switch_id.id_len, hw->switch_id.id);
	err = devlink_info_serial_number_put(req, serial);
	if (err)
		return err;
	return devlink_info_version_running_put(req, "fw.version", "1.0.0");
}

/* devlink counts rates in bytes per second. */
static int simnic_rate(struct simnic_hw *hw, struct netlink_ext_ack *extack, u64 bytes, u32 *mbit)
{
	bool mlx5 = simnic_profile(hw)->link_speed_units;
	u64 rest = do_div(bytes, SIMNIC_MBIT);

	if (rest)
		return simnic_refuse(extack, -EINVAL, mlx5 ?
				     "TX rate value not in link speed units of 1Mbps" :
				     "rate must be whole Mbit/s");
	if (bytes > SIMNIC_SPEED && mlx5)
		return simnic_refuse(extack, -EINVAL, "TX rate value exceed link maximum speed");
	if (bytes > SIMNIC_SPEED)
		return simnic_refuse(extack, -EINVAL, "rate is above the link's %u Mbit/s",
				     SIMNIC_SPEED);
	*mbit = bytes;
	return 0;
}

static int simnic_rate_tx_share(struct devlink_rate *rate, void *priv, u64 bytes,
				struct netlink_ext_ack *extack)
{
	struct simnic_vport *vport = priv;
	u32 mbit;
	int err = simnic_rate(vport->hw, extack, bytes, &mbit);

	if (err)
		return err;
	rtnl_lock();
	simnic_vf_set_rates(vport, mbit, vport->max_rate);
	rtnl_unlock();
	return 0;
}

static int simnic_rate_tx_max(struct devlink_rate *rate, void *priv, u64 bytes,
			      struct netlink_ext_ack *extack)
{
	struct simnic_vport *vport = priv;
	u32 mbit;
	int err = simnic_rate(vport->hw, extack, bytes, &mbit);

	if (err)
		return err;
	rtnl_lock();
	simnic_vf_set_rates(vport, vport->min_rate, mbit);
	rtnl_unlock();
	return 0;
}

static const struct devlink_ops simnic_devlink_ops = {
	.eswitch_mode_get = simnic_eswitch_mode_get,
	.eswitch_mode_set = simnic_eswitch_mode_set,
	.info_get = simnic_info_get,
	.rate_leaf_tx_share_set = simnic_rate_tx_share,
	.rate_leaf_tx_max_set = simnic_rate_tx_max,
};

static const struct devlink_ops simnic_modeless_devlink_ops = {
	.info_get = simnic_info_get,
};

static const struct devlink_port_ops simnic_uplink_port_ops = {};

/* @port: its position on the card; @index: of the devlink port */
static int simnic_add_uplink_port(struct simnic_vport *uplink, unsigned int port,
				  unsigned int index)
{
	struct simnic_hw *hw = uplink->hw;
	struct devlink_port_attrs attrs = {
		.flavour = DEVLINK_PORT_FLAVOUR_PHYSICAL,
		.phys.port_number = hw->index * simnic_ports + port,
	};

	if (!hw->modeless)
		attrs.switch_id = hw->switch_id;
	memset(&uplink->dl_port, 0, sizeof(uplink->dl_port));
	devlink_port_attrs_set(&uplink->dl_port, &attrs);
	return devl_port_register_with_ops(hw->devlink, &uplink->dl_port, index,
					   &simnic_uplink_port_ops);
}

static int simnic_add_uplink_ports(struct simnic_hw *hw)
{
	int err = simnic_add_uplink_port(&hw->uplink, 0, 0);

	if (err || simnic_ports == 1)
		return err;
	/* Behind the ports of all VFs */
	err = simnic_add_uplink_port(&hw->second, 1, 1 + SIMNIC_MAX_VFS);
	if (err)
		devl_port_unregister(&hw->uplink.dl_port);
	return err;
}

static void simnic_del_uplink_ports(struct simnic_hw *hw)
{
	if (simnic_ports > 1)
		devl_port_unregister(&hw->second.dl_port);
	devl_port_unregister(&hw->uplink.dl_port);
}

/**
 * simnic_devlink_create - devlink instance with the ports of the uplinks
 * @hw: the card, its PF driver binding
 *
 * An uplink carries the switch id in both modes, as on mlx5 and ice. Without a mode it has none.
 *
 * Return: 0 or a negative errno.
 */
int simnic_devlink_create(struct simnic_hw *hw)
{
	struct devlink *devlink;
	int err;

	devlink = devlink_alloc(hw->modeless ? &simnic_modeless_devlink_ops : &simnic_devlink_ops,
				sizeof(hw), &hw->pdev->dev);
	if (!devlink)
		return -ENOMEM;
	*(struct simnic_hw **)devlink_priv(devlink) = hw;
	hw->devlink = devlink;

	devl_lock(devlink);
	err = simnic_add_uplink_ports(hw);
	if (!err) {
		err = devl_register(devlink);
		if (err)
			simnic_del_uplink_ports(hw);
	}
	devl_unlock(devlink);
	if (err) {
		hw->devlink = NULL;
		devlink_free(devlink);
	}
	return err;
}

/**
 * simnic_devlink_destroy - remove the devlink instance
 * @hw: the card, its netdevs of PF and representors gone
 */
void simnic_devlink_destroy(struct simnic_hw *hw)
{
	devl_lock(hw->devlink);
	devl_unregister(hw->devlink);
	simnic_del_uplink_ports(hw);
	devl_unlock(hw->devlink);
	devlink_free(hw->devlink);
	hw->devlink = NULL;
}
