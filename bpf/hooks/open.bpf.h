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

/* Adds the file that was opened. Its path is short nearly always. */
static __always_inline void open__file(struct scratch *s, u64 file)
{
	u64 dentry = (u64)kread(file, struct file, f_path.dentry);
	u64 vfsmount = (u64)kread(file, struct file, f_path.mnt);
	u64 inode = (u64)kread(file, struct file, f_inode);
	bool created = kread(file, struct file, f_mode) & FMODE_CREATED;

	file__describe(s, dentry, inode, created ? FILE_CREATED : 0);
	if (dentry__is_pseudo(dentry, vfsmount) || !path__short(s, dentry, vfsmount, SECTION_PATH))
		file__path(s, dentry, vfsmount, inode, SECTION_PATH);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(open, struct pt_regs *regs, long ret)
{
	struct task_struct *task = task__current(counters__here());
	u32 type = slots[task__slot(task, regs) & (NUM_SLOTS - 1)] & SLOT_TYPE, at;
	const volatile struct descriptor *d = &descriptors[type];
	struct scratch *s = collect__begin(task, regs, type, LANE_BULK, d->nargs, ret);
	/* openat and openat2: directory, path; the others: path. */
	u32 arg = d->dir[0] ? 1 : 0;
	u64 *args, file;

	if (!s)
		return 0;
	args = sample__args(s);
	if (d->traits & TRAIT_OPEN_HOW)
		open__how(s, args);
	at = s->len;
	sample__string_here(s, args[arg], SECTION_STR0 + arg);
	if (at != s->len && !sample__starts_with_slash(s, at))
		collect__directory(s, task, arg ? args[0] : AT_FDCWD, SECTION_BASE);
	file = ret >= 0 ? task__file(task, ret) : 0;
	if (file)
		open__file(s, file);
	sample__send(s, type, LANE_BULK);
	return 0;
}

#endif
