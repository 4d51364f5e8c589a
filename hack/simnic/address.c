// SPDX-License-Identifier: GPL-2.0
/* simnic: which MAC addresses and VLANs a function receives and may send. */
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "simnic.h"

/* Is a VF bound to the address its administrator gave it? */
static bool simnic_bound(const struct simnic_vport *vport)
{
	return !is_zero_ether_addr(vport->admin_mac) && !vport->trusted;
}

/**
 * simnic_set_mac_address - ndo_set_mac_address of PF and VFs
 * @dev: the function
 * @addr: struct sockaddr
 *
 * Return: -EPERM when the administrator gave the VF another address and does
 * not trust it, -EADDRNOTAVAIL for an address no interface may have.
 */
int simnic_set_mac_address(struct net_device *dev, void *addr)
{
	struct simnic_port *port = netdev_priv(dev);
	struct sockaddr *sa = addr;

	if (port->kind == SIMNIC_VF && simnic_bound(port->vport) &&
	    !ether_addr_equal(sa->sa_data, port->vport->admin_mac))
		return -EPERM;
	return eth_mac_addr(dev, addr);
}

/**
 * simnic_set_rx_mode - ndo_set_rx_mode of PF and VFs
 * @dev: the function, its address lists locked
 *
 * Copies the secondary addresses. More than SIMNIC_MAX_UC do not fit into the
 * card; the rest is not received. Multicast is flooded, not filtered.
 */
void simnic_set_rx_mode(struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);
	struct simnic_vport *vport = port->vport;
	struct simnic_addrs *uc = NULL, *old;
	struct netdev_hw_addr *ha;

	if (netdev_uc_count(dev) && port->registered) {
		uc = kzalloc(sizeof(*uc), GFP_ATOMIC);
		if (!uc)
			return;
		netdev_for_each_uc_addr(ha, dev) {
			if (uc->count == SIMNIC_MAX_UC)
				break;
			ether_addr_copy(uc->addr[uc->count++], ha->addr);
		}
	}
	old = rcu_replace_pointer(vport->uc, uc, true);
	if (old)
		kfree_rcu(old, rcu);
}

/**
 * simnic_forget_filters - remove the filters of a function whose driver goes away
 * @dev: the function, no longer registered with its vport; under RTNL
 */
void simnic_forget_filters(struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);
	struct simnic_vport *vport = port->vport;
	struct simnic_addrs *old;

	/* Multicast groups come and go without RTNL, and bring simnic_set_rx_mode() along. */
	netif_addr_lock_bh(dev);
	old = rcu_replace_pointer(vport->uc, NULL, true);
	netif_addr_unlock_bh(dev);
	if (old)
		kfree_rcu(old, rcu);
	bitmap_zero(vport->vids, VLAN_N_VID);
}

/**
 * simnic_owns_mac - true if a function receives and sends with this address
 * @vport: a function with a netdev; RCU read side
 * @mac: unicast address
 *
 * Return: the truth; an untrusted VF with an administrator's address has only
 * that one.
 */
bool simnic_owns_mac(struct simnic_vport *vport, const u8 *mac)
{
	struct net_device *dev = rcu_dereference(vport->dev);
	struct simnic_addrs *uc;
	unsigned int i;

	if (!dev)
		return false;
	if (!is_zero_ether_addr(vport->admin_mac) &&
	    ether_addr_equal(mac, vport->admin_mac))
		return true;
	if (simnic_bound(vport))
		return false;
	if (ether_addr_equal(mac, dev->dev_addr))
		return true;
	uc = rcu_dereference(vport->uc);
	for (i = 0; uc && i < uc->count; i++)
		if (ether_addr_equal(mac, uc->addr[i]))
			return true;
	return false;
}

/**
 * simnic_vlan_rx_add_vid - a VF asks for frames of a VLAN
 * @dev: the VF
 * @proto: tag protocol
 * @vid: VLAN id; 0 is always received
 *
 * Return: -EPERM when the administrator put the VF into a VLAN.
 */
int simnic_vlan_rx_add_vid(struct net_device *dev, __be16 proto, u16 vid)
{
	struct simnic_port *port = netdev_priv(dev);

	if (!vid)
		return 0;
	if (port->vport->vlan && port->vport->vlan_proto == htons(ETH_P_8021Q))
		return -EPERM;
	set_bit(vid, port->vport->vids);
	return 0;
}

/**
 * simnic_vlan_rx_kill_vid - a VF no longer wants frames of a VLAN
 * @dev: the VF
 * @proto: tag protocol
 * @vid: VLAN id
 *
 * Return: 0
 */
int simnic_vlan_rx_kill_vid(struct net_device *dev, __be16 proto, u16 vid)
{
	struct simnic_port *port = netdev_priv(dev);

	clear_bit(vid, port->vport->vids);
	return 0;
}
