// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: frames into the card and out of it.
 *
 * In: what a netdev of ours transmits, under rcu_read_lock. Out: the receive
 * path of another netdev of ours. Between them a frame is a private, linear
 * copy with its checksums finished and its tags in the data, as on a cable,
 * so that rewriting never touches memory of the sender's stack and the
 * receiver's stack judges every sum itself.
 */
#include <linux/rtnetlink.h>

#include "flow.h"
#include "simnic.h"

const char * const simnic_counter_names[SIMNIC_COUNTERS] = {
	[SIMNIC_RX_PACKETS] = "rx_packets",
	[SIMNIC_RX_BYTES] = "rx_bytes",
	[SIMNIC_RX_MULTICAST] = "rx_multicast",
	[SIMNIC_RX_BROADCAST] = "rx_broadcast",
	[SIMNIC_RX_DROPPED] = "rx_dropped",
	[SIMNIC_TX_PACKETS] = "tx_packets",
	[SIMNIC_TX_BYTES] = "tx_bytes",
	[SIMNIC_TX_DROPPED] = "tx_dropped",
	[SIMNIC_TX_SPOOF_MAC] = "tx_spoof_mac",
	[SIMNIC_TX_SPOOF_VLAN] = "tx_spoof_vlan",
	[SIMNIC_TX_DELAYED] = "tx_delayed",
	[SIMNIC_RX_NO_PORT] = "rx_no_port",
	[SIMNIC_RX_TOO_LONG] = "rx_too_long",
	[SIMNIC_RX_UNKNOWN] = "rx_unknown",
	[SIMNIC_HW_PACKETS] = "hw_packets",
	[SIMNIC_HW_MISSES] = "hw_misses",
	[SIMNIC_HW_DROPS] = "hw_drops",
};

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

/**
 * simnic_tag_push - insert an outer VLAN tag
 * @frame: a frame of ours: linear, not shared; a new one has room for 16 tags
 * @proto: tag protocol
 * @tci: priority, DEI and id
 *
 * Return: false when there is no room in front, and the frame is as it was.
 */
bool simnic_tag_push(struct sk_buff *frame, __be16 proto, u16 tci)
{
	struct vlan_ethhdr *hdr;

	if (skb_headroom(frame) < VLAN_HLEN)
		return false;
	skb_push(frame, VLAN_HLEN);
	memmove(frame->data, frame->data + VLAN_HLEN, 2 * ETH_ALEN);
	hdr = (struct vlan_ethhdr *)frame->data;
	hdr->h_vlan_proto = proto;
	hdr->h_vlan_TCI = htons(tci);
	return true;
}

/**
 * simnic_tag_pop - remove the outer VLAN tag
 * @frame: a tagged frame of ours
 */
void simnic_tag_pop(struct sk_buff *frame)
{
	memmove(frame->data + VLAN_HLEN, frame->data, 2 * ETH_ALEN);
	skb_pull(frame, VLAN_HLEN);
}

static bool simnic_tagged(const struct sk_buff *frame)
{
	return eth_type_vlan(((const struct ethhdr *)frame->data)->h_proto);
}

static unsigned int simnic_longest(const struct net_device *dev,
				   const struct sk_buff *frame)
{
	return READ_ONCE(dev->mtu) + ETH_HLEN + (simnic_tagged(frame) ? VLAN_HLEN : 0);
}

static void simnic_drop(struct simnic_vport *vport, struct sk_buff *frame,
			enum simnic_counter why)
{
	if (vport) {
		simnic_count(vport, SIMNIC_RX_DROPPED, 1);
		simnic_count(vport, why, 1);
	}
	kfree_skb(frame);
}

static void simnic_count_rx(struct simnic_vport *vport, const struct sk_buff *frame)
{
	const u8 *to = frame->data;

	simnic_count(vport, SIMNIC_RX_PACKETS, 1);
	simnic_count(vport, SIMNIC_RX_BYTES, frame->len);
	if (is_broadcast_ether_addr(to))
		simnic_count(vport, SIMNIC_RX_BROADCAST, 1);
	else if (is_multicast_ether_addr(to))
		simnic_count(vport, SIMNIC_RX_MULTICAST, 1);
}

/**
 * simnic_deliver - hand a frame to a netdev's receive path
 * @vport: whose counters to raise, or NULL
 * @dev: the netdev, or NULL when nobody is there
 * @frame: consumed
 *
 * Queues to the backlog, so a chain of deliveries never nests.
 */
void simnic_deliver(struct simnic_vport *vport, struct net_device *dev,
		    struct sk_buff *frame)
{
	unsigned int len = frame->len;

	if (!dev || !netif_running(dev) || !netif_carrier_ok(dev)) {
		if (dev)
			DEV_STATS_INC(dev, rx_dropped);
		simnic_drop(vport, frame, SIMNIC_RX_NO_PORT);
		return;
	}
	if (len > simnic_longest(dev, frame)) {
		DEV_STATS_INC(dev, rx_errors);
		DEV_STATS_INC(dev, rx_length_errors);
		simnic_drop(vport, frame, SIMNIC_RX_TOO_LONG);
		return;
	}
	if (vport)
		simnic_count_rx(vport, frame);
	if (is_multicast_ether_addr(frame->data))
		DEV_STATS_INC(dev, multicast);
	frame->protocol = eth_type_trans(frame, dev);
	frame->ip_summed = CHECKSUM_NONE;
	if (netif_rx(frame) == NET_RX_SUCCESS)
		dev_sw_netstats_rx_add(dev, len);
	else
		DEV_STATS_INC(dev, rx_dropped);
}

/**
 * simnic_to_function - deliver to the netdev of a VF
 * @vport: the VF
 * @frame: consumed
 */
void simnic_to_function(struct simnic_vport *vport, struct sk_buff *frame)
{
	simnic_deliver(vport, rcu_dereference(vport->dev), frame);
}

/**
 * simnic_to_wire - send out of the cable
 * @hw: the card
 * @frame: consumed; dropped while the cable has no link
 */
void simnic_to_wire(struct simnic_hw *hw, struct sk_buff *frame)
{
	struct net_device *pf = rcu_dereference(hw->uplink.dev);

	if (!pf || !netif_carrier_ok(pf)) {
		simnic_count(&hw->uplink, SIMNIC_TX_DROPPED, 1);
		kfree_skb(frame);
		return;
	}
	simnic_count(&hw->uplink, SIMNIC_TX_PACKETS, 1);
	simnic_count(&hw->uplink, SIMNIC_TX_BYTES, frame->len);
	simnic_deliver(NULL, hw->wire, frame);
}

static void simnic_from_wire(struct simnic_hw *hw, struct sk_buff *frame)
{
	struct net_device *pf = rcu_dereference(hw->uplink.dev);

	if (!pf || !netif_running(pf)) {
		simnic_drop(&hw->uplink, frame, SIMNIC_RX_NO_PORT);
		return;
	}
	/* The physical port takes what the PF's MTU allows, for everybody. */
	if (frame->len > simnic_longest(pf, frame)) {
		DEV_STATS_INC(pf, rx_errors);
		DEV_STATS_INC(pf, rx_length_errors);
		simnic_drop(&hw->uplink, frame, SIMNIC_RX_TOO_LONG);
		return;
	}
	simnic_count_rx(&hw->uplink, frame);
	if (READ_ONCE(hw->mode) == DEVLINK_ESWITCH_MODE_LEGACY)
		simnic_legacy_rx(hw, SIMNIC_VPORT_UPLINK, frame);
	else if (simnic_flow_run(&hw->uplink, frame) == SIMNIC_FLOW_MISS)
		simnic_deliver(NULL, pf, frame);
}

static void simnic_from_pf(struct simnic_hw *hw, struct sk_buff *frame)
{
	if (READ_ONCE(hw->mode) == DEVLINK_ESWITCH_MODE_LEGACY)
		simnic_legacy_rx(hw, SIMNIC_VPORT_PF, frame);
	else
		simnic_to_wire(hw, frame);
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
		simnic_from_wire(port->hw, frame);
		break;
	case SIMNIC_PF:
		simnic_from_pf(port->hw, frame);
		break;
	case SIMNIC_VF:
		simnic_from_vf(port->vport, frame);
		break;
	case SIMNIC_REP:
		simnic_to_function(port->vport, frame);
		break;
	}
}

/**
 * simnic_xmit - ndo_start_xmit of every netdev of ours
 * @skb: consumed
 * @dev: the netdev
 *
 * Return: NETDEV_TX_OK
 */
netdev_tx_t simnic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct simnic_port *port = netdev_priv(dev);

	if (port->kind == SIMNIC_VF && simnic_sched_xmit(port->vport, skb))
		return NETDEV_TX_OK;
	rcu_read_lock();
	simnic_transmit(skb, dev);
	rcu_read_unlock();
	return NETDEV_TX_OK;
}
