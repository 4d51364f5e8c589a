// SPDX-License-Identifier: GPL-2.0
/* simnic: the PCI driver of PF and VFs, and sriov_numvfs. */
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "profile.h"
#include "simnic.h"

static struct pci_device_id simnic_ids[3];

/**
 * simnic_vfs_detach - remove the netdevs of all VFs in one grace period
 * @hw: the card
 *
 * Their drivers stay bound, and have only memory left to free.
 */
void simnic_vfs_detach(struct simnic_hw *hw)
{
	struct net_device *dev;
	LIST_HEAD(queue);
	unsigned int i;

	rtnl_lock();
	for (i = 0; i < hw->total_vfs; i++) {
		dev = rtnl_dereference(hw->vfs[i].dev);
		if (dev)
			simnic_port_detach(dev, &queue);
	}
	unregister_netdevice_many(&queue);
	rtnl_unlock();
}

static void simnic_vfs_disable(struct simnic_hw *hw)
{
	unsigned int i;

	devl_lock(hw->devlink);
	simnic_reps_destroy(hw);
	hw->num_vfs = 0;
	devl_unlock(hw->devlink);

	simnic_vfs_detach(hw);
	/* VF probe and remove never take the devlink lock. */
	pci_disable_sriov(hw->pdev);

	rtnl_lock();
	for (i = 0; i < hw->total_vfs; i++)
		simnic_vf_reset(&hw->vfs[i]);
	rtnl_unlock();
}

static int simnic_sriov_configure(struct pci_dev *pdev, int num_vfs)
{
	struct simnic_hw *hw = simnic_pci_hw(pdev);
	int err;

	if (!num_vfs) {
		simnic_vfs_disable(hw);
		return 0;
	}
	err = pci_enable_sriov(pdev, num_vfs);
	if (err)
		return err;

	devl_lock(hw->devlink);
	hw->num_vfs = num_vfs;
	if (hw->mode == DEVLINK_ESWITCH_MODE_SWITCHDEV)
		err = simnic_reps_create(hw);
	devl_unlock(hw->devlink);
	if (err) {
		simnic_vfs_disable(hw);
		return err;
	}
	rtnl_lock();
	simnic_update_links(hw);
	rtnl_unlock();
	return num_vfs;
}

static int simnic_probe_pf(struct simnic_hw *hw, struct pci_dev *pdev)
{
	struct net_device *dev, *second;
	int err;

	err = pci_enable_device(pdev);
	if (err)
		return err;
	pci_set_master(pdev);
	hw->pdev = pdev;
	hw->modeless = simnic_profile(hw)->no_mode;
	if (hw->modeless)
		hw->mode = DEVLINK_ESWITCH_MODE_SWITCHDEV;
	err = simnic_devlink_create(hw);
	if (err)
		goto disable;

	dev = simnic_port_create(hw, SIMNIC_PF, &hw->uplink, pdev, &hw->uplink.dl_port);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto devlink;
	}
	pci_set_drvdata(pdev, dev);
	if (simnic_ports > 1) {
		second = simnic_port_create(hw, SIMNIC_PF, &hw->second, pdev, &hw->second.dl_port);
		err = PTR_ERR_OR_ZERO(second);
		if (err)
			goto port;
	}
	return 0;
port:
	simnic_port_destroy(dev);
devlink:
	simnic_devlink_destroy(hw);
disable:
	hw->pdev = NULL;
	pci_disable_device(pdev);
	return err;
}

static void simnic_remove_pf(struct simnic_hw *hw, struct pci_dev *pdev)
{
	if (pci_num_vf(pdev))
		simnic_vfs_disable(hw);
	if (simnic_ports > 1)
		simnic_port_destroy(rcu_access_pointer(hw->second.dev));
	simnic_port_destroy(pci_get_drvdata(pdev));
	rtnl_lock();
	simnic_flow_flush(hw);
	rtnl_unlock();
	simnic_devlink_destroy(hw);
	/* From here on nobody can change the mode and turn them on again. */
	simnic_meters_off(hw);
	/* The next driver instance finds a card fresh from reset. */
	hw->mode = DEVLINK_ESWITCH_MODE_LEGACY;
	hw->vepa = false;
	hw->pdev = NULL;
	pci_disable_device(pdev);
}

static int simnic_probe_vf(struct simnic_hw *hw, struct pci_dev *pdev)
{
	int vf = pci_iov_vf_id(pdev);
	struct net_device *dev;
	int err;

	if (vf < 0 || vf >= hw->total_vfs)
		return -ENODEV;
	err = pci_enable_device(pdev);
	if (err)
		return err;
	pci_set_master(pdev);
	dev = simnic_port_create(hw, SIMNIC_VF, &hw->vfs[vf], pdev, NULL);
	if (IS_ERR(dev)) {
		pci_disable_device(pdev);
		return PTR_ERR(dev);
	}
	pci_set_drvdata(pdev, dev);
	return 0;
}

static int simnic_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct simnic_hw *hw = simnic_pci_hw(pdev);

	/* The ids are parameters and may be those of hardware. */
	if (!hw)
		return -ENODEV;
	return pdev->is_virtfn ? simnic_probe_vf(hw, pdev) : simnic_probe_pf(hw, pdev);
}

static void simnic_remove(struct pci_dev *pdev)
{
	struct simnic_hw *hw = simnic_pci_hw(pdev);

	if (!pdev->is_virtfn) {
		simnic_remove_pf(hw, pdev);
		return;
	}
	simnic_port_destroy(pci_get_drvdata(pdev));
	pci_disable_device(pdev);
}

static struct pci_driver simnic_driver = {
	.id_table = simnic_ids,
	.probe = simnic_probe,
	.remove = simnic_remove,
	.sriov_configure = simnic_sriov_configure,
};

/**
 * simnic_driver_register - bind to the functions of all cards
 *
 * Return: 0 or a negative errno; -EBUSY when a driver of that name exists.
 */
int simnic_driver_register(void)
{
	simnic_ids[0] = (struct pci_device_id){ PCI_DEVICE(simnic_vendor, simnic_pf_device) };
	simnic_ids[1] = (struct pci_device_id){ PCI_DEVICE(simnic_vendor, simnic_vf_device) };
	simnic_driver.name = simnic_driver_name;
	return pci_register_driver(&simnic_driver);
}

/**
 * simnic_driver_unregister - let go of all functions, VFs included
 */
void simnic_driver_unregister(void)
{
	pci_unregister_driver(&simnic_driver);
}
