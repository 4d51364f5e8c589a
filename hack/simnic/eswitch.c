// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: frames enter the card, and the mode's switch takes them.
 *
 * A netdev of ours transmits a frame, under rcu_read_lock. The card works on a
 * private, linear copy of it, with its checksums finished and its tags in the
 * data, as on a cable. So rewriting never touches memory of the sender's stack,
 * and the receiver's stack judges every sum itself.
 */
#include <linux/rtnetlink.h>

#include "flow.h"
#include "simnic.h"

static int simnic_finish_checksum(struct sk_buff *frame, const struct sk_buff *skb)
{
	int start;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return 0;
	start = skb_checksum_start_offset(skb);
	if (start < 0 || !skb_partial_csum_set(frame, start, skb->csum_offset))
		return -EINVAL;
	return skb_checksum_help(frame);
}

/* The frame as the cable would carry it, or NULL */
static struct sk_buff *simnic_frame(const struct sk_buff *skb)
{
	unsigned int room = max_t(unsigned int, skb->len, ETH_ZLEN) + 2 * VLAN_HLEN;
	struct sk_buff *frame;

	if (skb->len < ETH_HLEN || skb_is_gso(skb))
		return NULL;
	frame = alloc_skb(NET_SKB_PAD + NET_IP_ALIGN + room, GFP_ATOMIC | __GFP_NOWARN);
	if (!frame)
		return NULL;
	skb_reserve(frame, NET_SKB_PAD + NET_IP_ALIGN);
	if (skb_copy_bits(skb, 0, skb_put(frame, skb->len), skb->len) ||
	    simnic_finish_checksum(frame, skb)) {
		kfree_skb(frame);
		return NULL;
	}
	frame->ip_summed = CHECKSUM_NONE;
	if (skb_vlan_tag_present(skb))
		simnic_tag_push(frame, skb->vlan_proto, skb_vlan_tag_get(skb));
	if (frame->len < ETH_ZLEN)
		skb_put_zero(frame, ETH_ZLEN - frame->len);
	return frame;
}

/* In legacy mode the embedded switch has one uplink, and a second port is a NIC of its own. */
static bool simnic_switches_by_mac(const struct simnic_vport *uplink)
{
	return READ_ONCE(uplink->hw->mode) == DEVLINK_ESWITCH_MODE_LEGACY &&
		uplink->id == SIMNIC_VPORT_UPLINK;
}

static void simnic_from_wire(struct simnic_vport *uplink, struct sk_buff *frame)
{
	struct net_device *pf = simnic_from_cable(uplink, frame);

	if (!pf)
		return;
	if (simnic_switches_by_mac(uplink))
		simnic_legacy_rx(uplink->hw, SIMNIC_VPORT_UPLINK, frame);
	else if (simnic_flow_run(uplink, frame) == SIMNIC_FLOW_MISS)
		simnic_deliver(NULL, pf, frame);
}

static void simnic_from_pf(struct simnic_vport *uplink, struct sk_buff *frame)
{
	if (simnic_switches_by_mac(uplink))
		simnic_legacy_rx(uplink->hw, SIMNIC_VPORT_PF, frame);
	else
		simnic_to_wire(uplink, frame);
}

static void simnic_from_vf(struct simnic_vport *vport, struct sk_buff *frame)
{
	simnic_count(vport, SIMNIC_TX_PACKETS, 1);
	simnic_count(vport, SIMNIC_TX_BYTES, frame->len);
	if (READ_ONCE(vport->hw->mode) == DEVLINK_ESWITCH_MODE_LEGACY)
		simnic_legacy_rx(vport->hw, vport->id, frame);
	else if (simnic_flow_run(vport, frame) == SIMNIC_FLOW_MISS)
		simnic_deliver(NULL, rcu_dereference(vport->rep), frame);
}

/**
 * simnic_transmit - a frame enters the card
 * @skb: consumed
 * @dev: the netdev that sends it; RCU read side
 */
void simnic_transmit(struct sk_buff *skb, struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);
	struct sk_buff *frame = simnic_frame(skb);

	if (!frame) {
		DEV_STATS_INC(dev, tx_dropped);
		dev_kfree_skb_any(skb);
		return;
	}
	skb_tx_timestamp(skb);
	dev_sw_netstats_tx_add(dev, 1, frame->len);
	dev_consume_skb_any(skb);

	switch (port->kind) {
	case SIMNIC_WIRE:
		simnic_from_wire(port->vport, frame);
		break;
	case SIMNIC_PF:
		simnic_from_pf(port->vport, frame);
		break;
	case SIMNIC_VF:
		simnic_from_vf(port->vport, frame);
		break;
	case SIMNIC_REP:
		simnic_to_function(port->vport, frame);
		break;
	}
}
