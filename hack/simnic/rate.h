/* SPDX-License-Identifier: GPL-2.0 */
/* simnic: the token bucket, counted in nanoseconds of its own rate. */
#ifndef SIMNIC_RATE_H
#define SIMNIC_RATE_H

#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include <linux/types.h>

#define SIMNIC_MBIT	125000ULL	/* bytes per second */

/* Under the lock of its owner. */
struct simnic_bucket {
	u64 rate;	/* units (bytes or packets) per second, 0: no limit */
	s64 depth;	/* ns, how much may be saved up */
	s64 tokens;	/* ns, below zero: in debt */
	u64 last;	/* when tokens were counted last */
};

/* A bucket starts full. */
static inline void simnic_bucket_set(struct simnic_bucket *b, u64 rate, s64 depth, u64 now)
{
	b->rate = rate;
	b->depth = depth;
	b->tokens = depth;
	b->last = now;
}

static inline s64 simnic_bucket_cost(const struct simnic_bucket *b, u32 units)
{
	return div64_u64((u64)units * NSEC_PER_SEC, b->rate);
}

static inline void simnic_bucket_fill(struct simnic_bucket *b, u64 now)
{
	s64 passed = now - b->last;

	if (passed <= 0)
		return;
	b->tokens = min(b->tokens + min(passed, b->depth - b->tokens), b->depth);
	b->last = now;
}

#endif /* SIMNIC_RATE_H */
