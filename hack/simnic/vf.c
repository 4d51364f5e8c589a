// SPDX-License-Identifier: GPL-2.0
/* simnic: VF attributes set through the PF (`ip link set PF vf N ...`). */
#include <linux/rtnetlink.h>

#include "simnic.h"

static struct simnic_vport *simnic_vf(struct net_device *dev, int vf)
{
	struct simnic_port *port = netdev_priv(dev);

	if (vf < 0 || vf >= pci_num_vf(port->hw->pdev))
		return ERR_PTR(-EINVAL);
	return &port->hw->vfs[vf];
}

static bool simnic_switchdev(const struct simnic_vport *vport)
{
	return vport->hw->mode == DEVLINK_ESWITCH_MODE_SWITCHDEV;
}

/**
 * simnic_vf_set_rates - limit a VF's frames, and remember the rates to show them
 * @vport: the VF
 * @min: Mbit/s, its share of the card's capacity, 0: none
 * @max: Mbit/s, 0: no limit
 */
void simnic_vf_set_rates(struct simnic_vport *vport, u32 min, u32 max)
{
	vport->min_rate = min;
	vport->max_rate = max;
	simnic_sched_set(vport, max * SIMNIC_MBIT, min * SIMNIC_MBIT);
}

/**
 * simnic_vf_reset - the attributes a VF has after SR-IOV was enabled
 * @vport: the VF; under RTNL, or before anybody else sees it
 */
void simnic_vf_reset(struct simnic_vport *vport)
{
	unsigned int i;

	eth_zero_addr(vport->admin_mac);
	vport->vlan = 0;
	vport->qos = 0;
	vport->vlan_proto = htons(ETH_P_8021Q);
	vport->spoofchk = true;
	vport->trusted = false;
	vport->link_state = IFLA_VF_LINK_STATE_AUTO;
	simnic_vf_set_rates(vport, 0, 0);
	bitmap_zero(vport->vids, VLAN_N_VID);
	for (i = 0; i < SIMNIC_COUNTERS; i++)
		atomic64_set(&vport->counters[i], 0);
}

/**
 * simnic_set_vf_mac - give a VF its address
 * @dev: the PF
 * @vf: VF number
 * @mac: unicast address, or zeros for "the VF chooses"
 *
 * The switch obeys at once; the VF's netdev takes the address over when its
 * driver binds, as with igbvf and mlx5.
 *
 * Return: -EINVAL for a multicast address or an unknown VF.
 */
int simnic_set_vf_mac(struct net_device *dev, int vf, u8 *mac)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (is_multicast_ether_addr(mac))
		return -EINVAL;
	ether_addr_copy(vport->admin_mac, mac);
	return 0;
}

/**
 * simnic_set_vf_vlan - put a VF into a VLAN
 * @dev: the PF
 * @vf: VF number
 * @vlan: 0-4094, 0: none
 * @qos: priority 0-7; with VLAN 0 it must be 0
 * @proto: 802.1Q or 802.1ad
 *
 * Return: -EOPNOTSUPP in switchdev mode unless it clears, -EINVAL,
 * -EPROTONOSUPPORT.
 */
int simnic_set_vf_vlan(struct net_device *dev, int vf, u16 vlan, u8 qos,
		       __be16 proto)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (vlan >= VLAN_N_VID - 1 || qos > 7 || (!vlan && qos))
		return -EINVAL;
	if (proto != htons(ETH_P_8021Q) && proto != htons(ETH_P_8021AD))
		return -EPROTONOSUPPORT;
	/* mlx5 accepts "no VLAN" in switchdev mode, for libvirt */
	if (simnic_switchdev(vport))
		return vlan ? -EOPNOTSUPP : 0;
	vport->vlan_proto = vlan ? proto : htons(ETH_P_8021Q);
	vport->qos = qos;
	vport->vlan = vlan;
	return 0;
}

/**
 * simnic_set_vf_rate - limit how fast a VF sends
 * @dev: the PF
 * @vf: VF number
 * @min: Mbit/s, its share of the card's capacity, 0: none
 * @max: Mbit/s, 0: no limit
 *
 * Return: -EINVAL when above the link speed or when min exceeds max.
 */
int simnic_set_vf_rate(struct net_device *dev, int vf, int min, int max)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (min < 0 || max < 0 || min > SIMNIC_SPEED || max > SIMNIC_SPEED ||
	    (max && min > max))
		return -EINVAL;
	simnic_vf_set_rates(vport, min, max);
	return 0;
}

/**
 * simnic_set_vf_spoofchk - check source MAC and VLAN of frames from a VF
 * @dev: the PF
 * @vf: VF number
 * @on: check or not
 *
 * Return: -EOPNOTSUPP in switchdev mode, as mlx5.
 */
int simnic_set_vf_spoofchk(struct net_device *dev, int vf, bool on)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (simnic_switchdev(vport))
		return -EOPNOTSUPP;
	vport->spoofchk = on;
	return 0;
}

/**
 * simnic_set_vf_trust - let a VF change its address and be promiscuous
 * @dev: the PF
 * @vf: VF number
 * @on: trust or not
 *
 * Return: -EOPNOTSUPP in switchdev mode, as mlx5.
 */
int simnic_set_vf_trust(struct net_device *dev, int vf, bool on)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (simnic_switchdev(vport))
		return -EOPNOTSUPP;
	vport->trusted = on;
	return 0;
}

/**
 * simnic_set_vf_link_state - force a VF's link
 * @dev: the PF
 * @vf: VF number
 * @state: IFLA_VF_LINK_STATE_*
 *
 * Return: -EINVAL for an unknown state or VF.
 */
int simnic_set_vf_link_state(struct net_device *dev, int vf, int state)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	if (state < IFLA_VF_LINK_STATE_AUTO || state > IFLA_VF_LINK_STATE_DISABLE)
		return -EINVAL;
	vport->link_state = state;
	simnic_update_links(vport->hw);
	return 0;
}

/**
 * simnic_get_vf_config - the attributes that were set
 * @dev: the PF
 * @vf: VF number
 * @info: out
 *
 * Return: -EINVAL for an unknown VF.
 */
int simnic_get_vf_config(struct net_device *dev, int vf,
			 struct ifla_vf_info *info)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	info->vf = vf;
	ether_addr_copy(info->mac, vport->admin_mac);
	info->vlan = vport->vlan;
	info->qos = vport->qos;
	info->vlan_proto = vport->vlan_proto;
	info->spoofchk = simnic_switchdev(vport) ? false : vport->spoofchk;
	info->trusted = vport->trusted;
	info->linkstate = vport->link_state;
	info->min_tx_rate = vport->min_rate;
	info->max_tx_rate = vport->max_rate;
	return 0;
}

/**
 * simnic_get_vf_stats - the card's counters of a VF
 * @dev: the PF
 * @vf: VF number
 * @stats: out; "rx" is what the VF received
 *
 * Return: -EINVAL for an unknown VF.
 */
int simnic_get_vf_stats(struct net_device *dev, int vf,
			struct ifla_vf_stats *stats)
{
	struct simnic_vport *vport = simnic_vf(dev, vf);

	if (IS_ERR(vport))
		return PTR_ERR(vport);
	stats->rx_packets = atomic64_read(&vport->counters[SIMNIC_RX_PACKETS]);
	stats->rx_bytes = atomic64_read(&vport->counters[SIMNIC_RX_BYTES]);
	stats->tx_packets = atomic64_read(&vport->counters[SIMNIC_TX_PACKETS]);
	stats->tx_bytes = atomic64_read(&vport->counters[SIMNIC_TX_BYTES]);
	stats->multicast = atomic64_read(&vport->counters[SIMNIC_RX_MULTICAST]);
	stats->broadcast = atomic64_read(&vport->counters[SIMNIC_RX_BROADCAST]);
	stats->rx_dropped = atomic64_read(&vport->counters[SIMNIC_RX_DROPPED]);
	stats->tx_dropped = atomic64_read(&vport->counters[SIMNIC_TX_DROPPED]);
	return 0;
}
