/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Every call that a row of the event table describes well enough: arguments, strings,
 * the directories that paths are relative to, the object behind a descriptor.
 */
#ifndef WINDHOVER_HOOKS_GENERIC_H
#define WINDHOVER_HOOKS_GENERIC_H

#include "../lib/socket.h"

/* The tag of the directory that argument arg is relative to, or 0. dir is set to that
 * directory's descriptor.
 */
static __always_inline u32 generic__directory(const volatile struct descriptor *d, u32 arg,
					      const u64 *args, s32 *dir)
{
	u32 i, from;

	if (d->path[0] == arg + 1)
		i = 0;
	else if (d->path[1] == arg + 1)
		i = 1;
	else
		return 0;
	from = d->dir[i];
	*dir = from ? args[(from - 1) & 7] : AT_FDCWD;
	return SECTION_BASE + i;
}

/* Adds the directory that chdir or chroot went to. The path of a new root is as seen
 * from the root of the mount namespace: the one before is not known any more.
 */
static __always_inline void generic__entered(struct scratch *s, struct task_struct *task,
					     u32 traits)
{
	struct fs_struct *fs = task->fs;
	u64 dentry, vfsmount;

	if (traits & TRAIT_CHROOT) {
		dentry = (u64)fs->root.dentry;
		vfsmount = (u64)fs->root.mnt;
		s->root_dentry = 0;
	} else {
		dentry = (u64)fs->pwd.dentry;
		vfsmount = (u64)fs->pwd.mnt;
	}
	file__append(s, dentry, vfsmount, (u64)kread(dentry, struct dentry, d_inode));
}

SEC("tp_btf/sys_exit")
int BPF_PROG(generic, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 type = slots[task__slot(task, regs) & (NUM_SLOTS - 1)] & SLOT_TYPE;
	const volatile struct descriptor *d = &descriptors[type];
	u32 traits = d->traits, strings = d->strings, lane = d->lane & 1, object = d->object;
	struct scratch *s;
	u64 *args;

	if (traits & TRAIT_ONLY_FAILED && ret >= 0)
		return 0;
	s = collect__begin(task, regs, type, lane, d->nargs & 7, ret);
	if (!s)
		return 0;
	args = sample__args(s);
	if (traits & TRAIT_PRCTL && args[0] != PR_SET_NAME)
		strings = 0;
	if (traits & TRAIT_CLONE_ARGS)
		collect__clone_args(s, args);
	for (u32 i = 0; i < 6; i++) {
		u32 tag, at = s->len;
		s32 dir;

		if (!(strings & (1 << i)))
			continue;
		sample__string(s, args[i], SECTION_STR0 + i);
		tag = generic__directory(d, i, args, &dir);
		if (!tag || at == s->len || sample__starts_with_slash(s, at))
			continue;
		/* The directory that this was relative to is the current one no more. */
		if (traits & (TRAIT_CHDIR | TRAIT_CHROOT) && ret == 0)
			continue;
		collect__directory(s, task, dir, tag);
	}
	if (object) {
		u64 file = task__file(task, object == OBJECT_RET ? ret : args[(object - 1) & 7]);

		if (file)
			object__append(s, file, ROLE_NONE);
	}
	if (traits & (TRAIT_CHDIR | TRAIT_CHROOT) && ret == 0)
		generic__entered(s, task, traits);
	sample__send(s, type, lane);
	return 0;
}

#endif
