// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: a card whose devlink instance knows no mode of the embedded switch, as EF100.
 *
 * Source: drivers/net/ethernet/sfc of Linux 6.12. sfc_devlink_ops (efx_devlink.c) has no
 * operations of the switch: devlink answers without a mode, and refuses to set one. Representors
 * come and go with the VFs (ef100_sriov.c: efx_ef100_pci_sriov_enable()) and have no parent
 * device. The uplink has no switch id (ef100_netdev.c: ef100_netdev_ops); its port id is the
 * switch id of the representors.
 */
#include "simnic.h"

/**
 * simnic_get_port_id - the port id of the uplink, and the switch id of a representor
 * @dev: either
 * @id: out
 *
 * ef100_nic.c: efx_ef100_get_phys_port_id(); ef100_rep.c: efx_ef100_rep_get_port_parent_id().
 *
 * Return: 0.
 */
int simnic_get_port_id(struct net_device *dev, struct netdev_phys_item_id *id)
{
	struct simnic_port *port = netdev_priv(dev);

	*id = port->hw->switch_id;
	return 0;
}

/**
 * simnic_rep_name - the port name of a representor, which begins with that of the uplink
 * @dev: the representor
 * @name: out
 * @len: its size
 *
 * ef100_rep.c: efx_ef100_rep_get_phys_port_name().
 *
 * Return: 0, or -EOPNOTSUPP for a name that is too long.
 */
int simnic_rep_name(struct net_device *dev, char *name, size_t len)
{
	struct simnic_port *port = netdev_priv(dev);
	unsigned int card = port->hw->index;

	if (snprintf(name, len, "p%upf%uvf%u", card, card, port->vport->id) >= len)
		return -EOPNOTSUPP;
	return 0;
}
