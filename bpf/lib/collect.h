/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the programs of system calls have in common: arguments, strings, directories. */
#ifndef WINDHOVER_LIB_COLLECT_H
#define WINDHOVER_LIB_COLLECT_H

#include "snapshot.h"

/* Begins a sample of the current system call with header and arguments. */
static __always_inline struct scratch *collect__begin(struct task_struct *task,
						      struct pt_regs *regs, u32 type, u32 lane,
						      u32 nargs, s64 ret)
{
	u32 abi = task__abi(task, regs);
	struct scratch *s = sample__begin(type, lane);

	if (!s)
		return NULL;
	sample__header(s, task, type, ret, nargs);
	s->flags = abi;
	task__args(sample__args(s), regs, abi);
	path__root(s, task);
	return s;
}

/* Adds the directory behind descriptor fd of the current task. */
static __always_inline void collect__directory(struct scratch *s, struct task_struct *task, s32 fd,
					       u32 tag)
{
	u64 file;

	if (fd == AT_FDCWD) {
		path__append(s, (u64)task->fs->pwd.dentry, (u64)task->fs->pwd.mnt, tag);
		return;
	}
	file = task__file(task, fd);
	if (file)
		path__append(s, (u64)kread(file, struct file, f_path.dentry),
			     (u64)kread(file, struct file, f_path.mnt), tag);
}

/* Replaces the pointer to struct clone_args in argument 0 by its first member, flags. */
static __always_inline void collect__clone_args(struct scratch *s, u64 *args)
{
	u64 flags = 0;

	if (bpf_probe_read_user(&flags, sizeof(flags), (const void *)args[0]))
		s->flags |= SAMPLE_FAULTED;
	args[0] = flags;
}

#endif
