// SPDX-License-Identifier: GPL-2.0
/* simnic: links between the ports, and which netdevs are ports. */
#include <linux/rtnetlink.h>

#include "simnic.h"

/**
 * simnic_port_of - our private part of a netdev
 * @dev: any netdev
 *
 * Every netdev of ours has the same ethtool operations, and no other has them.
 *
 * Return: NULL when the netdev is not one of ours.
 */
struct simnic_port *simnic_port_of(const struct net_device *dev)
{
	return dev->ethtool_ops == &simnic_ethtool_ops ? netdev_priv(dev) : NULL;
}

static void simnic_set_carrier(struct net_device *dev, bool on)
{
	if (on == netif_carrier_ok(dev))
		return;
	if (on)
		netif_carrier_on(dev);
	else
		netif_carrier_off(dev);
}

static bool simnic_vf_link(struct simnic_vport *vport, bool cable)
{
	struct net_device *rep;

	if (vport->link_state != IFLA_VF_LINK_STATE_AUTO)
		return vport->link_state == IFLA_VF_LINK_STATE_ENABLE;
	if (vport->hw->mode == DEVLINK_ESWITCH_MODE_LEGACY)
		return cable;
	/* As on mlx5, a representor's admin state is the VF's link. */
	rep = rtnl_dereference(vport->rep);
	return rep && netif_running(rep);
}

/* The cable has a link when the PF and the wire are both up. */
static bool simnic_update_cable(struct simnic_vport *uplink)
{
	struct net_device *pf = rtnl_dereference(uplink->dev), *wire = uplink->wire;
	bool on = pf && wire && netif_running(pf) && netif_running(wire);

	if (pf)
		simnic_set_carrier(pf, on);
	if (wire)
		simnic_set_carrier(wire, on);
	return on;
}

/**
 * simnic_update_links - let the carrier of every port follow the admin states
 * @hw: the card
 *
 * Under RTNL.
 */
void simnic_update_links(struct simnic_hw *hw)
{
	bool cable = simnic_update_cable(&hw->uplink);
	struct net_device *dev;
	unsigned int i;

	simnic_update_cable(&hw->second);
	for (i = 0; i < hw->total_vfs; i++) {
		dev = rtnl_dereference(hw->vfs[i].dev);
		if (dev)
			simnic_set_carrier(dev, simnic_vf_link(&hw->vfs[i], cable));
		dev = rtnl_dereference(hw->vfs[i].rep);
		if (dev)
			simnic_set_carrier(dev, netif_running(dev));
	}
}
