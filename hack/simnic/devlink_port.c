// SPDX-License-Identifier: GPL-2.0
/* simnic: the devlink port of a representor, and the address of the VF behind it. */
#include <linux/rtnetlink.h>

#include "profile.h"
#include "simnic.h"

static int simnic_hw_addr_get(struct devlink_port *dl_port, u8 *addr, int *len,
			      struct netlink_ext_ack *extack)
{
	struct simnic_vport *vport = container_of(dl_port, struct simnic_vport, dl_port);

	ether_addr_copy(addr, vport->admin_mac);
	*len = ETH_ALEN;
	return 0;
}

static int simnic_hw_addr_set(struct devlink_port *dl_port, const u8 *addr, int len,
			      struct netlink_ext_ack *extack)
{
	struct simnic_vport *vport = container_of(dl_port, struct simnic_vport, dl_port);

	if (len != ETH_ALEN || is_multicast_ether_addr(addr))
		return simnic_refuse(extack, -EINVAL, "the address must be unicast");
	rtnl_lock();
	ether_addr_copy(vport->admin_mac, addr);
	rtnl_unlock();
	return 0;
}

static const struct devlink_port_ops simnic_vf_port_ops = {
	.port_fn_hw_addr_get = simnic_hw_addr_get,
	.port_fn_hw_addr_set = simnic_hw_addr_set,
};

/**
 * simnic_devlink_add_vf_port - the devlink port of a representor
 * @vport: the VF; under the devlink lock
 *
 * Return: 0 or a negative errno.
 */
int simnic_devlink_add_vf_port(struct simnic_vport *vport)
{
	struct simnic_hw *hw = vport->hw;
	int err;

	memset(&vport->dl_port, 0, sizeof(vport->dl_port));
	/* Attributes cannot change later, so the switch id comes first. */
	vport->dl_port.attrs.switch_id = hw->switch_id;
	devlink_port_attrs_pci_vf_set(&vport->dl_port, 0, hw->index, vport->id, false);
	err = devl_port_register_with_ops(hw->devlink, &vport->dl_port, 1 + vport->id,
					  &simnic_vf_port_ops);
	if (err)
		return err;
	if (!simnic_profile(hw)->no_rates)
		err = devl_rate_leaf_create(&vport->dl_port, vport, NULL);
	if (err) {
		devl_port_unregister(&vport->dl_port);
		return err;
	}
	vport->dl_registered = true;
	return 0;
}

/**
 * simnic_devlink_del_port - remove the devlink port of a representor
 * @vport: the VF; under the devlink lock; nothing happens when it has none
 */
void simnic_devlink_del_port(struct simnic_vport *vport)
{
	if (!vport->dl_registered)
		return;
	devl_rate_leaf_destroy(&vport->dl_port);
	devl_port_unregister(&vport->dl_port);
	vport->dl_registered = false;
}
