// SPDX-License-Identifier: GPL-2.0
/* simnic: the netdevs of PF, wire, VFs and representors. */
#include <linux/rtnetlink.h>

#include "flow.h"
#include "simnic.h"

static int simnic_open(struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);

	netif_start_queue(dev);
	simnic_update_links(port->hw);
	return 0;
}

static int simnic_stop(struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);

	netif_stop_queue(dev);
	netif_carrier_off(dev);
	if (port->kind == SIMNIC_VF)
		simnic_sched_flush(port->vport);
	simnic_update_links(port->hw);
	return 0;
}

static int simnic_set_features(struct net_device *dev, netdev_features_t features)
{
	struct simnic_port *port = netdev_priv(dev);

	if (!(features & NETIF_F_HW_TC) && (dev->features & NETIF_F_HW_TC) &&
	    port->vport->rules) {
		netdev_info(dev, "cannot turn hw-tc-offload off: %u rules are in hardware\n",
			    port->vport->rules);
		return -EINVAL;
	}
	return 0;
}

static const struct net_device_ops simnic_pf_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = simnic_set_mac_address,
	.ndo_set_rx_mode = simnic_set_rx_mode,
	.ndo_set_features = simnic_set_features,
	.ndo_setup_tc = simnic_setup_tc,
	.ndo_set_vf_mac = simnic_set_vf_mac,
	.ndo_set_vf_vlan = simnic_set_vf_vlan,
	.ndo_set_vf_rate = simnic_set_vf_rate,
	.ndo_set_vf_spoofchk = simnic_set_vf_spoofchk,
	.ndo_set_vf_trust = simnic_set_vf_trust,
	.ndo_set_vf_link_state = simnic_set_vf_link_state,
	.ndo_get_vf_config = simnic_get_vf_config,
	.ndo_get_vf_stats = simnic_get_vf_stats,
	.ndo_bridge_getlink = simnic_bridge_getlink,
	.ndo_bridge_setlink = simnic_bridge_setlink,
};

/* The driver asks and tells nothing of VFs, nor which switch the port is of. */
static const struct net_device_ops simnic_modeless_pf_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = simnic_set_mac_address,
	.ndo_set_rx_mode = simnic_set_rx_mode,
	.ndo_set_features = simnic_set_features,
	.ndo_setup_tc = simnic_setup_tc,
	.ndo_get_phys_port_id = simnic_get_port_id,
};

static const struct net_device_ops simnic_wire_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static const struct net_device_ops simnic_vf_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = simnic_set_mac_address,
	.ndo_set_rx_mode = simnic_set_rx_mode,
	.ndo_vlan_rx_add_vid = simnic_vlan_rx_add_vid,
	.ndo_vlan_rx_kill_vid = simnic_vlan_rx_kill_vid,
};

static const struct net_device_ops simnic_rep_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_set_features = simnic_set_features,
	.ndo_setup_tc = simnic_setup_tc,
};

static const struct net_device_ops simnic_modeless_rep_ops = {
	.ndo_open = simnic_open,
	.ndo_stop = simnic_stop,
	.ndo_start_xmit = simnic_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_set_features = simnic_set_features,
	.ndo_setup_tc = simnic_setup_tc,
	.ndo_get_port_parent_id = simnic_get_port_id,
	.ndo_get_phys_port_name = simnic_rep_name,
};

/* Name without udev, and the pattern to use when somebody else has that one */
static void simnic_port_name(struct net_device *dev, struct simnic_port *port)
{
	const char *second = port->vport->id == SIMNIC_VPORT_SECOND ? "p1" : "";
	unsigned int card = port->hw->index;

	switch (port->kind) {
	case SIMNIC_PF:
		snprintf(dev->name, IFNAMSIZ, "simpf%u%s", card, second);
		break;
	case SIMNIC_WIRE:
		snprintf(dev->name, IFNAMSIZ, "simwire%u%s", card, second);
		break;
	case SIMNIC_VF:
		snprintf(dev->name, IFNAMSIZ, "simpf%uvf%u", card, port->vport->id);
		break;
	case SIMNIC_REP:
		snprintf(dev->name, IFNAMSIZ, "simpf%urep%u", card, port->vport->id);
		break;
	}
	if (netdev_name_in_use(dev_net(dev), dev->name))
		strscpy(dev->name, "simnic%d", IFNAMSIZ);
}

static void simnic_port_setup(struct net_device *dev, struct simnic_port *port)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = SIMNIC_MAX_MTU;
	dev->ethtool_ops = &simnic_ethtool_ops;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;

	switch (port->kind) {
	case SIMNIC_PF:
		dev->netdev_ops = port->hw->modeless ? &simnic_modeless_pf_ops : &simnic_pf_ops;
		dev->hw_features = NETIF_F_HW_TC;
		dev->priv_flags |= IFF_UNICAST_FLT;
		break;
	case SIMNIC_WIRE:
		dev->netdev_ops = &simnic_wire_ops;
		break;
	case SIMNIC_VF:
		dev->netdev_ops = &simnic_vf_ops;
		dev->features = NETIF_F_HW_VLAN_CTAG_FILTER;
		dev->priv_flags |= IFF_UNICAST_FLT;
		/* A buffer that its sender keeps can't wait in the ring of sched.c. */
		dev->priv_flags &= ~IFF_TX_SKB_SHARING;
		break;
	case SIMNIC_REP:
		dev->netdev_ops = port->hw->modeless ? &simnic_modeless_rep_ops : &simnic_rep_ops;
		dev->hw_features = NETIF_F_HW_TC;
		break;
	}
	/*
	 * No SG, checksum or segmentation offload: the core hands over
	 * complete frames, as they would be on a cable.
	 */
	dev->features |= dev->hw_features;
}

static void simnic_port_address(struct net_device *dev, struct simnic_port *port)
{
	u8 mac[ETH_ALEN];

	if (port->kind == SIMNIC_PF) {
		eth_random_addr(mac);
		eth_hw_addr_set(dev, mac);	/* its permanent address */
	} else if (port->kind == SIMNIC_VF &&
		   !is_zero_ether_addr(port->vport->admin_mac)) {
		eth_hw_addr_set(dev, port->vport->admin_mac);
	} else {
		eth_hw_addr_random(dev);
	}
}

static void simnic_port_publish(struct simnic_port *port, struct net_device *dev)
{
	port->registered = dev;
	if (port->kind == SIMNIC_REP)
		rcu_assign_pointer(port->vport->rep, dev);
	else if (port->kind == SIMNIC_WIRE)
		port->vport->wire = dev;
	else
		rcu_assign_pointer(port->vport->dev, dev);
}

/**
 * simnic_port_create - register a netdev
 * @hw: the card
 * @kind: what it is
 * @vport: its port of the switch, or of a wire the port it leads to
 * @pdev: parent device, for a representor the PF; NULL for the wire and without a mode
 * @dl_port: registered devlink port, or NULL
 *
 * Return: the netdev or an ERR_PTR.
 */
struct net_device *simnic_port_create(struct simnic_hw *hw,
				      enum simnic_kind kind,
				      struct simnic_vport *vport,
				      struct pci_dev *pdev,
				      struct devlink_port *dl_port)
{
	struct simnic_port *port;
	struct net_device *dev;
	int err;

	dev = alloc_etherdev(sizeof(*port));
	if (!dev)
		return ERR_PTR(-ENOMEM);
	port = netdev_priv(dev);
	port->dev = dev;
	port->hw = hw;
	port->vport = vport;
	port->kind = kind;
	simnic_port_setup(dev, port);
	if (pdev)
		SET_NETDEV_DEV(dev, &pdev->dev);
	if (dl_port)
		SET_NETDEV_DEVLINK_PORT(dev, dl_port);
	netif_carrier_off(dev);

	rtnl_lock();
	simnic_port_address(dev, port);
	simnic_port_name(dev, port);
	err = register_netdevice(dev);
	if (!err) {
		simnic_port_publish(port, dev);
		simnic_update_links(hw);
	}
	rtnl_unlock();
	if (err) {
		free_netdev(dev);
		return ERR_PTR(err);
	}
	return dev;
}

/**
 * simnic_port_detach - queue a netdev for unregister_netdevice_many()
 * @dev: the netdev; nothing happens when it was detached before
 * @queue: the list for unregister_netdevice_many()
 *
 * Under RTNL. The memory stays until simnic_port_destroy().
 */
void simnic_port_detach(struct net_device *dev, struct list_head *queue)
{
	struct simnic_port *port = netdev_priv(dev);

	if (!port->registered)
		return;
	simnic_port_publish(port, NULL);
	if (port->kind == SIMNIC_VF || port->kind == SIMNIC_PF)
		simnic_forget_filters(dev);
	unregister_netdevice_queue(dev, queue);
}

/**
 * simnic_port_destroy - unregister a netdev, if still registered, and free it
 * @dev: the netdev
 */
void simnic_port_destroy(struct net_device *dev)
{
	LIST_HEAD(queue);

	rtnl_lock();
	simnic_port_detach(dev, &queue);
	unregister_netdevice_many(&queue);
	rtnl_unlock();
	free_netdev(dev);
}
