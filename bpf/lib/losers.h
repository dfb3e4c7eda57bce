/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Who lost events: the cgroups that dropped samples belong to. All of it happens on a
 * loss only.
 */
#ifndef WINDHOVER_LIB_LOSERS_H
#define WINDHOVER_LIB_LOSERS_H

#include "snapshot.h"

/* Tells cgroups apart, for as long as the host runs: that of the default hierarchy,
 * or where it is the root, that of the first v1 controller.
 */
static __always_inline u64 losers__key(u64 set)
{
	u64 node = cgroup__node(set);

	if (!kernfs__parent(node)) {
		u64 v1 = cgroup__node_v1(set);

		if (v1)
			return kread(v1, struct kernfs_node, id) << 1 | 1;
	}
	return kread(node, struct kernfs_node, id) << 1;
}

/* Counts a drop for the cgroup of the current task, in an entry that is made in s if
 * there is none.
 */
__noinline int losers__count(struct scratch *s)
{
	u64 task = (u64)bpf_get_current_task_btf();
	u64 key = losers__key((u64)kread(task, struct task_struct, cgroups));
	struct loser *l = bpf_map_lookup_elem(&losers, &key);

	if (!l && s) {
		s->task = task;
		s->len = offsetof(struct loser, sections);
		snapshot__cgroups(s);
		put64(s->sample + offsetof(struct loser, dropped), 0);
		put32(s->sample + offsetof(struct loser, len),
		      s->len - offsetof(struct loser, sections));
		put32(s->sample + offsetof(struct loser, reserved), 0);
		bpf_map_update_elem(&losers, &key, s->sample, BPF_NOEXIST);
		l = bpf_map_lookup_elem(&losers, &key);
	}
	if (l)
		__sync_fetch_and_add(&l->dropped, 1);
	else
		counters__unattributed();
	return 0;
}

#endif
