// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: configuration spaces in memory and one root bus per card.
 *
 * No BARs and no interrupts: the driver lives in the same module and needs
 * neither. Registers follow linux/pci_regs.h.
 */
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "simnic.h"

#define PF_CONFIG_SIZE	PCI_CFG_SPACE_EXP_SIZE
#define VF_CONFIG_SIZE	PCI_CFG_SPACE_SIZE
#define CAP_EXP		0x40
#define CAP_SRIOV	0x100

static u8 *simnic_config(struct simnic_hw *hw, unsigned int devfn, int where)
{
	u16 ctrl, num_vfs;

	if (!devfn)
		return where < PF_CONFIG_SIZE ? hw->config + where : NULL;
	ctrl = get_unaligned_le16(hw->config + CAP_SRIOV + PCI_SRIOV_CTRL);
	num_vfs = get_unaligned_le16(hw->config + CAP_SRIOV + PCI_SRIOV_NUM_VF);
	if (!(ctrl & PCI_SRIOV_CTRL_VFE) || devfn > num_vfs ||
	    devfn > hw->total_vfs || where >= VF_CONFIG_SIZE)
		return NULL;
	return hw->vf_config + (devfn - 1) * VF_CONFIG_SIZE + where;
}

/* Is there a function at all? Its extended space may still be empty. */
static bool simnic_present(struct simnic_hw *hw, unsigned int devfn)
{
	return simnic_config(hw, devfn, 0);
}

/* Writable bits of a byte; all others are hardwired. */
static u8 simnic_write_mask(unsigned int devfn, int where)
{
	switch (where) {
	case PCI_COMMAND:
		return devfn ? PCI_COMMAND_MASTER :
			PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY;
	case PCI_COMMAND + 1:
		return devfn ? 0 : (PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE) >> 8;
	case PCI_CACHE_LINE_SIZE:
	case PCI_INTERRUPT_LINE:
		return devfn ? 0 : 0xff;
	case CAP_EXP + PCI_EXP_DEVCTL:
		return 0xff;
	case CAP_EXP + PCI_EXP_DEVCTL + 1:
		return 0x7f;	/* the reset bit reads as zero */
	}
	if (devfn)
		return 0;
	switch (where) {
	case CAP_SRIOV + PCI_SRIOV_CTRL:
		return PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE;
	case CAP_SRIOV + PCI_SRIOV_NUM_VF:
	case CAP_SRIOV + PCI_SRIOV_NUM_VF + 1:
	case CAP_SRIOV + PCI_SRIOV_SYS_PGSIZE ... CAP_SRIOV + PCI_SRIOV_SYS_PGSIZE + 3:
		return 0xff;
	}
	return 0;
}

static int simnic_config_read(struct pci_bus *bus, unsigned int devfn,
			      int where, int size, u32 *val)
{
	struct simnic_hw *hw = container_of(to_pci_sysdata(bus),
					    struct simnic_hw, sysdata);
	int i;

	*val = ~0U;
	if (bus->number || !simnic_present(hw, devfn))
		return PCIBIOS_DEVICE_NOT_FOUND;
	*val = 0;
	for (i = 0; i < size; i++) {
		u8 *byte = simnic_config(hw, devfn, where + i);

		*val |= (u32)(byte ? *byte : 0) << (8 * i);
	}
	return PCIBIOS_SUCCESSFUL;
}

static int simnic_config_write(struct pci_bus *bus, unsigned int devfn,
			       int where, int size, u32 val)
{
	struct simnic_hw *hw = container_of(to_pci_sysdata(bus),
					    struct simnic_hw, sysdata);
	int i;

	if (bus->number || !simnic_present(hw, devfn))
		return PCIBIOS_DEVICE_NOT_FOUND;
	for (i = 0; i < size; i++) {
		u8 *byte = simnic_config(hw, devfn, where + i);
		u8 mask = simnic_write_mask(devfn, where + i);

		if (byte)
			*byte = (*byte & ~mask) | ((val >> (8 * i)) & mask);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops simnic_pci_ops = {
	.read = simnic_config_read,
	.write = simnic_config_write,
};

/**
 * simnic_pci_hw - the card that a PCI function belongs to
 * @pdev: any PCI function
 *
 * Return: NULL when the function is not one of ours.
 */
struct simnic_hw *simnic_pci_hw(struct pci_dev *pdev)
{
	if (pdev->bus->ops != &simnic_pci_ops)
		return NULL;
	return container_of(to_pci_sysdata(pdev->bus), struct simnic_hw, sysdata);
}

static void simnic_config_header(u8 *config, u16 vendor, u16 device)
{
	u8 *exp = config + CAP_EXP;

	put_unaligned_le16(vendor, config + PCI_VENDOR_ID);
	put_unaligned_le16(device, config + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_STATUS_CAP_LIST, config + PCI_STATUS);
	config[PCI_CLASS_REVISION] = 1;
	put_unaligned_le16(PCI_CLASS_NETWORK_ETHERNET, config + PCI_CLASS_DEVICE);
	put_unaligned_le16(simnic_vendor, config + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(1, config + PCI_SUBSYSTEM_ID);
	config[PCI_CAPABILITY_LIST] = CAP_EXP;

	/* An integrated endpoint has no link, so a root bus may hold it. */
	exp[0] = PCI_CAP_ID_EXP;
	put_unaligned_le16(2 | PCI_EXP_TYPE_RC_END << 4, exp + PCI_EXP_FLAGS);
	put_unaligned_le32(PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR,
			   exp + PCI_EXP_DEVCAP);
}

static void simnic_config_sriov(struct simnic_hw *hw)
{
	u8 *cap = hw->config + CAP_SRIOV;

	put_unaligned_le32(PCI_EXT_CAP_ID_SRIOV | 1 << 16, cap);
	put_unaligned_le16(hw->total_vfs, cap + PCI_SRIOV_INITIAL_VF);
	put_unaligned_le16(hw->total_vfs, cap + PCI_SRIOV_TOTAL_VF);
	put_unaligned_le16(1, cap + PCI_SRIOV_VF_OFFSET);
	put_unaligned_le16(1, cap + PCI_SRIOV_VF_STRIDE);
	put_unaligned_le16(simnic_vf_device, cap + PCI_SRIOV_VF_DID);
	put_unaligned_le32(0x553, cap + PCI_SRIOV_SUP_PGSIZE);
	put_unaligned_le32(1, cap + PCI_SRIOV_SYS_PGSIZE);
}

static int simnic_free_domain(unsigned int first)
{
	unsigned int domain;

	for (domain = first; domain < first + 0x100; domain++)
		if (!pci_find_bus(domain, 0))
			return domain;
	return -EBUSY;
}

static void simnic_config_free(struct simnic_hw *hw)
{
	kfree(hw->config);
	kvfree(hw->vf_config);
}

/**
 * simnic_pci_add - put the card on a root bus of its own
 * @hw: the card
 *
 * Drivers bind as soon as they are registered.
 *
 * Return: 0 or a negative errno.
 */
int simnic_pci_add(struct simnic_hw *hw)
{
	LIST_HEAD(resources);
	unsigned int i;
	int domain;

	domain = simnic_free_domain(simnic_domain);
	if (domain < 0)
		return domain;
	hw->config = kzalloc(PF_CONFIG_SIZE, GFP_KERNEL);
	hw->vf_config = kvcalloc(max(hw->total_vfs, 1U), VF_CONFIG_SIZE, GFP_KERNEL);
	if (!hw->config || !hw->vf_config) {
		simnic_config_free(hw);
		return -ENOMEM;
	}
	simnic_config_header(hw->config, simnic_vendor, simnic_pf_device);
	if (hw->total_vfs)
		simnic_config_sriov(hw);
	/* A VF's own ids read as ffff: software takes them from the PF. */
	for (i = 0; i < hw->total_vfs; i++)
		simnic_config_header(hw->vf_config + i * VF_CONFIG_SIZE, 0xffff, 0xffff);

	hw->sysdata.domain = domain;
	hw->sysdata.node = NUMA_NO_NODE;
	hw->busn.name = "simnic";
	hw->busn.flags = IORESOURCE_BUS;
	pci_add_resource(&resources, &hw->busn);
	snprintf(hw->pci_name, sizeof(hw->pci_name), "%04x:00:00.0", domain);

	pci_lock_rescan_remove();
	hw->bus = pci_scan_root_bus(NULL, 0, &simnic_pci_ops, &hw->sysdata, &resources);
	if (hw->bus)
		pci_bus_add_devices(hw->bus);
	pci_unlock_rescan_remove();
	if (!hw->bus) {
		pci_free_resource_list(&resources);
		simnic_config_free(hw);
		return -ENODEV;
	}
	return 0;
}

/**
 * simnic_pci_remove - take the card off its bus
 * @hw: the card; no driver of ours is registered any more
 */
void simnic_pci_remove(struct simnic_hw *hw)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(hw->bus);
	pci_remove_root_bus(hw->bus);
	pci_unlock_rescan_remove();
	simnic_config_free(hw);
}
