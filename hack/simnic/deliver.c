// SPDX-License-Identifier: GPL-2.0
/* simnic: frames leave the switch: to a netdev, to a VF, to the cable; and their VLAN tags. */
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

/* Drops a frame that is longer than the netdev's MTU, and says so in its counters. */
static bool simnic_fits(struct simnic_vport *vport, struct net_device *dev,
			struct sk_buff *frame)
{
	if (frame->len <= simnic_longest(dev, frame))
		return true;
	DEV_STATS_INC(dev, rx_errors);
	DEV_STATS_INC(dev, rx_length_errors);
	simnic_drop(vport, frame, SIMNIC_RX_TOO_LONG);
	return false;
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
 * @vport: the port that counts the frame, or NULL
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
	if (!simnic_fits(vport, dev, frame))
		return;
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
 * simnic_to_wire - send out of a cable
 * @uplink: its port
 * @frame: consumed; dropped while the cable has no link
 */
void simnic_to_wire(struct simnic_vport *uplink, struct sk_buff *frame)
{
	struct net_device *pf = rcu_dereference(uplink->dev);

	if (!pf || !netif_carrier_ok(pf)) {
		simnic_count(uplink, SIMNIC_TX_DROPPED, 1);
		kfree_skb(frame);
		return;
	}
	simnic_count(uplink, SIMNIC_TX_PACKETS, 1);
	simnic_count(uplink, SIMNIC_TX_BYTES, frame->len);
	simnic_deliver(NULL, uplink->wire, frame);
}

/**
 * simnic_from_cable - an uplink takes a frame from the cable
 * @uplink: the port; RCU read side
 * @frame: consumed when it is refused
 *
 * The port has the PF's MTU, for frames to VFs too.
 *
 * Return: the PF's netdev, or NULL when the PF is down or the frame is too long.
 */
struct net_device *simnic_from_cable(struct simnic_vport *uplink, struct sk_buff *frame)
{
	struct net_device *pf = rcu_dereference(uplink->dev);

	if (!pf || !netif_running(pf)) {
		simnic_drop(uplink, frame, SIMNIC_RX_NO_PORT);
		return NULL;
	}
	if (!simnic_fits(uplink, pf, frame))
		return NULL;
	simnic_count_rx(uplink, frame);
	return pf;
}
