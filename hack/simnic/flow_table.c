// SPDX-License-Identifier: GPL-2.0
/*
 * simnic: the table of rules and the walk through it.
 *
 * Per ingress port there is a list of groups sorted by rank, which is the
 * priority of a card that has any; a group holds the rules of one rank and one
 * mask in hash buckets. Within a rank the group that came first wins, as in the
 * kernel's flower; without priorities the rule that came first does.
 * Written under RTNL, read under RCU.
 */
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/rtnetlink.h>

#include "flow.h"

static u32 simnic_bucket(const struct simnic_key *masked)
{
	return jhash2((const u32 *)masked, SIMNIC_KEY_WORDS, 0) % SIMNIC_GROUP_BUCKETS;
}

static bool simnic_same(const struct simnic_key *a, const struct simnic_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct simnic_group *simnic_group_get(struct simnic_rule *rule)
{
	struct simnic_group *group;
	struct list_head *before = &rule->vport->groups;

	list_for_each_entry(group, &rule->vport->groups, list) {
		if (group->rank > rule->rank) {
			before = &group->list;
			break;
		}
		if (group->rank == rule->rank && group->chain == rule->chain &&
		    simnic_same(&group->mask, &rule->mask))
			return group;
	}
	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return NULL;
	group->chain = rule->chain;
	group->rank = rule->rank;
	group->mask = rule->mask;
	list_add_tail_rcu(&group->list, before);
	return group;
}

/**
 * simnic_rule_insert - make a rule effective
 * @rule: complete; owned by the table on success
 *
 * Return: 0 or -ENOMEM.
 */
int simnic_rule_insert(struct simnic_rule *rule)
{
	struct simnic_group *group = simnic_group_get(rule);

	if (!group)
		return -ENOMEM;
	rule->group = group;
	group->rules++;
	hlist_add_tail_rcu(&rule->in_group, &group->buckets[simnic_bucket(&rule->key)]);
	hash_add(rule->vport->hw->rules, &rule->by_cookie, rule->cookie);
	rule->vport->rules++;
	rule->vport->hw->num_rules++;
	return 0;
}

/**
 * simnic_rule_free - free a rule after a grace period
 * @rule: in no table, with what its actions hold
 */
void simnic_rule_free(struct simnic_rule *rule)
{
	unsigned int i;

	for (i = 0; i < rule->num_actions; i++)
		if (rule->actions[i].ops->release)
			rule->actions[i].ops->release(rule, &rule->actions[i]);
	kfree_rcu(rule, rcu);
}

/**
 * simnic_rule_remove - take a rule out and free it after a grace period
 * @rule: from the table
 */
void simnic_rule_remove(struct simnic_rule *rule)
{
	struct simnic_group *group = rule->group;

	hlist_del_rcu(&rule->in_group);
	hash_del(&rule->by_cookie);
	rule->vport->rules--;
	rule->vport->hw->num_rules--;
	simnic_rule_free(rule);
	if (--group->rules)
		return;
	list_del_rcu(&group->list);
	kfree_rcu(group, rcu);
}

/**
 * simnic_rule_find - the rule of a filter
 * @vport: ingress port; a filter of a shared block has a rule on each
 * @cookie: tc's name for the filter
 *
 * Return: NULL when there is none.
 */
struct simnic_rule *simnic_rule_find(struct simnic_vport *vport, unsigned long cookie)
{
	struct simnic_rule *rule;

	hash_for_each_possible(vport->hw->rules, rule, by_cookie, cookie)
		if (rule->cookie == cookie && rule->vport == vport)
			return rule;
	return NULL;
}

/**
 * simnic_flow_flush - forget all rules, as cards do on a change of mode
 * @hw: the card; under RTNL
 */
void simnic_flow_flush(struct simnic_hw *hw)
{
	struct simnic_rule *rule;
	struct hlist_node *next;
	int bucket;

	hash_for_each_safe(hw->rules, bucket, next, rule, by_cookie)
		simnic_rule_remove(rule);
}

/* The first rule that matches, of the chain of @pass and of rank @rank or behind */
static struct simnic_rule *simnic_lookup(const struct simnic_pass *pass, u32 rank)
{
	struct simnic_rule *rule, *first = NULL;
	const struct simnic_key *key = &pass->key;
	struct simnic_group *group;
	struct simnic_key masked;
	unsigned int i;

	list_for_each_entry_rcu(group, &pass->vport->groups, list) {
		if (group->rank < rank || group->chain != pass->chain)
			continue;
		if (first && (!first->inserted || group->rank > first->rank))
			break;
		for (i = 0; i < SIMNIC_KEY_WORDS; i++)
			((u32 *)&masked)[i] = ((const u32 *)key)[i] &
				((const u32 *)&group->mask)[i];
		hlist_for_each_entry_rcu(rule, &group->buckets[simnic_bucket(&masked)],
					 in_group)
			if (simnic_same(&rule->key, &masked) &&
			    (!first || rule->inserted < first->inserted))
				first = rule;
	}
	return first;
}

static enum simnic_verdict simnic_run_actions(struct simnic_pass *pass,
					      const struct simnic_rule *rule)
{
	enum simnic_verdict verdict;
	unsigned int i;

	for (i = 0; i < rule->num_actions; i++) {
		verdict = rule->actions[i].ops->run(pass, &rule->actions[i]);
		if (verdict != SIMNIC_NEXT)
			return verdict;
	}
	/* No action decided, or a lying card ignored the one that would have. */
	return SIMNIC_TO_HOST;
}

/**
 * simnic_flow_run - look a frame up in the rules of its ingress port, and run the rule
 * @vport: ingress port; RCU read side
 * @frame: consumed unless the result is SIMNIC_FLOW_MISS
 *
 * Return: SIMNIC_FLOW_MISS when no rule matched, or the one that did hands the
 * frame, maybe rewritten, to the host.
 */
enum simnic_flow_result simnic_flow_run(struct simnic_vport *vport, struct sk_buff *frame)
{
	struct simnic_pass pass = {
		.hw = vport->hw,
		.vport = vport,
		.frame = frame,
	};
	enum simnic_verdict verdict;
	struct simnic_rule *rule;
	u32 rank = 0;

	if (list_empty(&vport->groups)) {
		simnic_count(vport, SIMNIC_HW_MISSES, 1);
		return SIMNIC_FLOW_MISS;
	}
	do {
		simnic_parse_frame(&pass);
		rule = simnic_lookup(&pass, rank);
		if (!rule) {
			simnic_count(vport, SIMNIC_HW_MISSES, 1);
			return SIMNIC_FLOW_MISS;
		}
		simnic_count(vport, SIMNIC_HW_PACKETS, 1);
		atomic64_inc(&rule->packets);
		atomic64_add(frame->len, &rule->bytes);
		WRITE_ONCE(rule->lastused, jiffies);
		pass.rule = rule;
		verdict = simnic_run_actions(&pass, rule);
		rank = verdict == SIMNIC_GOTO ? 0 : rule->rank + 1;
	} while (verdict == SIMNIC_CONTINUE || verdict == SIMNIC_GOTO);
	return verdict == SIMNIC_TO_HOST ? SIMNIC_FLOW_MISS : SIMNIC_FLOW_DONE;
}
