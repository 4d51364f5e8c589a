// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the profile mlx5.
 *
 * It refuses a rule where the mlx5 driver of Linux 6.12 refuses
 * it, in the same words, as far as simnic can offload such a rule at all. Source:
 * the driver, no hardware. These checks come before those of flow_action.c.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/seq_file.h>
#include <linux/tc_act/tc_csum.h>

#include "profile.h"

#define MLX5_MAX_PEDITS	16
#define MLX5_MAX_VLANS	2

/**
 * simnic_mlx5_check_police - the limits of police on this card
 * @hw: the card
 * @e: FLOW_ACTION_POLICE
 * @standalone: offered by tc alone, not by a flower filter
 * @extack: reason of a refusal
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int simnic_mlx5_check_police(struct simnic_hw *hw, const struct flow_action_entry *e,
			     bool standalone, struct netlink_ext_ack *extack)
{
	const enum flow_action_id ids[] = {
		e->police.exceed.act_id, e->police.notexceed.act_id,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i] != FLOW_ACTION_PIPE && ids[i] != FLOW_ACTION_ACCEPT &&
		    ids[i] != FLOW_ACTION_JUMP && ids[i] != FLOW_ACTION_DROP)
			return simnic_refuse(extack, -EOPNOTSUPP,
					     "Offload not supported when conform-exceed action is not pipe, ok, jump or drop");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(extack, -EOPNOTSUPP,
				     "Offload not supported when peakrate/avrate/overhead is configured");
	return 0;
}

/**
 * simnic_mlx5_check_matchall - refuse a matchall filter as this card does
 * @p: rule without a match
 * @actions: from tc
 *
 * matchall has one use: the rate limiter of a VF.
 *
 * Return: 0 or a negative errno.
 */
int simnic_mlx5_check_matchall(struct simnic_parse *p, const struct flow_action *actions)
{
	const struct flow_action_entry *e = &actions->entries[0];

	if (p->rule->prio != 1)
		return simnic_refuse(p->extack, -EINVAL, "only priority 1 is supported");
	if (!flow_action_has_entries(actions))
		return simnic_refuse(p->extack, -EINVAL, "matchall called with no action");
	if (!flow_offload_has_one_action(actions))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "matchall policing support only a single action");
	if (e->id != FLOW_ACTION_POLICE)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "mlx5 supports only police action for matchall");
	if (e->police.notexceed.act_id != FLOW_ACTION_CONTINUE)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when conform action is not continue");
	if (e->police.exceed.act_id != FLOW_ACTION_DROP)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when exceed action is not drop");
	if (e->police.peakrate_bytes_ps || e->police.avrate || e->police.overhead)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Offload not supported when peakrate/avrate/overhead is configured");
	if (simnic_is_uplink(p->vport))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "Ingress rate limit is supported only for Eswitch ports connected to VFs");
	return 0;
}

struct simnic_mlx5_seen {
	unsigned int pedits, vlans, ports;
	bool forwards, drops;
	u16 to[16];	/* ports since the last rewrite */
	u32 masks[2][6][10];	/* by command, header and word: bits rewritten */
};

/* The word is matched and rewritten to the same: the card does nothing. */
static bool simnic_mlx5_elided(const struct simnic_rule *rule,
			       const struct flow_action_entry *e)
{
	const struct simnic_key *k = &rule->key, *m = &rule->mask;
	__be32 key = 0, mask = 0;

	switch (e->mangle.htype) {
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
		if (e->mangle.offset == offsetof(struct iphdr, saddr)) {
			key = k->src[0];
			mask = m->src[0];
		} else if (e->mangle.offset == offsetof(struct iphdr, daddr)) {
			key = k->dst[0];
			mask = m->dst[0];
		}
		break;
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		key = htonl(ntohs(k->sport) << 16 | ntohs(k->dport));
		mask = htonl(ntohs(m->sport) << 16 | ntohs(m->dport));
		break;
	default:
		return false;
	}
	return !(~(__force u32)mask & ~e->mangle.mask) &&
		!(((__force u32)key ^ e->mangle.val) & ~e->mangle.mask);
}

static bool simnic_mlx5_only_ttl(const struct flow_action_entry *e)
{
	u32 written = ~e->mangle.mask;

	if (e->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_IP4)
		return e->mangle.offset == offsetof(struct iphdr, ttl) &&
			!(written & ~(__force u32)htonl(0xff000000));
	return e->mangle.offset == offsetof(struct ipv6hdr, payload_len) &&
		!(written & ~(__force u32)htonl(0x000000ff));
}

static int simnic_mlx5_pedit(struct simnic_parse *p, const struct flow_action_entry *e,
			     struct simnic_mlx5_seen *seen)
{
	u8 header = e->mangle.htype, proto = p->rule->key.ip_proto;
	u32 word = e->mangle.offset / 4, *masks;

	if (header == FLOW_ACT_MANGLE_UNSPEC)
		return simnic_refuse(p->extack, -EOPNOTSUPP, "legacy pedit isn't offloaded");
	if (header >= ARRAY_SIZE(seen->masks[0]) || word >= ARRAY_SIZE(seen->masks[0][0]) ||
	    !simnic_rewritable(header, e->mangle.offset) ||
	    ~e->mangle.mask & ~simnic_rewritable(header, e->mangle.offset))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "attempt to offload an unsupported field");
	masks = seen->masks[e->id == FLOW_ACTION_ADD][header];
	if (masks[word] & ~e->mangle.mask)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "curr_pmask and new mask same. Acting twice on same location");
	masks[word] |= ~e->mangle.mask;
	if (!simnic_mlx5_elided(p->rule, e) && ++seen->pedits > MLX5_MAX_PEDITS)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "too many pedit actions, can't offload");
	if ((header == FLOW_ACT_MANGLE_HDR_TYPE_IP4 || header == FLOW_ACT_MANGLE_HDR_TYPE_IP6) &&
	    !simnic_mlx5_only_ttl(e) &&
	    proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "can't offload re-write of non TCP/UDP");
	seen->ports = 0;
	return 0;
}

static int simnic_mlx5_csum(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_mlx5_seen *seen)
{
	if (!seen->pedits)
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "TC csum action is only offloaded with pedit");
	if (e->csum_flags & ~(TCA_CSUM_UPDATE_FLAG_IPV4HDR | TCA_CSUM_UPDATE_FLAG_TCP |
			      TCA_CSUM_UPDATE_FLAG_UDP))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "can't offload TC csum action for some header/s");
	return 0;
}

static int simnic_mlx5_forward(struct simnic_parse *p, const struct flow_action_entry *e,
			       struct simnic_mlx5_seen *seen)
{
	struct simnic_port *to = e->dev ? simnic_port_of(e->dev) : NULL;
	unsigned int i;

	if (!to || to->hw != p->vport->hw ||
	    (to->kind != SIMNIC_PF && to->kind != SIMNIC_REP))
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "devices are not on same switch HW, can't offload forwarding");
	for (i = 0; i < seen->ports; i++)
		if (seen->to[i] == to->vport->id)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "can't duplicate output to same device");
	if (seen->ports < ARRAY_SIZE(seen->to))
		seen->to[seen->ports++] = to->vport->id;
	if (to->vport == p->vport)
		return simnic_refuse(p->extack, -EOPNOTSUPP, to->kind == SIMNIC_PF ?
				     "devices are both uplink, can't offload forwarding" :
				     "can't forward from a VF to itself");
	seen->forwards = true;
	return 0;
}

static int simnic_mlx5_action(struct simnic_parse *p, const struct flow_action_entry *e,
			      struct simnic_mlx5_seen *seen)
{
	switch (e->id) {
	case FLOW_ACTION_MANGLE:
	case FLOW_ACTION_ADD:
		return simnic_mlx5_pedit(p, e, seen);
	case FLOW_ACTION_CSUM:
		return simnic_mlx5_csum(p, e, seen);
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_MIRRED:
		return simnic_mlx5_forward(p, e, seen);
	case FLOW_ACTION_REDIRECT_INGRESS:
		return simnic_refuse(p->extack, -EOPNOTSUPP,
				     "redirect to ingress is supported only for OVS internal ports");
	case FLOW_ACTION_VLAN_PUSH:
	case FLOW_ACTION_VLAN_POP:
	case FLOW_ACTION_VLAN_MANGLE:
		if (++seen->vlans > MLX5_MAX_VLANS)
			return simnic_refuse(p->extack, -EOPNOTSUPP,
					     "Total vlans used is greater than supported");
		seen->ports = 0;
		return 0;
	case FLOW_ACTION_DROP:
		seen->drops = true;
		return 0;
	case FLOW_ACTION_ACCEPT:
	case FLOW_ACTION_TRAP:
		seen->forwards = true;
		return 0;
	case FLOW_ACTION_POLICE:
		return simnic_mlx5_check_police(p->vport->hw, e, false, p->extack);
	default:
		return simnic_refuse(p->extack, -EOPNOTSUPP, "Not implemented offload action");
	}
}

/**
 * simnic_mlx5_check_actions - refuse a rule as this card does, in its own words
 * @p: rule with its match
 * @actions: from tc
 *
 * Return: 0 or a negative errno.
 */
int simnic_mlx5_check_actions(struct simnic_parse *p, const struct flow_action *actions)
{
	struct simnic_mlx5_seen *seen;
	const struct flow_action_entry *e;
	int i, err = 0;

	seen = kzalloc(sizeof(*seen), GFP_KERNEL);
	if (!seen)
		return -ENOMEM;
	flow_action_for_each(i, e, actions) {
		err = simnic_mlx5_action(p, e, seen);
		if (err)
			goto free;
	}
	if (!seen->forwards && !seen->drops)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Rule must have at least one forward/drop action");
	else if (seen->forwards && seen->drops)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Rule cannot support forward+drop action");
	else if (seen->drops && seen->pedits)
		err = simnic_refuse(p->extack, -EOPNOTSUPP,
				    "Drop with modify header action is not supported");
free:
	kfree(seen);
	return err;
}

/* A frame that the limiter passes goes on to the next priority. */
static enum simnic_verdict simnic_run_limit(struct simnic_pass *pass,
					    const struct simnic_action *act)
{
	return SIMNIC_CONTINUE;
}

static void simnic_show_limit(struct seq_file *s, const struct simnic_action *act)
{
	seq_printf(s, "limit %u Mbit/s", act->limit);
}

static void simnic_release_limit(struct simnic_rule *rule, struct simnic_action *act)
{
	simnic_sched_set(rule->vport, 0, rule->vport->min_rate * SIMNIC_MBIT);
}

static const struct simnic_action_ops simnic_limit_ops = {
	.id = FLOW_ACTION_POLICE,
	.name = "police",
	.run = simnic_run_limit,
	.show = simnic_show_limit,
	.release = simnic_release_limit,
};

/**
 * simnic_mlx5_parse_limit - a police action of matchall: the VF's rate limiter
 * @p: the rule so far, checked by simnic_mlx5_check_matchall()
 * @e: FLOW_ACTION_POLICE
 * @act: out
 *
 * The same limiter that devlink's tx_max sets, rounded to whole Mbit/s; who
 * writes last wins, and removing the filter leaves the VF without a limit.
 *
 * Return: -EINVAL when the rate is above the link's.
 */
int simnic_mlx5_parse_limit(struct simnic_parse *p, const struct flow_action_entry *e,
			    struct simnic_action *act)
{
	u64 mbit = div64_u64(e->police.rate_bytes_ps + SIMNIC_MBIT / 2, SIMNIC_MBIT);

	if (mbit > SIMNIC_SPEED)
		return simnic_refuse(p->extack, -EINVAL, "failed applying action to hardware");
	if (e->police.rate_bytes_ps)
		mbit = max(mbit, 1ULL);
	act->ops = &simnic_limit_ops;
	act->limit = mbit;
	p->decided = true;
	simnic_sched_set(p->vport, mbit * SIMNIC_MBIT, p->vport->min_rate * SIMNIC_MBIT);
	return 0;
}
