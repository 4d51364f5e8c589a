// SPDX-License-Identifier: GPL-2.0
/* simnic: the knobs of a card that says no, and views into it. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "profile.h"

static struct dentry *simnic_root;

static const struct {
	const char *name;
	int number;
} simnic_errnos[] = {
	{ "EPERM", EPERM }, { "ENOENT", ENOENT }, { "EIO", EIO }, { "EAGAIN", EAGAIN },
	{ "ENOMEM", ENOMEM }, { "EBUSY", EBUSY }, { "EEXIST", EEXIST },
	{ "ENODEV", ENODEV }, { "EINVAL", EINVAL }, { "ENOSPC", ENOSPC },
	{ "EOPNOTSUPP", EOPNOTSUPP }, { "ETIMEDOUT", ETIMEDOUT },
};

typedef void simnic_knob_print_t(struct seq_file *s, const struct simnic_knobs *knobs);
typedef int simnic_knob_set_t(struct simnic_knobs *knobs, char *text);

/* Makes `simnic_NAME_fops` of simnic_NAME_print() and simnic_NAME_set(), called under the lock. */
#define SIMNIC_KNOB(name)						\
static int simnic_##name##_show(struct seq_file *s, void *unused)	\
{									\
	return simnic_knob_show(s, simnic_##name##_print);		\
}									\
static int simnic_##name##_open(struct inode *inode, struct file *file)	\
{									\
	return single_open(file, simnic_##name##_show, inode->i_private);	\
}									\
static ssize_t simnic_##name##_write(struct file *file, const char __user *from,	\
				     size_t len, loff_t *pos)		\
{									\
	struct seq_file *s = file->private_data;			\
									\
	return simnic_knob_write(s->private, from, len, simnic_##name##_set);	\
}									\
static const struct file_operations simnic_##name##_fops = {		\
	.owner = THIS_MODULE,						\
	.open = simnic_##name##_open,					\
	.read = seq_read,						\
	.write = simnic_##name##_write,					\
	.llseek = seq_lseek,						\
	.release = single_release,					\
}

static int simnic_knob_show(struct seq_file *s, simnic_knob_print_t *print)
{
	struct simnic_hw *hw = s->private;

	spin_lock(&hw->knobs_lock);
	print(s, &hw->knobs);
	spin_unlock(&hw->knobs_lock);
	return 0;
}

static ssize_t simnic_knob_write(struct simnic_hw *hw, const char __user *from,
				 size_t len, simnic_knob_set_t *set)
{
	char text[SIMNIC_TEXT_LEN + 32];
	int err;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = 0;
	spin_lock(&hw->knobs_lock);
	err = set(&hw->knobs, strim(text));
	spin_unlock(&hw->knobs_lock);
	return err ?: len;
}

static void simnic_max_rules_print(struct seq_file *s, const struct simnic_knobs *knobs)
{
	seq_printf(s, "%u\n", knobs->max_rules);
}

static int simnic_max_rules_set(struct simnic_knobs *knobs, char *text)
{
	return kstrtou32(text, 0, &knobs->max_rules);
}
SIMNIC_KNOB(max_rules);

static void simnic_profile_print(struct seq_file *s, const struct simnic_knobs *knobs)
{
	seq_printf(s, "%s\n", knobs->profile->name);
}

static int simnic_profile_set(struct simnic_knobs *knobs, char *text)
{
	const struct simnic_profile_ops *profile = simnic_profile_find(text);

	if (!profile)
		return -EINVAL;
	knobs->profile = profile;
	/* The data path reads it without the lock. */
	WRITE_ONCE(knobs->fragments, profile->fragments);
	return 0;
}
SIMNIC_KNOB(profile);

static const char * const simnic_fragments_names[SIMNIC_FRAGMENTS] = {
	[SIMNIC_FRAGMENTS_FIRST] = "first",
	[SIMNIC_FRAGMENTS_NONE] = "none",
	[SIMNIC_FRAGMENTS_REFUSE] = "refuse",
};

static void simnic_fragments_print(struct seq_file *s, const struct simnic_knobs *knobs)
{
	seq_printf(s, "%s\n", simnic_fragments_names[knobs->fragments]);
}

static int simnic_fragments_set(struct simnic_knobs *knobs, char *text)
{
	int fragments = match_string(simnic_fragments_names, SIMNIC_FRAGMENTS, text);

	if (fragments < 0)
		return -EINVAL;
	/* The data path reads it without the lock. */
	WRITE_ONCE(knobs->fragments, fragments);
	return 0;
}
SIMNIC_KNOB(fragments);

static void simnic_liar_print(struct seq_file *s, const struct simnic_knobs *knobs)
{
	seq_printf(s, "%s\n", knobs->liar);
}

static int simnic_liar_set(struct simnic_knobs *knobs, char *text)
{
	if (strlen(text) >= sizeof(knobs->liar))
		return -EINVAL;
	strscpy(knobs->liar, text);
	return 0;
}
SIMNIC_KNOB(liar);

static void simnic_fail_next_print(struct seq_file *s, const struct simnic_knobs *knobs)
{
	seq_printf(s, "%u %d %s\n", knobs->fail_count, knobs->fail_errno, knobs->fail_text);
}

/* By name, or by number with or without a minus sign; 0: unknown */
static int simnic_parse_errno(const char *text)
{
	unsigned int i;
	int number;

	for (i = 0; i < ARRAY_SIZE(simnic_errnos); i++)
		if (!strcmp(text, simnic_errnos[i].name))
			return simnic_errnos[i].number;
	if (kstrtoint(text, 10, &number) || !number || abs(number) > MAX_ERRNO)
		return 0;
	return abs(number);
}

/* COUNT [ERRNO [TEXT]] */
static int simnic_fail_next_set(struct simnic_knobs *knobs, char *text)
{
	char *count = strsep(&text, " "), *number;
	int fail_errno = EIO;
	u32 n;

	if (kstrtou32(count, 10, &n))
		return -EINVAL;
	number = strsep(&text, " ");
	if (number)
		fail_errno = simnic_parse_errno(number);
	if (!fail_errno)
		return -EINVAL;
	knobs->fail_count = n;
	knobs->fail_errno = fail_errno;
	strscpy(knobs->fail_text, text && *text ? text : "hardware failure");
	return 0;
}
SIMNIC_KNOB(fail_next);

/* Knobs that are on or off */
static const struct {
	const char *name;
	size_t offset;
} simnic_switches[] = {
	{ "no_meters", offsetof(struct simnic_knobs, no_meters) },
	{ "no_vlan_2", offsetof(struct simnic_knobs, no_vlan_2) },
	{ "no_hairpin", offsetof(struct simnic_knobs, no_hairpin) },
	{ "hairpin_lost", offsetof(struct simnic_knobs, hairpin_lost) },
	{ "no_eswitch", offsetof(struct simnic_knobs, no_eswitch) },
};

static int simnic_tx_capacity_get(void *data, u64 *mbit)
{
	*mbit = div64_u64(simnic_sched_capacity(data), SIMNIC_MBIT);
	return 0;
}

static int simnic_tx_capacity_set(void *data, u64 mbit)
{
	if (mbit > SIMNIC_SPEED)
		return -EINVAL;
	simnic_sched_set_capacity(data, mbit * SIMNIC_MBIT);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(simnic_tx_capacity_fops, simnic_tx_capacity_get,
			 simnic_tx_capacity_set, "%llu\n");

static int simnic_rules_show(struct seq_file *s, void *unused)
{
	rtnl_lock();
	simnic_show_rules(s, s->private);
	rtnl_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(simnic_rules);

static void simnic_show_counters(struct seq_file *s, struct simnic_vport *vport)
{
	unsigned int i;

	simnic_show_port(s, vport->id);
	for (i = 0; i < SIMNIC_COUNTERS; i++)
		seq_printf(s, " %s %llu", simnic_counter_names[i],
			   (u64)atomic64_read(&vport->counters[i]));
	seq_puts(s, "\n");
}

static int simnic_stats_show(struct seq_file *s, void *unused)
{
	struct simnic_hw *hw = s->private;
	unsigned int i;

	seq_printf(s, "rules %u\n", READ_ONCE(hw->num_rules));
	simnic_show_counters(s, &hw->uplink);
	if (simnic_ports > 1)
		simnic_show_counters(s, &hw->second);
	for (i = 0; i < READ_ONCE(hw->num_vfs); i++)
		simnic_show_counters(s, &hw->vfs[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(simnic_stats);

/**
 * simnic_debugfs_add - the folder of a card, named by its PCI address
 * @hw: the card
 */
void simnic_debugfs_add(struct simnic_hw *hw)
{
	struct dentry *dir = debugfs_create_dir(hw->pci_name, simnic_root);
	unsigned int i;

	hw->debugfs = dir;
	for (i = 0; i < ARRAY_SIZE(simnic_switches); i++)
		debugfs_create_bool(simnic_switches[i].name, 0600, dir,
				    (void *)&hw->knobs + simnic_switches[i].offset);
	debugfs_create_u32("prio_max", 0600, dir, &hw->knobs.prio_max);
	debugfs_create_file("max_rules", 0600, dir, hw, &simnic_max_rules_fops);
	debugfs_create_file("profile", 0600, dir, hw, &simnic_profile_fops);
	debugfs_create_file("fragments", 0600, dir, hw, &simnic_fragments_fops);
	debugfs_create_file("liar", 0600, dir, hw, &simnic_liar_fops);
	debugfs_create_file("fail_next", 0600, dir, hw, &simnic_fail_next_fops);
	debugfs_create_file_unsafe("tx_capacity", 0600, dir, hw, &simnic_tx_capacity_fops);
	debugfs_create_file("rules", 0400, dir, hw, &simnic_rules_fops);
	debugfs_create_file("stats", 0400, dir, hw, &simnic_stats_fops);
}

/**
 * simnic_debugfs_remove - remove the folder; waits for readers
 * @hw: the card
 */
void simnic_debugfs_remove(struct simnic_hw *hw)
{
	debugfs_remove_recursive(hw->debugfs);
}

/** simnic_debugfs_init - the folder of all cards */
void simnic_debugfs_init(void)
{
	simnic_root = debugfs_create_dir("simnic", NULL);
}

/** simnic_debugfs_exit - remove it */
void simnic_debugfs_exit(void)
{
	debugfs_remove_recursive(simnic_root);
}
