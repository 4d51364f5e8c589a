// SPDX-License-Identifier: GPL-2.0
/* simnic: the embedded switch of legacy mode, by MAC address and VLAN. */
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <net/netlink.h>

#include "flow.h"
#include "simnic.h"

struct simnic_tag {
	__be16 proto;	/* 0: untagged */
	u16 vid;	/* 0: untagged, or priority only */
};

static struct simnic_tag simnic_outer_tag(const struct sk_buff *frame)
{
	const struct vlan_ethhdr *hdr = (const struct vlan_ethhdr *)frame->data;
	struct simnic_tag tag = {};

	if (frame->len >= VLAN_ETH_HLEN && eth_type_vlan(hdr->h_vlan_proto)) {
		tag.proto = hdr->h_vlan_proto;
		tag.vid = ntohs(hdr->h_vlan_TCI) & VLAN_VID_MASK;
	}
	return tag;
}

static bool simnic_spoofed(struct simnic_vport *vport, struct sk_buff *frame,
			   enum simnic_counter why)
{
	simnic_count(vport, SIMNIC_TX_DROPPED, 1);
	simnic_count(vport, why, 1);
	kfree_skb(frame);
	return false;
}

/*
 * Checks what a VF sends and puts it into the VF's VLAN. A VF in a VLAN never
 * chooses the outer tag, checked or not: that is what isolates it.
 */
static bool simnic_admit(struct simnic_vport *vport, struct sk_buff *frame)
{
	const struct ethhdr *eth = (const struct ethhdr *)frame->data;
	struct simnic_tag tag = simnic_outer_tag(frame);
	u16 vlan = READ_ONCE(vport->vlan);
	bool check = READ_ONCE(vport->spoofchk);

	if (check && !simnic_owns_mac(vport, eth->h_source))
		return simnic_spoofed(vport, frame, SIMNIC_TX_SPOOF_MAC);
	if (!vlan) {
		if (check && tag.proto && tag.vid &&
		    (tag.proto != htons(ETH_P_8021Q) || !test_bit(tag.vid, vport->vids)))
			return simnic_spoofed(vport, frame, SIMNIC_TX_SPOOF_VLAN);
		return true;
	}
	if (tag.proto && !tag.vid)
		simnic_tag_pop(frame);
	else if (tag.proto && (vport->vlan_proto == htons(ETH_P_8021Q) ||
			       tag.proto == htons(ETH_P_8021AD)))
		return simnic_spoofed(vport, frame, SIMNIC_TX_SPOOF_VLAN);
	simnic_tag_push(frame, vport->vlan_proto, vport->qos << VLAN_PRIO_SHIFT | vlan);
	return true;
}

/* True if the VF, in VLAN @vlan or in none, belongs to the VLAN of the frame. */
static bool simnic_member(struct simnic_vport *vport, u16 vlan, struct simnic_tag tag)
{
	if (vlan)
		return tag.proto == vport->vlan_proto && tag.vid == vlan;
	if (!tag.vid)
		return true;
	return tag.proto == htons(ETH_P_8021Q) && test_bit(tag.vid, vport->vids);
}

static void simnic_into_vf(struct simnic_vport *vport, u16 vlan, struct sk_buff *frame)
{
	if (vlan)
		simnic_tag_pop(frame);
	simnic_to_function(vport, frame);
}

static bool simnic_promiscuous(struct simnic_vport *vport)
{
	struct net_device *dev = rcu_dereference(vport->dev);

	return dev && READ_ONCE(dev->flags) & IFF_PROMISC &&
		(vport->id == SIMNIC_VPORT_UPLINK || vport->trusted);
}

/*
 * The PF's netdev belongs to the vport of the cable. Rules of legacy mode are the PF's own:
 * they see what the switch gives to the PF.
 */
static void simnic_into_pf(struct simnic_hw *hw, struct sk_buff *frame)
{
	if (list_empty(&hw->uplink.groups) ||
	    simnic_flow_run(&hw->uplink, frame) == SIMNIC_FLOW_MISS)
		simnic_deliver(NULL, rcu_dereference(hw->uplink.dev), frame);
}

typedef bool simnic_wanted_t(struct simnic_vport *vport, const u8 *mac);

static bool simnic_wants_group(struct simnic_vport *vport, const u8 *from)
{
	/* A reflective relay sends a VF's own broadcast back. */
	return rcu_access_pointer(vport->dev) &&
		!(vport->hw->vepa && simnic_owns_mac(vport, from));
}

static bool simnic_wants_address(struct simnic_vport *vport, const u8 *to)
{
	return simnic_owns_mac(vport, to);
}

static bool simnic_wants_rest(struct simnic_vport *vport, const u8 *to)
{
	return simnic_promiscuous(vport);
}

/* Copies to every function but the source that wants the frame. */
static unsigned int simnic_spread(struct simnic_hw *hw, u16 source,
				  const struct sk_buff *frame,
				  simnic_wanted_t *wanted, const u8 *mac)
{
	struct simnic_tag tag = simnic_outer_tag(frame);
	struct sk_buff *copy;
	unsigned int i, n = 0;

	if (source != SIMNIC_VPORT_PF && wanted(&hw->uplink, mac)) {
		copy = skb_copy(frame, GFP_ATOMIC);
		if (copy)
			simnic_into_pf(hw, copy);
		n++;
	}
	for (i = 0; i < hw->total_vfs; i++) {
		struct simnic_vport *vport = &hw->vfs[i];
		/* Read once: a frame that is let in untagged has no tag to take off. */
		u16 vlan = READ_ONCE(vport->vlan);

		if (source == i || !simnic_member(vport, vlan, tag) || !wanted(vport, mac))
			continue;
		copy = skb_copy(frame, GFP_ATOMIC);
		if (copy)
			simnic_into_vf(vport, vlan, copy);
		n++;
	}
	return n;
}

/**
 * simnic_legacy_rx - switch a frame
 * @hw: the card; RCU read side
 * @source: vport number, SIMNIC_VPORT_UPLINK for the cable, _PF for the PF
 * @frame: consumed
 */
void simnic_legacy_rx(struct simnic_hw *hw, u16 source, struct sk_buff *frame)
{
	const struct ethhdr *eth;
	bool cable = source == SIMNIC_VPORT_UPLINK;

	if (source < hw->total_vfs && !simnic_admit(&hw->vfs[source], frame))
		return;
	/* VEPA: the switch at the other end of the cable does the switching. */
	if (hw->vepa && !cable) {
		simnic_to_wire(&hw->uplink, frame);
		return;
	}

	eth = (const struct ethhdr *)frame->data;
	if (is_multicast_ether_addr(eth->h_dest)) {
		simnic_spread(hw, source, frame, simnic_wants_group, eth->h_source);
		if (!cable)
			simnic_to_wire(&hw->uplink, frame);
		else
			consume_skb(frame);
		return;
	}
	if (simnic_spread(hw, source, frame, simnic_wants_address, eth->h_dest)) {
		consume_skb(frame);
	} else if (!cable) {
		simnic_to_wire(&hw->uplink, frame);
	} else {
		if (!simnic_spread(hw, source, frame, simnic_wants_rest, NULL))
			simnic_count(&hw->uplink, SIMNIC_RX_UNKNOWN, 1);
		consume_skb(frame);
	}
}

/**
 * simnic_bridge_getlink - ndo_bridge_getlink of the PF: VEB or VEPA
 * @skb: the answer
 * @pid: receiver of the answer
 * @seq: its sequence number
 * @dev: the PF
 * @filter_mask: RTEXT_FILTER_*
 * @nlflags: NLM_F_*
 *
 * Return: -EOPNOTSUPP in switchdev mode.
 */
int simnic_bridge_getlink(struct sk_buff *skb, u32 pid, u32 seq,
			  struct net_device *dev, u32 filter_mask,
			  int nlflags)
{
	struct simnic_port *port = netdev_priv(dev);

	if (port->hw->mode != DEVLINK_ESWITCH_MODE_LEGACY)
		return -EOPNOTSUPP;
	return ndo_dflt_bridge_getlink(skb, pid, seq, dev,
				       port->hw->vepa ? BRIDGE_MODE_VEPA : BRIDGE_MODE_VEB,
				       0, 0, nlflags, filter_mask, NULL);
}

/**
 * simnic_bridge_setlink - ndo_bridge_setlink of the PF: VEB or VEPA
 * @dev: the PF
 * @nlh: the request
 * @flags: BRIDGE_FLAGS_*
 * @extack: reason of a refusal
 *
 * Return: -EOPNOTSUPP in switchdev mode, -EINVAL for another mode.
 */
int simnic_bridge_setlink(struct net_device *dev, struct nlmsghdr *nlh,
			  u16 flags, struct netlink_ext_ack *extack)
{
	struct simnic_port *port = netdev_priv(dev);
	struct nlattr *spec, *attr;
	int rem;

	if (port->hw->mode != DEVLINK_ESWITCH_MODE_LEGACY) {
		NL_SET_ERR_MSG(extack, "bridge mode belongs to legacy eswitch mode");
		return -EOPNOTSUPP;
	}
	spec = nlmsg_find_attr(nlh, sizeof(struct ifinfomsg), IFLA_AF_SPEC);
	if (!spec)
		return -EINVAL;
	nla_for_each_nested(attr, spec, rem) {
		u16 mode;

		if (nla_type(attr) != IFLA_BRIDGE_MODE)
			continue;
		mode = nla_get_u16(attr);
		if (mode != BRIDGE_MODE_VEB && mode != BRIDGE_MODE_VEPA) {
			NL_SET_ERR_MSG(extack, "bridge mode must be veb or vepa");
			return -EINVAL;
		}
		port->hw->vepa = mode == BRIDGE_MODE_VEPA;
	}
	return 0;
}
