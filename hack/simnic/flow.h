/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: the flow table. One key layout serves frames, rules and masks. */
#ifndef SIMNIC_FLOW_H
#define SIMNIC_FLOW_H

#include "simnic.h"

#define SIMNIC_GROUP_BUCKETS	256
#define SIMNIC_MAX_TAGS		2	/* that the parser looks behind */
#define SIMNIC_KEY_WORDS	(sizeof(struct simnic_key) / sizeof(u32))

/*
 * The fields that a rule may match. Network byte order, zero where the frame has no such
 * field, no padding: keys are hashed and compared as words.
 */
struct simnic_key {
	u8 eth_dst[ETH_ALEN];
	u8 eth_src[ETH_ALEN];
	__be16 outer_proto;	/* first ethertype of the frame, maybe a tag's */
	__be16 n_proto;		/* first ethertype that is no tag's */
	__be16 vlan_tci;	/* of the outer tag */
	__be16 vlan_next;	/* ethertype behind the outer tag */
	u8 ip_proto;		/* IPv6: next header, a fragment header skipped */
	u8 fragment;
	u8 first_fragment;
	u8 has_ports;		/* false behind the first fragment */
	__be32 src[4];		/* IPv4 in the first word */
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
	u8 tos;			/* IPv6: traffic class */
	u8 ttl;			/* IPv6: hop limit */
	u16 in_port;		/* id of the ingress port */
	__be16 cvlan_tci;	/* of the second tag */
	__be16 cvlan_next;	/* ethertype behind the second tag */
	u32 tags;		/* VLAN tags, counted up to SIMNIC_MAX_TAGS */
};

/* A frame and where its headers are */
struct simnic_pass {
	struct simnic_hw *hw;
	struct simnic_vport *vport;	/* ingress */
	struct sk_buff *frame;
	struct simnic_rule *rule;	/* that matched */
	struct simnic_key key;
	u16 l3;			/* offset of the network header, 0: none known */
	u16 l4;			/* of the transport header, 0: none */
	u32 chain;		/* whose rules come next */
};

enum simnic_verdict {
	SIMNIC_NEXT,		/* go on with the next action */
	SIMNIC_DONE,		/* the frame is gone */
	SIMNIC_TO_HOST,		/* deliver to the ingress netdev */
	SIMNIC_CONTINUE,	/* go on with the rules of the next priority */
	SIMNIC_GOTO,		/* go on with the rules of pass->chain */
};

enum simnic_flow_result {
	SIMNIC_FLOW_MISS,	/* the frame is still the caller's */
	SIMNIC_FLOW_DONE,
};

struct simnic_action_ops;
struct simnic_meter;

struct simnic_action {
	const struct simnic_action_ops *ops;
	union {
		u16 vport;
		u32 csum;		/* TCA_CSUM_UPDATE_FLAG_* */
		u32 limit;		/* Mbit/s */
		u32 chain;
		struct {
			struct simnic_meter *meter;
			enum simnic_verdict conform;
		} police;
		struct {
			enum flow_action_mangle_base base;
			bool add;
			u32 offset, mask, val;
		} mangle;
		struct {
			__be16 proto;
			u16 vid;
			u8 prio;
			bool blind;	/* pop: lose a frame without a tag */
		} vlan;
	};
};

struct simnic_group {
	struct list_head list;		/* in vport->groups, by rank */
	u32 chain;
	u32 rank;
	unsigned int rules;
	struct simnic_key mask;
	struct rcu_head rcu;
	struct hlist_head buckets[SIMNIC_GROUP_BUCKETS];
};

struct simnic_rule {
	struct hlist_node by_cookie;
	struct hlist_node in_group;
	struct simnic_group *group;
	struct simnic_vport *vport;	/* ingress */
	unsigned long cookie;
	u32 chain;
	u32 prio;
	u32 rank;			/* of two rules the card tries the lower one first */
	u64 inserted;			/* decides within a rank; 0: the first group does */
	struct simnic_key key, mask;
	atomic64_t packets, bytes, drops;	/* drops: by meters, part of packets */
	struct flow_stats told;	/* already reported to tc */
	bool untold;			/* the driver tells tc nothing */
	unsigned long lastused;		/* jiffies */
	struct rcu_head rcu;
	unsigned int num_actions;
	struct simnic_action actions[];
};

/*
 * What a card takes beyond addresses and ports. A profile has some of these; the others are
 * refused as by a card that knows nothing of them.
 */
enum simnic_extra {
	SIMNIC_EXTRA_IP_FIELDS = BIT(0),	/* match TOS and TTL, traffic class and hop limit */
	SIMNIC_EXTRA_TAG_FIELDS = BIT(1),	/* match the number of tags and the second tag */
	SIMNIC_EXTRA_INDEV = BIT(2),		/* match on the ingress port, in shared blocks */
	SIMNIC_EXTRA_DSFIELD = BIT(3),		/* rewrite TOS and traffic class */
	SIMNIC_EXTRA_BARE = BIT(4),	/* rewrite headers and tags where a frame has them */
	SIMNIC_EXTRA_NO_END = BIT(5),	/* the host gets what no action decides about */
	SIMNIC_EXTRA_CHAINS = BIT(6),	/* chains but 0, and goto chain */
	SIMNIC_EXTRA_ALL = BIT(7) - 1,
};

/* Everything the parser of one action may look at */
struct simnic_parse {
	struct simnic_vport *vport;	/* ingress */
	const struct flow_cls_common_offload *common;	/* the request */
	const struct flow_rule *flow;	/* of flower */
	struct simnic_rule *rule;	/* match done, actions so far */
	const struct simnic_profile_ops *profile;
	u32 extras;			/* enum simnic_extra */
	bool matchall;
	bool legacy;			/* the eswitch mode: a filter of the PF's own steering */
	bool decided;			/* what follows the last action never runs */
	bool rewrites;			/* a pedit was seen */
	bool pushed;			/* a VLAN push was seen */
	struct netlink_ext_ack *extack;
};

struct simnic_action_ops {
	enum flow_action_id id;
	const char *name;	/* as tc spells it; also what `liar` takes */
	bool last;		/* decides where the frame goes */
	int (*parse)(struct simnic_parse *p, const struct flow_action_entry *e,
		     struct simnic_action *act);
	enum simnic_verdict (*run)(struct simnic_pass *pass,
				   const struct simnic_action *act);
	void (*show)(struct seq_file *s, const struct simnic_action *act);
	/* undoes parse */
	void (*release)(struct simnic_rule *rule, struct simnic_action *act);
};

/* refuse.c */
__printf(3, 4) int simnic_refuse(struct netlink_ext_ack *extack, int err,
				 const char *fmt, ...);
void simnic_forget_texts(void);

/* flow.c: tc's side */
int simnic_setup_tc(struct net_device *dev, enum tc_setup_type type, void *data);

/* knobs.c */
const struct simnic_profile_ops *simnic_profile(struct simnic_hw *hw);
enum simnic_fragments simnic_fragments(struct simnic_hw *hw);
int simnic_take_knobs(struct simnic_hw *hw, struct simnic_knobs *knobs,
		      struct netlink_ext_ack *extack);

/* flow_table.c */
void simnic_rule_free(struct simnic_rule *rule);
int simnic_rule_insert(struct simnic_rule *rule);
void simnic_rule_remove(struct simnic_rule *rule);
struct simnic_rule *simnic_rule_find(struct simnic_vport *vport, unsigned long cookie);
enum simnic_flow_result simnic_flow_run(struct simnic_vport *vport, struct sk_buff *frame);
void simnic_flow_flush(struct simnic_hw *hw);

/* flow_match.c: tc's match to key and mask */
int simnic_parse_match(struct simnic_vport *vport, const struct flow_rule *flow,
		       const struct flow_cls_common_offload *common, u32 extras,
		       struct simnic_key *key, struct simnic_key *mask);

/* flow_key.c: a frame to its key */
void simnic_parse_frame(struct simnic_pass *pass);

/* flow_action.c: the actions */
int simnic_parse_actions(struct simnic_parse *p, const struct flow_action *actions,
			 const char *liar);

/* flow_forward.c: redirect and mirror */
int simnic_parse_forward(struct simnic_parse *p, const struct flow_action_entry *e,
			 struct simnic_action *act);
enum simnic_verdict simnic_run_redirect(struct simnic_pass *pass,
					const struct simnic_action *act);
void simnic_show_redirect(struct seq_file *s, const struct simnic_action *act);
enum simnic_verdict simnic_run_mirror(struct simnic_pass *pass,
				      const struct simnic_action *act);
void simnic_show_mirror(struct seq_file *s, const struct simnic_action *act);

/* flow_hairpin.c: redirect in legacy mode */
void simnic_make_hairpin(struct simnic_action *act);

/* flow_rewrite.c: actions that change the frame */
const char *simnic_header_name(enum flow_action_mangle_base base);
u32 simnic_rewritable(enum flow_action_mangle_base base, u32 offset);
int simnic_parse_mangle(struct simnic_parse *p, const struct flow_action_entry *e,
			struct simnic_action *act);
enum simnic_verdict simnic_run_mangle(struct simnic_pass *pass,
				      const struct simnic_action *act);
void simnic_show_mangle(struct seq_file *s, const struct simnic_action *act);
int simnic_parse_csum(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_action *act);
enum simnic_verdict simnic_run_csum(struct simnic_pass *pass,
				    const struct simnic_action *act);
void simnic_show_csum(struct seq_file *s, const struct simnic_action *act);

/* flow_extra.c: what cards take beyond addresses and ports */
u32 simnic_dsfield(enum flow_action_mangle_base base, u32 offset);
int simnic_check_chain(const struct flow_cls_common_offload *common, u32 extras);
int simnic_parse_goto(struct simnic_parse *p, const struct flow_action_entry *e,
		      struct simnic_action *act);
enum simnic_verdict simnic_run_goto(struct simnic_pass *pass,
				    const struct simnic_action *act);
void simnic_show_goto(struct seq_file *s, const struct simnic_action *act);

/* meter.c: police */
int simnic_meters_on(struct simnic_hw *hw);
void simnic_meters_off(struct simnic_hw *hw);
int simnic_parse_police(struct simnic_parse *p, const struct flow_action_entry *e,
			struct simnic_action *act);
bool simnic_meter_is_standalone(struct simnic_hw *hw, unsigned long cookie);
void simnic_release_police(struct simnic_rule *rule, struct simnic_action *act);
enum simnic_verdict simnic_run_police(struct simnic_pass *pass,
				      const struct simnic_action *act);
void simnic_show_police(struct seq_file *s, const struct simnic_action *act);

/* flow_show.c */
void simnic_show_port(struct seq_file *s, u16 vport);
void simnic_show_rules(struct seq_file *s, struct simnic_hw *hw);

/* deliver.c */
bool simnic_tag_push(struct sk_buff *frame, __be16 proto, u16 tci);
void simnic_tag_pop(struct sk_buff *frame);

#endif /* SIMNIC_FLOW_H */
