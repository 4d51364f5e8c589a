// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the transmit scheduler: frames of netdevs go into the card, those of limited VFs in time.
 *
 * A VF with a limit has a ring of frames that wait. When it is full the
 * netdev's queue stops, and further frames wait in the sender's qdisc, as with a
 * NIC's ring. The scheduler never drops a frame for being too fast.
 * Frames leave one VF after the other, each when three token buckets allow:
 * that of the VF (max_tx_rate, tx_max), and that of the card (tx_capacity)
 * unless the VF is below its share (min_tx_rate, tx_share). A frame leaves
 * while a bucket is not in debt, so that rates are met exactly on the average
 * and any rate carries any frame.
 *
 * One context at a time empties the rings; that keeps the order of frames.
 */
#include <linux/netdevice.h>

#include "flow.h"
#include "simnic.h"

#define SIMNIC_RING		256	/* frames */
#define SIMNIC_BUDGET		64	/* frames, before others get the processor */
/* The time that a VF saves up while it is idle, or while the timer is late */
#define SIMNIC_SAVED_NS		(50 * NSEC_PER_MSEC)

static u64 simnic_ready(struct simnic_bucket *b, u64 now)
{
	if (!b->rate)
		return now;
	simnic_bucket_fill(b, now);
	return b->tokens >= 0 ? now : now - b->tokens;
}

/* When the VF may send its next frame, @now or later */
static u64 simnic_vport_ready(struct simnic_vport *vport, u64 now)
{
	u64 card = simnic_ready(&vport->hw->sched.capacity, now);
	u64 ready = simnic_ready(&vport->sched.max, now);

	if (vport->sched.share.rate)
		card = min(card, simnic_ready(&vport->sched.share, now));
	return max(ready, card);
}

static void simnic_charge(struct simnic_bucket *b, u32 bytes)
{
	if (b->rate)
		b->tokens -= simnic_bucket_cost(b, bytes);
}

static void simnic_charge_all(struct simnic_vport *vport, u32 bytes)
{
	struct simnic_bucket *card = &vport->hw->sched.capacity;

	simnic_charge(&vport->sched.max, bytes);
	/* Frames beyond the share leave no debt in the share's bucket. */
	if (vport->sched.share.tokens >= 0)
		simnic_charge(&vport->sched.share, bytes);
	/* Shares of more than the card's capacity must not pile up debts. */
	if (card->rate)
		card->tokens = max(card->tokens, -card->depth) -
			simnic_bucket_cost(card, bytes);
}

/* The next frame that may leave; NULL, and @next when to look again. */
static struct sk_buff *simnic_sched_pick(struct simnic_hw *hw, u64 *next)
{
	struct simnic_sched *sched = &hw->sched;
	u64 now = ktime_get_ns(), ready;
	struct simnic_vport *vport;
	struct sk_buff *skb;

	*next = U64_MAX;
	list_for_each_entry(vport, &sched->waiting, sched.list) {
		ready = simnic_vport_ready(vport, now);
		if (ready <= now)
			goto found;
		*next = min(*next, ready);
	}
	return NULL;
found:
	skb = __skb_dequeue(&vport->sched.ring);
	simnic_charge_all(vport, max_t(u32, skb->len, ETH_ZLEN));
	if (skb_queue_empty(&vport->sched.ring))
		list_del_init(&vport->sched.list);
	else
		list_move_tail(&vport->sched.list, &sched->waiting);
	if (netif_queue_stopped(skb->dev) &&
	    skb_queue_len(&vport->sched.ring) <= SIMNIC_RING / 2)
		netif_wake_queue(skb->dev);
	return skb;
}

/* Sends what may leave, and sets the timer for the rest. Bottom halves are off. */
static void simnic_sched_run(struct simnic_hw *hw)
{
	struct simnic_sched *sched = &hw->sched;
	unsigned int budget = SIMNIC_BUDGET;
	struct sk_buff *skb;
	u64 next;

	spin_lock(&sched->lock);
	if (sched->running) {
		spin_unlock(&sched->lock);
		return;
	}
	sched->running = true;
	/* A frame that is out of its ring keeps its netdev through RCU. */
	rcu_read_lock();
	while ((skb = simnic_sched_pick(hw, &next))) {
		spin_unlock(&sched->lock);
		simnic_transmit(skb, skb->dev);
		spin_lock(&sched->lock);
		if (!--budget) {
			next = 0;
			break;
		}
	}
	rcu_read_unlock();
	sched->running = false;
	if (next != U64_MAX)
		hrtimer_start(&sched->timer, ns_to_ktime(next), HRTIMER_MODE_ABS_SOFT);
	spin_unlock(&sched->lock);
}

static enum hrtimer_restart simnic_sched_timer(struct hrtimer *timer)
{
	simnic_sched_run(container_of(timer, struct simnic_hw, sched.timer));
	return HRTIMER_NORESTART;
}

/*
 * Puts a frame into the ring of its VF; its socket is charged until it leaves. False when
 * the VF has no limit: the frame is still the caller's then.
 */
static bool simnic_sched_xmit(struct simnic_vport *vport, struct sk_buff *skb)
{
	struct simnic_sched *sched = &vport->hw->sched;
	u64 now;

	if (!READ_ONCE(vport->sched.max.rate) && !READ_ONCE(sched->capacity.rate) &&
	    skb_queue_empty_lockless(&vport->sched.ring))
		return false;
	/* Connection tracking of a namespace ends when nothing refers to it. */
	nf_reset_ct(skb);

	spin_lock(&sched->lock);
	if (!netif_running(skb->dev)) {
		spin_unlock(&sched->lock);
		simnic_count(vport, SIMNIC_TX_DROPPED, 1);
		kfree_skb(skb);
		return true;
	}
	now = ktime_get_ns();
	if (!skb_queue_empty(&vport->sched.ring) || simnic_vport_ready(vport, now) > now)
		simnic_count(vport, SIMNIC_TX_DELAYED, 1);
	__skb_queue_tail(&vport->sched.ring, skb);
	if (list_empty(&vport->sched.list))
		list_add_tail(&vport->sched.list, &sched->waiting);
	if (skb_queue_len(&vport->sched.ring) >= SIMNIC_RING)
		netif_stop_queue(skb->dev);
	spin_unlock(&sched->lock);
	simnic_sched_run(vport->hw);
	return true;
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

/**
 * simnic_sched_flush - drop the frames in a VF's ring: its netdev goes down
 * @vport: the VF; under RTNL
 */
void simnic_sched_flush(struct simnic_vport *vport)
{
	struct simnic_sched *sched = &vport->hw->sched;
	struct sk_buff_head gone;

	__skb_queue_head_init(&gone);
	spin_lock_bh(&sched->lock);
	skb_queue_splice_init(&vport->sched.ring, &gone);
	list_del_init(&vport->sched.list);
	spin_unlock_bh(&sched->lock);
	simnic_count(vport, SIMNIC_TX_DROPPED, skb_queue_len(&gone));
	__skb_queue_purge(&gone);
}

/**
 * simnic_sched_set - the rates of a VF
 * @vport: the VF
 * @max: bytes per second, 0: no limit
 * @share: bytes per second it may send whatever the other VFs send, 0: none
 */
void simnic_sched_set(struct simnic_vport *vport, u64 max, u64 share)
{
	struct simnic_sched *sched = &vport->hw->sched;
	u64 now = ktime_get_ns();

	spin_lock_bh(&sched->lock);
	simnic_bucket_set(&vport->sched.max, max, SIMNIC_SAVED_NS, now);
	simnic_bucket_set(&vport->sched.share, share, SIMNIC_SAVED_NS, now);
	spin_unlock_bh(&sched->lock);
	/* Frames that wait may leave now, or later than the timer is set to. */
	local_bh_disable();
	simnic_sched_run(vport->hw);
	local_bh_enable();
}

/**
 * simnic_sched_set_capacity - limit all VFs of the card together
 * @hw: the card
 * @rate: bytes per second, 0: no limit
 */
void simnic_sched_set_capacity(struct simnic_hw *hw, u64 rate)
{
	spin_lock_bh(&hw->sched.lock);
	simnic_bucket_set(&hw->sched.capacity, rate, SIMNIC_SAVED_NS, ktime_get_ns());
	spin_unlock_bh(&hw->sched.lock);
	local_bh_disable();
	simnic_sched_run(hw);
	local_bh_enable();
}

/**
 * simnic_sched_capacity - the rate that all VFs of the card share
 * @hw: the card
 *
 * Return: bytes per second, 0: no limit.
 */
u64 simnic_sched_capacity(struct simnic_hw *hw)
{
	u64 rate;

	spin_lock_bh(&hw->sched.lock);
	rate = hw->sched.capacity.rate;
	spin_unlock_bh(&hw->sched.lock);
	return rate;
}

/**
 * simnic_sched_init - prepare the scheduler, before the vports are initialised
 * @hw: the card
 */
void simnic_sched_init(struct simnic_hw *hw)
{
	spin_lock_init(&hw->sched.lock);
	INIT_LIST_HEAD(&hw->sched.waiting);
	hrtimer_init(&hw->sched.timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	hw->sched.timer.function = simnic_sched_timer;
}

/**
 * simnic_sched_exit - stop the scheduler, after all netdevs: the rings are empty then
 * @hw: the card
 */
void simnic_sched_exit(struct simnic_hw *hw)
{
	hrtimer_cancel(&hw->sched.timer);
}
