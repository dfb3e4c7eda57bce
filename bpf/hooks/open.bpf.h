/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* open, openat, openat2, creat: the raw path and the file that was opened. */
#ifndef WINDHOVER_HOOKS_OPEN_H
#define WINDHOVER_HOOKS_OPEN_H

#include "../lib/collect.h"

/* Replaces the pointer to struct open_how by what it points to. */
static __always_inline void open__how(struct scratch *s, u64 *args)
{
	struct open_how how = {};

	if (bpf_probe_read_user(&how, sizeof(how), (const void *)args[2]))
		s->flags |= SAMPLE_FAULTED;
	args[2] = how.flags;
	args[3] = how.mode;
	args[4] = how.resolve;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(open, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 type = slots[task__slot(task, regs) & (NUM_SLOTS - 1)] & SLOT_TYPE;
	const volatile struct descriptor *d = &descriptors[type];
	bool at = d->dir[0]; /* openat and openat2: directory, path; the others: path */
	struct scratch *s = collect__begin(task, regs, type, LANE_BULK, d->nargs, ret);
	u64 *args, file;

	if (!s)
		return 0;
	args = sample__args(s);
	if (d->traits & TRAIT_OPEN_HOW)
		open__how(s, args);
	if (at)
		collect__path(s, task, args[1], SECTION_STR0 + 1, args[0], SECTION_BASE);
	else
		collect__path(s, task, args[0], SECTION_STR0, AT_FDCWD, SECTION_BASE);
	file = ret >= 0 ? task__file(task, ret) : 0;
	if (file)
		file__append(s, (u64)kread(file, struct file, f_path.dentry),
			     (u64)kread(file, struct file, f_path.mnt),
			     (u64)kread(file, struct file, f_inode),
			     kread(file, struct file, f_mode) & FMODE_CREATED ? FILE_CREATED : 0);
	sample__send(s, type, LANE_BULK);
	return 0;
}

#endif
