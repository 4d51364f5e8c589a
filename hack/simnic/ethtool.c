// SPDX-License-Identifier: GPL-2.0
/* simnic: ethtool: driver, link and the card's counters. */
#include <linux/ethtool.h>

#include "simnic.h"

static const char * const simnic_sums[] = { "vfs_tx_spoof_mac", "vfs_tx_spoof_vlan" };

static void simnic_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	struct simnic_port *port = netdev_priv(dev);

	strscpy(info->driver, simnic_driver_name, sizeof(info->driver));
	if (port->kind == SIMNIC_WIRE)
		return;
	strscpy(info->fw_version, "1.0.0", sizeof(info->fw_version));
	strscpy(info->bus_info, dev_name(dev->dev.parent), sizeof(info->bus_info));
}

static int simnic_get_link_ksettings(struct net_device *dev,
				     struct ethtool_link_ksettings *cmd)
{
	bool link = netif_carrier_ok(dev);

	ethtool_link_ksettings_zero_link_mode(cmd, supported);
	ethtool_link_ksettings_zero_link_mode(cmd, advertising);
	ethtool_link_ksettings_add_link_mode(cmd, supported, 25000baseCR_Full);
	ethtool_link_ksettings_add_link_mode(cmd, supported, FIBRE);
	cmd->base.autoneg = AUTONEG_DISABLE;
	cmd->base.port = PORT_FIBRE;
	cmd->base.speed = link ? SIMNIC_SPEED : SPEED_UNKNOWN;
	cmd->base.duplex = link ? DUPLEX_FULL : DUPLEX_UNKNOWN;
	return 0;
}

static int simnic_get_sset_count(struct net_device *dev, int set)
{
	struct simnic_port *port = netdev_priv(dev);

	if (set != ETH_SS_STATS || port->kind == SIMNIC_WIRE)
		return -EOPNOTSUPP;
	return SIMNIC_COUNTERS + (port->kind == SIMNIC_PF ? ARRAY_SIZE(simnic_sums) : 0);
}

static void simnic_get_strings(struct net_device *dev, u32 set, u8 *data)
{
	struct simnic_port *port = netdev_priv(dev);
	unsigned int i;

	if (set != ETH_SS_STATS)
		return;
	for (i = 0; i < SIMNIC_COUNTERS; i++)
		ethtool_sprintf(&data, "vport_%s", simnic_counter_names[i]);
	if (port->kind != SIMNIC_PF)
		return;
	for (i = 0; i < ARRAY_SIZE(simnic_sums); i++)
		ethtool_puts(&data, simnic_sums[i]);
}

static u64 simnic_sum(struct simnic_hw *hw, enum simnic_counter what)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < hw->total_vfs; i++)
		sum += atomic64_read(&hw->vfs[i].counters[what]);
	return sum;
}

static void simnic_get_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	struct simnic_port *port = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < SIMNIC_COUNTERS; i++)
		*data++ = atomic64_read(&port->vport->counters[i]);
	if (port->kind != SIMNIC_PF)
		return;
	*data++ = simnic_sum(port->hw, SIMNIC_TX_SPOOF_MAC);
	*data++ = simnic_sum(port->hw, SIMNIC_TX_SPOOF_VLAN);
}

/* The MAC is at the card's end of the wire: it receives what the other end sends. */
static void simnic_get_eth_mac_stats(struct net_device *dev, struct ethtool_eth_mac_stats *mac)
{
	struct simnic_port *port = netdev_priv(dev);
	struct rtnl_link_stats64 wire = {};

	if (port->kind != SIMNIC_PF || !port->vport->wire)
		return;
	dev_get_tstats64(port->vport->wire, &wire);
	mac->FramesReceivedOK = wire.tx_packets;
	mac->OctetsReceivedOK = wire.tx_bytes;
	mac->FramesTransmittedOK = wire.rx_packets;
	mac->OctetsTransmittedOK = wire.rx_bytes;
}

const struct ethtool_ops simnic_ethtool_ops = {
	.get_drvinfo = simnic_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = simnic_get_link_ksettings,
	.get_sset_count = simnic_get_sset_count,
	.get_strings = simnic_get_strings,
	.get_ethtool_stats = simnic_get_stats,
	.get_eth_mac_stats = simnic_get_eth_mac_stats,
};
