/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Counters: every system call, every wanted event, every loss with its reason. */
#ifndef WINDHOVER_LIB_COUNTERS_H
#define WINDHOVER_LIB_COUNTERS_H

#include "../include/maps.h"

static __always_inline struct counters *counters__here(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

static __always_inline void counters__produced(u32 type)
{
	struct counters *c = counters__here();

	if (c)
		c->produced[type & (MAX_TYPES - 1)]++;
}

static __always_inline void counters__dropped(u32 type, u32 lane, enum drop_reason reason)
{
	struct counters *c = counters__here();

	if (c)
		c->dropped[type & (MAX_TYPES - 1)][lane & 1][reason]++;
}

static __always_inline void counters__unattributed(void)
{
	struct counters *c = counters__here();

	if (c)
		c->unattributed++;
}

static __always_inline void counters__own(void)
{
	struct counters *c = counters__here();

	if (c)
		c->own++;
}

#endif
