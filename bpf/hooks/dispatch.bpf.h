/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The one hook that every system call passes when it returns. It counts the call and
 * hands a wanted one to the program of its type.
 */
#ifndef WINDHOVER_HOOKS_DISPATCH_H
#define WINDHOVER_HOOKS_DISPATCH_H

#include "../lib/snapshot.h"

/* Whether a successful call of a slot with SLOT_IDENTITY changed the process: prctl
 * does so only by giving its main thread another name.
 */
static __always_inline bool dispatch__changed(struct task_struct *task, struct pt_regs *regs,
					      u32 type, s64 ret)
{
	u64 args[6];

	if (ret < 0)
		return false;
	if (type != EVENT_PRCTL)
		return true;
	task__args(args, regs, task__abi(task, regs));
	return args[0] == PR_SET_NAME && task->pid == task->tgid;
}

/* Goes on to the program of the call, with the process announced or not. */
static __always_inline void dispatch__go_on(void *ctx, struct task_struct *task,
					    struct pt_regs *regs, s64 ret, u32 slot, struct mark *m)
{
	/* The event comes after the snapshot that holds what the process was before. */
	if (slot & SLOT_IDENTITY && m && dispatch__changed(task, regs, slot & SLOT_TYPE, ret))
		m->changed++;
	if (slot & SLOT_WANTED)
		bpf_tail_call(ctx, &programs, slot & SLOT_TYPE);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(dispatch, struct pt_regs *regs, long ret)
{
	struct counters *c = counters__here();
	struct task_struct *task;
	u32 nr = task__slot(task__current(c), regs), slot;
	struct mark *m;

	if (c)
		c->syscalls[nr & (NUM_SLOTS - 1)]++;
	slot = slots[nr & (NUM_SLOTS - 1)];
	if (!(slot & (SLOT_WANTED | SLOT_IDENTITY)))
		return 0;
	task = bpf_get_current_task_btf();
	m = bpf_task_storage_get(&marks, task->group_leader, NULL, 0);
	if (mark__own(m)) {
		counters__own();
		return 0;
	}
	if (slot & SLOT_WANTED && !mark__announced(m))
		bpf_tail_call(ctx, &programs, PROGRAM_ANNOUNCE);
	dispatch__go_on(ctx, task, regs, ret, slot, m);
	return 0;
}

/* Announces the process that makes a wanted call, then goes on with the call. The
 * process counts as announced only if the sample got into the ring.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(announce, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 slot = slots[task__slot(task, regs) & (NUM_SLOTS - 1)], changed;
	struct scratch *s;
	struct mark *m;

	m = bpf_task_storage_get(&marks, task->group_leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	changed = m ? m->changed : 0;
	s = sample__begin(EVENT_PROCINFO, LANE_RESERVED);
	if (s) {
		sample__header(s, task, EVENT_PROCINFO, 0, 0);
		snapshot__append(s, task->group_leader, task);
		if (sample__send(s, EVENT_PROCINFO, LANE_RESERVED) && m)
			m->announced = changed + 1;
	}
	dispatch__go_on(ctx, task, regs, ret, slot, m);
	return 0;
}

#endif
