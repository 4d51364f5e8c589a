/* SPDX-License-Identifier: GPL-2.0 */
/*
 * simnic: an SR-IOV switchdev NIC in software, with its data path.
 *
 * Two lifetimes meet here. struct simnic_hw is the card: it exists from module
 * load to unload and owns the configuration spaces, the cable, the vports and
 * the flow table. struct net_device exists while a driver is bound to the
 * function, so the card reaches netdevs only through RCU pointers.
 *
 * Locks: the control plane runs under RTNL (ndo_*, flow callbacks); devlink
 * callbacks and sriov_configure hold the devlink instance lock and take RTNL
 * inside it. The data path uses RCU, atomics and per-cpu counters; only limited
 * VFs (sched.c) and meters (meter.c) have locks of their own, taken last.
 */
#ifndef SIMNIC_H
#define SIMNIC_H

#include <linux/atomic.h>
#include <linux/etherdevice.h>
#include <linux/if_link.h>
#include <linux/hrtimer.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <net/devlink.h>
#include <net/flow_offload.h>

#include "rate.h"

#define SIMNIC_MAX_VFS		255	/* bus 0 holds the PF and devfn 1..255 */
#define SIMNIC_MAX_PFS		8
#define SIMNIC_MAX_MTU		9600
#define SIMNIC_SPEED		25000	/* Mbit/s, also the bound of VF rates */
#define SIMNIC_MAX_UC		16	/* secondary MAC filters of a function */
#define SIMNIC_TEXT_LEN		96	/* longest configurable refusal */
#define SIMNIC_NAME_LEN		32	/* longest action or driver name */

/*
 * Vport numbers. Rules and forwarding decisions hold these, never pointers: a
 * netdev may vanish, the port of the card stays.
 */
#define SIMNIC_VPORT_UPLINK	0xffff	/* the cable; its netdev is the PF */
#define SIMNIC_VPORT_PF		0xfffe	/* the PF as host behind the switch */
#define SIMNIC_VPORT_SECOND	0xfffd	/* as UPLINK, of a card with two ports */

struct simnic_hw;
struct simnic_rule;
struct simnic_profile_ops;

/* Kinds of our netdevs */
enum simnic_kind {
	SIMNIC_PF,
	SIMNIC_WIRE,
	SIMNIC_VF,
	SIMNIC_REP,
};

/* Counters of the card, named in simnic_counter_names (deliver.c) */
enum simnic_counter {
	SIMNIC_RX_PACKETS,	/* delivered to the function */
	SIMNIC_RX_BYTES,
	SIMNIC_RX_MULTICAST,
	SIMNIC_RX_BROADCAST,
	SIMNIC_RX_DROPPED,
	SIMNIC_TX_PACKETS,	/* sent by the function, before any check */
	SIMNIC_TX_BYTES,
	SIMNIC_TX_DROPPED,
	SIMNIC_TX_SPOOF_MAC,	/* part of TX_DROPPED */
	SIMNIC_TX_SPOOF_VLAN,	/* part of TX_DROPPED */
	SIMNIC_TX_DELAYED,	/* waited for the transmit scheduler */
	SIMNIC_RX_NO_PORT,	/* part of RX_DROPPED: no netdev, down or no link */
	SIMNIC_RX_TOO_LONG,	/* part of RX_DROPPED: above the MTU */
	SIMNIC_RX_UNKNOWN,	/* from the cable, no function has the address */
	SIMNIC_HW_PACKETS,	/* handled by a rule of this ingress port */
	SIMNIC_HW_MISSES,	/* no rule of this ingress port matched */
	SIMNIC_HW_DROPS,	/* dropped by a rule, or not rewritable */
	SIMNIC_COUNTERS
};

struct simnic_addrs {
	struct rcu_head rcu;
	unsigned int count;
	u8 addr[SIMNIC_MAX_UC][ETH_ALEN];
};

/* Transmit scheduler, see sched.c; all under hw->sched.lock */
struct simnic_vport_sched {
	struct simnic_bucket max, share;
	struct sk_buff_head ring;
	struct list_head list;		/* in hw->sched.waiting */
};

struct simnic_sched {
	spinlock_t lock;		/* rings and buckets of all VFs */
	struct simnic_bucket capacity;
	struct list_head waiting;	/* vports whose rings hold frames */
	struct hrtimer timer;
	bool running;			/* somebody empties the rings */
};

/* A port of the embedded switch. Written under RTNL, read by the data path. */
struct simnic_vport {
	struct simnic_hw *hw;
	u16 id;
	struct net_device __rcu *dev;	/* netdev of the function */
	struct net_device __rcu *rep;	/* switchdev mode: representor */
	struct simnic_addrs __rcu *uc;	/* secondary MAC filters */

	/* set by the administrator through the PF */
	u8 admin_mac[ETH_ALEN];
	u16 vlan;
	u8 qos;
	__be16 vlan_proto;
	bool spoofchk;
	bool trusted;
	int link_state;			/* IFLA_VF_LINK_STATE_* */
	u32 min_rate, max_rate;		/* Mbit/s, 0: none; as shown */
	struct simnic_vport_sched sched;
	struct net_device *wire;	/* of an uplink: the other end of its cable */

	DECLARE_BITMAP(vids, VLAN_N_VID);	/* VLAN filter of the function */
	struct list_head groups;	/* flow table of this ingress, see flow_table.c */
	unsigned int rules;
	atomic64_t counters[SIMNIC_COUNTERS];

	struct devlink_port dl_port;
	bool dl_registered;
};

/* Private part of each of our netdevs */
struct simnic_port {
	struct net_device *dev;
	struct simnic_hw *hw;
	struct simnic_vport *vport;
	enum simnic_kind kind;
	bool registered;	/* under RTNL; a VF can be taken down in bulk */
	struct simnic_port *next;	/* while representors are destroyed in bulk */
};

/* Treatment of fragments */
enum simnic_fragments {
	SIMNIC_FRAGMENTS_FIRST,		/* ports are read in the first one */
	SIMNIC_FRAGMENTS_NONE,		/* in none */
	SIMNIC_FRAGMENTS_REFUSE,	/* in the first one, and rules cannot ask for fragments */
	SIMNIC_FRAGMENTS
};

/*
 * Refusal knobs, all through debugfs; under hw->knobs_lock. The data path reads
 * `fragments` without the lock, and debugfs writes the switches without it.
 */
struct simnic_knobs {
	u32 max_rules;
	enum simnic_fragments fragments;
	const struct simnic_profile_ops *profile;
	u32 fail_count;
	int fail_errno;			/* positive */
	char fail_text[SIMNIC_TEXT_LEN];
	char liar[SIMNIC_NAME_LEN];	/* name of the ignored action, or "" */
	u32 prio_max;			/* profile mlx5: highest priority, 0: no limit */
	/* switches, see debugfs.c */
	bool no_meters, no_vlan_2, no_hairpin;	/* profile mlx5: capabilities that are missing */
	bool hairpin_lost;		/* what a hairpin sends reaches nobody */
	bool no_eswitch;		/* the host does not manage the embedded switch */
};

struct simnic_hw {
	unsigned int index;
	struct pci_bus *bus;
	struct pci_sysdata sysdata;
	struct resource busn;
	u8 *config;			/* PF: 4096 bytes */
	u8 *vf_config;			/* 256 bytes per VF */
	char pci_name[24];

	struct pci_dev *pdev;		/* while the PF driver is bound */
	struct devlink *devlink;
	u16 mode;			/* DEVLINK_ESWITCH_MODE_* */
	bool modeless;			/* devlink knows no mode, see modeless.c */
	bool vepa;
	unsigned int num_vfs;		/* under the devlink lock */
	unsigned int total_vfs;
	struct netdev_phys_item_id switch_id;

	struct simnic_vport uplink;	/* cable ingress; dev is the PF netdev */
	struct simnic_vport second;	/* the same, of a second port; used with ports=2 */
	struct simnic_vport *vfs;	/* total_vfs of them */

	DECLARE_HASHTABLE(rules, 12);	/* by cookie, under RTNL */
	unsigned int num_rules;
	DECLARE_HASHTABLE(meters, 8);	/* by cookie of the action */
	struct mutex meters_lock;	/* innermost */
	bool offers_actions;		/* registered for standalone actions */

	struct simnic_sched sched;

	spinlock_t knobs_lock;		/* knobs */
	struct simnic_knobs knobs;
	struct dentry *debugfs;
};

static inline bool simnic_is_uplink(const struct simnic_vport *vport)
{
	return vport->id == SIMNIC_VPORT_UPLINK || vport->id == SIMNIC_VPORT_SECOND;
}

static inline void simnic_count(struct simnic_vport *vport,
				enum simnic_counter what, u64 n)
{
	atomic64_add(n, &vport->counters[what]);
}

/* params.c: names and numbers that a card shows */
extern char *simnic_driver_name;
extern unsigned short simnic_vendor, simnic_pf_device, simnic_vf_device;
extern unsigned int simnic_domain, simnic_ports;

/* pci.c: configuration spaces and root buses */
int simnic_pci_add(struct simnic_hw *hw);
void simnic_pci_remove(struct simnic_hw *hw);
struct simnic_hw *simnic_pci_hw(struct pci_dev *pdev);

/* driver.c: the pci_driver of PF and VFs */
int simnic_driver_register(void);
void simnic_driver_unregister(void);
void simnic_vfs_detach(struct simnic_hw *hw);

/* port.c: netdevs */
struct net_device *simnic_port_create(struct simnic_hw *hw,
				      enum simnic_kind kind,
				      struct simnic_vport *vport,
				      struct pci_dev *pdev,
				      struct devlink_port *dl_port);
void simnic_port_detach(struct net_device *dev, struct list_head *queue);
void simnic_port_destroy(struct net_device *dev);

/* link.c: links of the ports */
struct simnic_port *simnic_port_of(const struct net_device *dev);
void simnic_update_links(struct simnic_hw *hw);

/* address.c: MAC and VLAN filters of functions */
int simnic_set_mac_address(struct net_device *dev, void *addr);
void simnic_set_rx_mode(struct net_device *dev);
int simnic_vlan_rx_add_vid(struct net_device *dev, __be16 proto, u16 vid);
int simnic_vlan_rx_kill_vid(struct net_device *dev, __be16 proto, u16 vid);
bool simnic_owns_mac(struct simnic_vport *vport, const u8 *mac);
void simnic_forget_filters(struct net_device *dev);

/* vf.c: attributes that `ip link set PF vf N` sets */
void simnic_vf_reset(struct simnic_vport *vport);
void simnic_vf_set_rates(struct simnic_vport *vport, u32 min, u32 max);
int simnic_set_vf_mac(struct net_device *dev, int vf, u8 *mac);
int simnic_set_vf_vlan(struct net_device *dev, int vf, u16 vlan, u8 qos,
		       __be16 proto);
int simnic_set_vf_rate(struct net_device *dev, int vf, int min, int max);
int simnic_set_vf_spoofchk(struct net_device *dev, int vf, bool on);
int simnic_set_vf_trust(struct net_device *dev, int vf, bool on);
int simnic_set_vf_link_state(struct net_device *dev, int vf, int state);
int simnic_get_vf_config(struct net_device *dev, int vf,
			 struct ifla_vf_info *info);
int simnic_get_vf_stats(struct net_device *dev, int vf,
			struct ifla_vf_stats *stats);

/* deliver.c: frames out */
extern const char * const simnic_counter_names[SIMNIC_COUNTERS];
void simnic_deliver(struct simnic_vport *vport, struct net_device *dev,
		    struct sk_buff *frame);
void simnic_to_function(struct simnic_vport *vport, struct sk_buff *frame);
void simnic_to_wire(struct simnic_vport *uplink, struct sk_buff *frame);
struct net_device *simnic_from_cable(struct simnic_vport *uplink, struct sk_buff *frame);

/* eswitch.c: frames in */
void simnic_transmit(struct sk_buff *skb, struct net_device *dev);

/* sched.c: how fast VFs may send */
netdev_tx_t simnic_xmit(struct sk_buff *skb, struct net_device *dev);
void simnic_sched_init(struct simnic_hw *hw);
void simnic_sched_exit(struct simnic_hw *hw);
void simnic_sched_set(struct simnic_vport *vport, u64 max, u64 share);
void simnic_sched_set_capacity(struct simnic_hw *hw, u64 rate);
u64 simnic_sched_capacity(struct simnic_hw *hw);
void simnic_sched_flush(struct simnic_vport *vport);

/* legacy.c: switching by MAC and VLAN */
void simnic_legacy_rx(struct simnic_hw *hw, u16 source, struct sk_buff *frame);
int simnic_bridge_getlink(struct sk_buff *skb, u32 pid, u32 seq,
			  struct net_device *dev, u32 filter_mask,
			  int nlflags);
int simnic_bridge_setlink(struct net_device *dev, struct nlmsghdr *nlh,
			  u16 flags, struct netlink_ext_ack *extack);

/* switchdev.c: mode change and representors */
int simnic_set_mode(struct simnic_hw *hw, u16 mode,
		    struct netlink_ext_ack *extack);
int simnic_reps_create(struct simnic_hw *hw);
void simnic_reps_destroy(struct simnic_hw *hw);

/* modeless.c: netdevs of a card without a mode */
int simnic_get_port_id(struct net_device *dev, struct netdev_phys_item_id *id);
int simnic_rep_name(struct net_device *dev, char *name, size_t len);

/* devlink.c: the devlink instance */
int simnic_devlink_create(struct simnic_hw *hw);
void simnic_devlink_destroy(struct simnic_hw *hw);

/* devlink_port.c: devlink ports of representors */
int simnic_devlink_add_vf_port(struct simnic_vport *vport);
void simnic_devlink_del_port(struct simnic_vport *vport);

/* ethtool.c */
extern const struct ethtool_ops simnic_ethtool_ops;

/* debugfs.c */
void simnic_debugfs_init(void);
void simnic_debugfs_exit(void);
void simnic_debugfs_add(struct simnic_hw *hw);
void simnic_debugfs_remove(struct simnic_hw *hw);

#endif /* SIMNIC_H */
