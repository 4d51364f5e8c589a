// SPDX-License-Identifier: GPL-2.0
/* simnic: the cards from load to unload. */
#include <linux/hashtable.h>
#include <linux/module.h>

#include "profile.h"
#include "simnic.h"

static unsigned int num_pfs = 1;
module_param(num_pfs, uint, 0444);
MODULE_PARM_DESC(num_pfs, "number of cards, 1-8, each with its own PCI domain (1)");

static unsigned int total_vfs = 8;
module_param(total_vfs, uint, 0444);
MODULE_PARM_DESC(total_vfs, "VFs per card, 0-255 (8)");

static char *profile = "full";
module_param(profile, charp, 0444);
MODULE_PARM_DESC(profile, "what the cards offload: full, mlx5, ice, nfp, sfc or bnxt (full)");

static struct simnic_hw *cards[SIMNIC_MAX_PFS];

static void simnic_vport_init(struct simnic_hw *hw, struct simnic_vport *vport,
			      u16 id)
{
	vport->hw = hw;
	vport->id = id;
	INIT_LIST_HEAD(&vport->groups);
	INIT_LIST_HEAD(&vport->sched.list);
	__skb_queue_head_init(&vport->sched.ring);
	simnic_vf_reset(vport);
}

static void simnic_hw_free(struct simnic_hw *hw)
{
	simnic_sched_exit(hw);
	kvfree(hw->vfs);
	kfree(hw);
}

static void simnic_wires_remove(struct simnic_hw *hw)
{
	if (hw->uplink.wire)
		simnic_port_destroy(hw->uplink.wire);
	if (hw->second.wire)
		simnic_port_destroy(hw->second.wire);
}

static int simnic_wires_add(struct simnic_hw *hw)
{
	struct net_device *wire;

	wire = simnic_port_create(hw, SIMNIC_WIRE, &hw->uplink, NULL, NULL);
	if (!IS_ERR(wire) && simnic_ports > 1)
		wire = simnic_port_create(hw, SIMNIC_WIRE, &hw->second, NULL, NULL);
	if (IS_ERR(wire))
		simnic_wires_remove(hw);
	return PTR_ERR_OR_ZERO(wire);
}

static void simnic_hw_remove(struct simnic_hw *hw)
{
	simnic_debugfs_remove(hw);
	simnic_pci_remove(hw);
	simnic_wires_remove(hw);
	simnic_hw_free(hw);
}

static struct simnic_hw *simnic_hw_add(unsigned int index)
{
	struct simnic_hw *hw;
	unsigned int i;
	int err;

	hw = kzalloc(sizeof(*hw), GFP_KERNEL);
	if (!hw)
		return ERR_PTR(-ENOMEM);
	hw->index = index;
	hw->total_vfs = total_vfs;
	hw->mode = DEVLINK_ESWITCH_MODE_LEGACY;
	spin_lock_init(&hw->knobs_lock);
	hash_init(hw->rules);
	hash_init(hw->meters);
	mutex_init(&hw->meters_lock);
	simnic_sched_init(hw);
	hw->knobs.profile = simnic_profile_find(profile);
	hw->knobs.fragments = hw->knobs.profile->fragments;
	hw->switch_id.id_len = 8;
	get_random_bytes(hw->switch_id.id, hw->switch_id.id_len);

	hw->vfs = kvcalloc(max(total_vfs, 1U), sizeof(*hw->vfs), GFP_KERNEL);
	if (!hw->vfs) {
		kfree(hw);
		return ERR_PTR(-ENOMEM);
	}
	simnic_vport_init(hw, &hw->uplink, SIMNIC_VPORT_UPLINK);
	simnic_vport_init(hw, &hw->second, SIMNIC_VPORT_SECOND);
	for (i = 0; i < total_vfs; i++)
		simnic_vport_init(hw, &hw->vfs[i], i);

	err = simnic_wires_add(hw);
	if (err) {
		simnic_hw_free(hw);
		return ERR_PTR(err);
	}
	err = simnic_pci_add(hw);
	if (err) {
		simnic_wires_remove(hw);
		simnic_hw_free(hw);
		return ERR_PTR(err);
	}
	simnic_debugfs_add(hw);
	return hw;
}

static void simnic_remove_cards(void)
{
	unsigned int i;

	for (i = 0; i < num_pfs; i++) {
		if (cards[i])
			simnic_hw_remove(cards[i]);
		cards[i] = NULL;
	}
}

static int __init simnic_init(void)
{
	unsigned int i;
	int err;

	if (!num_pfs || num_pfs > SIMNIC_MAX_PFS || total_vfs > SIMNIC_MAX_VFS) {
		pr_err("num_pfs must be 1-%d and total_vfs 0-%d\n",
		       SIMNIC_MAX_PFS, SIMNIC_MAX_VFS);
		return -EINVAL;
	}
	if (!simnic_profile_find(profile)) {
		pr_err("profile must be full, mlx5, ice, nfp, sfc or bnxt\n");
		return -EINVAL;
	}
	if (!simnic_ports || simnic_ports > 2) {
		pr_err("ports must be 1 or 2\n");
		return -EINVAL;
	}
	if (!*simnic_driver_name || strlen(simnic_driver_name) >= SIMNIC_NAME_LEN ||
	    strchr(simnic_driver_name, '/')) {
		pr_err("driver_name must have 1-%d characters and no slash\n",
		       SIMNIC_NAME_LEN - 1);
		return -EINVAL;
	}

	simnic_debugfs_init();
	for (i = 0; i < num_pfs; i++) {
		struct simnic_hw *hw = simnic_hw_add(i);

		if (IS_ERR(hw)) {
			err = PTR_ERR(hw);
			goto remove;
		}
		cards[i] = hw;
	}
	/* Last: from here on functions are probed. */
	err = simnic_driver_register();
	if (err)
		goto remove;
	return 0;
remove:
	simnic_remove_cards();
	simnic_debugfs_exit();
	return err;
}

static void __exit simnic_exit(void)
{
	unsigned int i;

	for (i = 0; i < num_pfs; i++)
		simnic_vfs_detach(cards[i]);
	simnic_driver_unregister();
	simnic_remove_cards();
	simnic_debugfs_exit();
	/* rules and address lists are freed by RCU */
	rcu_barrier();
	simnic_forget_texts();
}

module_init(simnic_init);
module_exit(simnic_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Simulated SR-IOV switchdev NIC with its data path");
