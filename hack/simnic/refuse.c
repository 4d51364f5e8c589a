// SPDX-License-Identifier: GPL-2.0
/* simnic: reasons of refusals, for the netlink answer. */
#include <linux/list.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "flow.h"

/*
 * A reason that is longer than the buffer of an answer. The kernel reads it after
 * the request is over, so it stays until the module is unloaded; there are few.
 */
struct simnic_text {
	struct list_head list;
	char text[];
};

static LIST_HEAD(simnic_texts);
static DEFINE_SPINLOCK(simnic_texts_lock);

static const char *simnic_keep_text(const char *text)
{
	size_t size = strlen(text) + 1;
	struct simnic_text *kept;

	spin_lock_bh(&simnic_texts_lock);
	list_for_each_entry(kept, &simnic_texts, list)
		if (!strcmp(kept->text, text))
			goto found;
	kept = kmalloc(struct_size(kept, text, size), GFP_ATOMIC);
	if (kept) {
		memcpy(kept->text, text, size);
		list_add(&kept->list, &simnic_texts);
	}
found:
	spin_unlock_bh(&simnic_texts_lock);
	return kept ? kept->text : "out of memory";
}

/** simnic_forget_texts - the module goes */
void simnic_forget_texts(void)
{
	struct simnic_text *kept, *next;

	list_for_each_entry_safe(kept, next, &simnic_texts, list)
		kfree(kept);
}

/**
 * simnic_refuse - refuse a request, with the reason
 * @extack: takes the reason; NULL when nobody listens
 * @err: negative errno
 * @fmt: reason, without the driver's name. Below 80 characters together when
 *	it has arguments that users choose; others may have up to 160
 *
 * Return: @err
 */
int simnic_refuse(struct netlink_ext_ack *extack, int err, const char *fmt, ...)
{
	struct va_format vaf;
	char text[160];
	va_list args;
	int len;

	if (!extack)
		return err;
	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	len = snprintf(text, sizeof(text), "%s: %pV", simnic_driver_name, &vaf);
	va_end(args);
	if (len < sizeof(extack->_msg_buf) || strchr(fmt, '%')) {
		strscpy(extack->_msg_buf, text);
		extack->_msg = extack->_msg_buf;
	} else {
		extack->_msg = simnic_keep_text(text);
	}
	return err;
}
