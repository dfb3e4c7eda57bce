/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Paths and files, from the kernel's own structures. */
#ifndef WINDHOVER_LIB_PATH_H
#define WINDHOVER_LIB_PATH_H

#include "sample.h"

/* Every step is one name or one mount, so this passes MAX_STRING bytes of one-letter
 * names with a mount at some of them.
 */
#define MAX_STEPS 2200

struct walk {
	struct scratch *s;
	u64 dentry, mount;
	u32 at;
	bool complete;
};

static __always_inline u64 mount__of(u64 vfsmount)
{
	return vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/* Puts the name of the dentry in front of what is there and goes to its parent. */
static long path__step(u32 i, void *ctx)
{
	struct walk *w = ctx;
	struct scratch *s = w->s;
	u64 dentry = w->dentry, mount = w->mount, parent;
	const void *name;
	u32 len, at;

	if (dentry == s->root_dentry && mount == s->root_mnt) {
		w->complete = true;
		return 1;
	}
	parent = (u64)kread(dentry, struct dentry, d_parent);
	if (dentry == (u64)kread(mount, struct mount, mnt.mnt_root)) {
		u64 above = (u64)kread(mount, struct mount, mnt_parent);

		if (above != mount) {
			w->dentry = (u64)kread(mount, struct mount, mnt_mountpoint);
			w->mount = above;
			return 0;
		}
		/* The root of the mount namespace, which a process sees that came out of
		 * its own root, or of a tree that is mounted nowhere (any more).
		 */
		w->complete = kread(mount, struct mount, mnt_ns) != NULL;
		return 1;
	}
	len = kread(dentry, struct dentry, d_name.len);
	name = kread(dentry, struct dentry, d_name.name);
	if (len > MAX_NAME || w->at < len + 1) {
		s->flags |= SAMPLE_TRUNCATED;
		return 1;
	}
	at = w->at - (len + 1);
	w->at = at;
	at &= MAX_STRING - 1;
	s->path[at] = '/';
	len &= MAX_NAME;
	bpf_probe_read_kernel(s->path + at + 1, len, name);
	if (parent == dentry)
		return 1; /* moved out of its mount */
	w->dentry = parent;
	return 0;
}

/* Builds the path of s->dentry on s->vfsmount in s->path[s->path_at:MAX_STRING] and
 * returns its length.
 */
static __always_inline u32 path__build(struct scratch *s)
{
	struct walk w = {
		.s = s, .dentry = s->dentry, .mount = mount__of(s->vfsmount), .at = MAX_STRING
	};
	u32 at;

	bpf_loop(MAX_STEPS, path__step, &w, 0);
	if (!w.complete)
		s->flags |= SAMPLE_INCOMPLETE;
	at = w.at;
	if (at >= MAX_STRING) {
		at = MAX_STRING - 1;
		s->path[MAX_STRING - 1] = '/';
	}
	s->path_at = at;
	return MAX_STRING - at;
}

/* Short paths of short names need no helper call, of which each costs as much as a few
 * dozen loads: at most so many names, which the kernel keeps in the dentry itself.
 */
#define SHORT_DEPTH 16
#define SHORT_STEPS 20
#define SHORT_NAME  31

static __always_inline u64 dentry__short_name(u64 dentry)
{
	if (bpf_core_field_exists(((struct dentry *)0)->d_shortname))
		return dentry + bpf_core_field_offset(struct dentry, d_shortname);
	return dentry + bpf_core_field_offset(struct dentry___v6_13, d_iname);
}

/* Adds the path of a dentry as section tag, if that is short, and reports whether it
 * did.
 */
static __always_inline bool path__short(struct scratch *s, u64 dentry, u64 vfsmount, u32 tag)
{
	u64 root_dentry = s->root_dentry, root_mnt = s->root_mnt, mount;
	u32 len, at = s->len;
	bool complete = false;

	if (!has_cast || at > SAMPLE_MASK - SHORT_DEPTH * (SHORT_NAME + 1) - 64)
		return false;
	/* What changes from step to step is in memory, where the verifier does not follow
	 * every value that it may have.
	 */
	mount = mount__of(vfsmount);
	s->depth = 0;
	s->dentry = dentry;
	s->mount = mount;
	s->mount_root = (u64)kread(mount, struct mount, mnt.mnt_root);
	for (u32 i = 0; i < SHORT_STEPS; i++) {
		u32 depth = s->depth;

		dentry = s->dentry;
		mount = s->mount;
		if (dentry == root_dentry && mount == root_mnt) {
			complete = true;
			break;
		}
		if (dentry == s->mount_root) {
			u64 above = (u64)kread(mount, struct mount, mnt_parent);

			if (above == mount)
				return false;
			s->dentry = (u64)kread(mount, struct mount, mnt_mountpoint);
			s->mount = above;
			s->mount_root = (u64)kread(above, struct mount, mnt.mnt_root);
			continue;
		}
		if (depth >= SHORT_DEPTH)
			return false;
		s->nodes[depth & (SHORT_DEPTH - 1)] = dentry;
		s->depth = depth + 1;
		s->dentry = (u64)kread(dentry, struct dentry, d_parent);
	}
	if (!complete)
		return false;
	at += sizeof(struct section);
	s->path_at = 0;
	for (u32 i = 0; i < SHORT_DEPTH; i++) {
		u32 n, depth = s->depth;
		u64 name;
		u8 *p;

		if (!depth)
			break;
		s->depth = depth - 1;
		dentry = s->nodes[(depth - 1) & (SHORT_DEPTH - 1)];
		name = dentry__short_name(dentry);
		n = kread(dentry, struct dentry, d_name.len);
		if (n > SHORT_NAME || (u64)kread(dentry, struct dentry, d_name.name) != name)
			return false;
		p = s->sample + ((at + s->path_at) & SAMPLE_MASK);
		*p = '/';
		/* What is beyond the name is written over by the next. */
		put64(p + 1, load64(name));
		put64(p + 9, load64(name + 8));
		if (n > 16) {
			put64(p + 17, load64(name + 16));
			put64(p + 25, load64(name + 24));
		}
		s->path_at += n + 1;
	}
	len = s->path_at;
	if (!len) {
		s->sample[at & SAMPLE_MASK] = '/';
		len = 1;
	}
	sample__section(s, s->sample + (at & SAMPLE_MASK), tag, len);
	return true;
}

__noinline int path__emit(struct scratch *s, u32 tag)
{
	u64 dentry;
	u32 len, at;
	u8 *p;

	if (!s || !s->dentry || !s->vfsmount)
		return 0;
	dentry = s->dentry;
	if (path__short(s, dentry, s->vfsmount, tag))
		return 0;
	s->dentry = dentry;
	len = path__build(s);
	p = sample__payload(s);
	if (!p)
		return 0;
	at = s->path_at & (MAX_STRING - 1);
	if (len > MAX_STRING)
		return 0;
	bpf_probe_read_kernel(p, len, s->path + at);
	sample__section(s, p, tag, len);
	return 0;
}

/* Adds the path of a dentry as section tag. */
static __always_inline void path__append(struct scratch *s, u64 dentry, u64 vfsmount, u32 tag)
{
	s->dentry = dentry;
	s->vfsmount = vfsmount;
	path__emit(s, tag);
}

/* Sets where paths end: the root directory of a process. */
static __always_inline void path__root(struct scratch *s, struct task_struct *task)
{
	struct fs_struct *fs = task->fs;

	s->root_dentry = (u64)fs->root.dentry;
	s->root_mnt = mount__of((u64)fs->root.mnt);
}

/* What is special about an inode on an overlay file system. The upper dentry follows
 * the VFS inode in struct ovl_inode, whose types a module would keep to itself.
 */
static __always_inline u32 overlay__flags(u64 inode)
{
	u64 upper = 0;

	bpf_probe_read_kernel(&upper, sizeof(upper),
			      (void *)inode + bpf_core_type_size(struct inode));
	return upper ? FILE_UPPER : FILE_LOWER;
}

static __always_inline bool name__is_memfd(u64 dentry)
{
	char name[6] = {};

	bpf_probe_read_kernel(name, sizeof(name), kread(dentry, struct dentry, d_name.name));
	return name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
	       name[4] == 'd' && name[5] == ':';
}

static __always_inline u32 file__flags(u64 inode, u64 dentry, unsigned long magic)
{
	u32 flags = 0;

	if (magic == OVERLAYFS_MAGIC)
		flags |= overlay__flags(inode);
	if (kread(inode, struct inode, i_nlink) == 0)
		flags |= magic == TMPFS_MAGIC && name__is_memfd(dentry) ? FILE_MEMFD : FILE_DELETED;
	return flags;
}

/* Adds the path of s->dentry, which is in no directory, as /proc/PID/fd shows it: of a
 * pipe, a namespace, an anonymous inode or a file in memory.
 */
__noinline int pseudo__emit(struct scratch *s, u32 tag)
{
	static const char pipe[] = "pipe:[%llu]", ns[] = "%s:[%llu]", anon[] = "anon_inode:%s",
			  other[] = "/%s";
	u64 args[2] = {}, super, inode;
	unsigned long magic;
	u8 *p;
	long n;

	if (!s)
		return 0;
	p = sample__payload(s);
	if (!p)
		return 0;
	inode = s->inode;
	super = (u64)kread(inode, struct inode, i_sb);
	magic = kread(super, struct super_block, s_magic);
	args[0] = (u64)kread(s->dentry, struct dentry, d_name.name);
	if (magic == PIPEFS_MAGIC) {
		args[0] = kread(inode, struct inode, i_ino);
		n = bpf_snprintf((char *)p, MAX_NAME + 16, pipe, args, sizeof(u64));
	} else if (magic == NSFS_MAGIC) {
		u64 object = (u64)kread(inode, struct inode, i_private);
		u64 ops = (u64)kread(object, struct ns_common, ops);

		args[0] = (u64)kread(ops, struct proc_ns_operations, name);
		args[1] = kread(inode, struct inode, i_ino);
		n = bpf_snprintf((char *)p, MAX_NAME + 16, ns, args, sizeof(args));
	} else if (magic == ANON_INODE_MAGIC) {
		n = bpf_snprintf((char *)p, MAX_NAME + 16, anon, args, sizeof(u64));
	} else {
		n = bpf_snprintf((char *)p, MAX_NAME + 16, other, args, sizeof(u64));
	}
	if (n > 1 && n <= MAX_NAME + 16)
		sample__section(s, p, tag, n - 1);
	return 0;
}

static __always_inline bool dentry__is_pseudo(u64 dentry, u64 vfsmount)
{
	return dentry == (u64)kread(dentry, struct dentry, d_parent) &&
	       dentry != (u64)kread(vfsmount, struct vfsmount, mnt_root);
}

/* Adds the path of an open file as section tag. */
static __always_inline void file__path(struct scratch *s, u64 dentry, u64 vfsmount, u64 inode,
				       u32 tag)
{
	if (!dentry__is_pseudo(dentry, vfsmount)) {
		path__append(s, dentry, vfsmount, tag);
		return;
	}
	s->dentry = dentry;
	s->inode = inode;
	pseudo__emit(s, tag);
}

/* Adds struct sample_file. more are flags that the caller knows. */
static __always_inline void file__describe(struct scratch *s, u64 dentry, u64 inode, u32 more)
{
	u64 super = (u64)kread(inode, struct inode, i_sb);
	u8 *p = sample__payload(s);

	if (!p)
		return;
	put64(p + offsetof(struct sample_file, ino), kread(inode, struct inode, i_ino));
	put32(p + offsetof(struct sample_file, dev), kread(super, struct super_block, s_dev));
	put32(p + offsetof(struct sample_file, mode), kread(inode, struct inode, i_mode));
	put32(p + offsetof(struct sample_file, flags),
	      more | file__flags(inode, dentry, kread(super, struct super_block, s_magic)));
	sample__section(s, p, SECTION_FILE, sizeof(struct sample_file));
}

/* Adds struct sample_file and the path of a file. */
static __always_inline void file__append(struct scratch *s, u64 dentry, u64 vfsmount, u64 inode)
{
	file__describe(s, dentry, inode, 0);
	file__path(s, dentry, vfsmount, inode, SECTION_PATH);
}

#endif
