/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The life of processes: exec, fork, exit. These are reported whatever the rules want. */
#ifndef WINDHOVER_HOOKS_PROCESS_H
#define WINDHOVER_HOOKS_PROCESS_H

#include "../lib/collect.h"

/* Reports a successful exec with the snapshot of what the process has become. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec, struct task_struct *p, s32 old_pid, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u32 type = slots[task__slot(task, regs) & (NUM_SLOTS - 1)] & SLOT_TYPE, changed, at;
	/* On x86 the number of the call is that of execve by now, whichever it was. */
	bool execveat = type == EVENT_EXECVEAT || bprm->fdpath;
	struct scratch *s;
	struct mark *m;

	m = bpf_task_storage_get(&marks, task->group_leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (mark__own(m)) {
		counters__own();
		return 0;
	}
	/* If this sample is lost, the next event announces the process. */
	changed = m ? ++m->changed : 0;
	type = execveat ? EVENT_EXECVEAT : EVENT_EXECVE;
	s = sample__begin(type, LANE_RESERVED);
	if (!s)
		return 0;
	sample__header(s, task, type, 0, 0);
	s->flags = task__abi(task, regs);
	path__root(s, task);
	at = s->len;
	sample__kernel_string(s, bprm->filename, SECTION_STR0 + execveat);
	if (at != s->len && !sample__starts_with_slash(s, at))
		collect__directory(s, task, AT_FDCWD, SECTION_BASE);
	snapshot__append(s, task->group_leader, task);
	if (sample__send(s, type, LANE_RESERVED) && m)
		m->announced = changed + 1;
	return 0;
}

/* Reports a new process with its snapshot, and a new thread if that is wanted. The
 * header is that of the caller; the return value is the ID of the new process or
 * thread in the initial PID namespace. The sample of a new process goes to the shard of
 * that process, so that its snapshot comes before its first event.
 */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u32 slot = slots[task__slot(task, regs) & (NUM_SLOTS - 1)], type = slot & SLOT_TYPE, nargs;
	bool thread = child->tgid == parent->tgid;
	struct scratch *s;
	struct mark *m;

	if (thread && !(slot & SLOT_WANTED))
		return 0;
	m = bpf_task_storage_get(&marks, task->group_leader, NULL, 0);
	if (mark__own(m)) {
		counters__own();
		return 0;
	}
	/* The kernel itself forks too: then there is no call that was made. */
	if (!task->mm || type < EVENT_CLONE || type > EVENT_VFORK)
		type = EVENT_PROCINFO;
	nargs = descriptors[type].nargs & 7;
	s = collect__begin(task, regs, type, LANE_RESERVED, nargs,
			   type == EVENT_PROCINFO ? 0 : child->pid);
	if (!s)
		return 0;
	if (type == EVENT_CLONE3)
		collect__clone_args(s, sample__args(s));
	if (thread) {
		sample__send(s, type, LANE_RESERVED);
		return 0;
	}
	s->home = child->tgid;
	m = bpf_task_storage_get(&marks, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	snapshot__append(s, child, child);
	if (sample__send(s, type, LANE_RESERVED) && m)
		m->announced = 1;
	return 0;
}

/* Reports the end of a process: that of its last thread. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *p)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct signal_struct *signal = task->signal;
	struct scratch *s;
	struct mark *m;
	s64 status;

	if (signal->live.counter > 0)
		return 0;
	m = bpf_task_storage_get(&marks, task->group_leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (mark__own(m)) {
		counters__own();
		return 0;
	}
	/* Of two threads that end at once both may see that none is left. */
	if (m && __sync_lock_test_and_set(&m->exited, 1))
		return 0;
	status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code
						   : task->group_leader->exit_code;
	s = sample__begin(EVENT_PROCEXIT, LANE_RESERVED);
	if (!s)
		return 0;
	sample__header(s, task, EVENT_PROCEXIT, status, 0);
	sample__send(s, EVENT_PROCEXIT, LANE_RESERVED);
	return 0;
}

#endif
