/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The snapshot of a process: everything that rules ask about who did something. */
#ifndef WINDHOVER_LIB_SNAPSHOT_H
#define WINDHOVER_LIB_SNAPSHOT_H

#include "path.h"

#define MAX_ANCESTORS 8

static __always_inline struct upid pid__innermost(u64 pid)
{
	u32 level = kread(pid, struct pid, level);
	struct upid u = {};

	if (level > 32) /* MAX_PID_NS_LEVEL */
		return u;
	bpf_probe_read_kernel(&u, sizeof(u),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * sizeof(struct upid));
	return u;
}

static __always_inline s32 pid__outermost(u64 pid)
{
	struct upid u = {};

	bpf_probe_read_kernel(&u, sizeof(u),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers));
	return u.nr;
}

static __always_inline u64 signal__pid(u64 signal, u32 type)
{
	u64 pid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid),
			      (void *)signal + bpf_core_field_offset(struct signal_struct, pids) +
				      type * sizeof(u64));
	return pid;
}

/* The device number of the controlling terminal as /proc/PID/stat shows it, or 0. */
static __always_inline u32 signal__tty(u64 signal)
{
	u64 tty = (u64)kread(signal, struct signal_struct, tty), driver;
	u32 major, minor;

	if (!tty)
		return 0;
	driver = (u64)kread(tty, struct tty_struct, driver);
	major = kread(driver, struct tty_driver, major);
	minor = kread(driver, struct tty_driver, minor_start) +
		kread(tty, struct tty_struct, index);
	return (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
}

static __always_inline u64 cap__read(u64 cred, u32 offset)
{
	u64 set = 0;

	bpf_probe_read_kernel(&set, sizeof(set), (void *)cred + offset);
	return set;
}

static __always_inline u64 inode__mtime(u64 inode)
{
	if (bpf_core_field_exists(((struct inode *)0)->i_mtime_sec))
		return kread(inode, struct inode, i_mtime_sec) * 1000000000ULL +
		       kread(inode, struct inode, i_mtime_nsec);
	if (bpf_core_field_exists(((struct inode___v6_7 *)0)->__i_mtime))
		return kread(inode, struct inode___v6_7, __i_mtime.tv_sec) * 1000000000ULL +
		       kread(inode, struct inode___v6_7, __i_mtime.tv_nsec);
	return kread(inode, struct inode___v5, i_mtime.tv_sec) * 1000000000ULL +
	       kread(inode, struct inode___v5, i_mtime.tv_nsec);
}

static __always_inline u64 inode__ctime(u64 inode)
{
	if (bpf_core_field_exists(((struct inode *)0)->i_ctime_sec))
		return kread(inode, struct inode, i_ctime_sec) * 1000000000ULL +
		       (kread(inode, struct inode, i_ctime_nsec) & CTIME_NSEC_MASK);
	if (bpf_core_field_exists(((struct inode___v6_6 *)0)->__i_ctime))
		return kread(inode, struct inode___v6_6, __i_ctime.tv_sec) * 1000000000ULL +
		       kread(inode, struct inode___v6_6, __i_ctime.tv_nsec);
	return kread(inode, struct inode___v5, i_ctime.tv_sec) * 1000000000ULL +
	       kread(inode, struct inode___v5, i_ctime.tv_nsec);
}

/* Whether mode and ownership let the credentials write to the inode. Supplementary
 * groups beyond the first 16, access control lists and security modules are not
 * asked; a capability counts in the initial user namespace only, as elsewhere it is
 * good for some inodes and not for others.
 */
static __always_inline bool inode__writable(u64 inode, u64 super, u64 cred, u64 caps)
{
	u32 mode = kread(inode, struct inode, i_mode), gid, n;
	u64 groups, ns = (u64)kread(cred, struct cred, user_ns);

	if (kread(super, struct super_block, s_flags) & SB_RDONLY)
		return false;
	if (caps & (1ULL << CAP_DAC_OVERRIDE) && kread(ns, struct user_namespace, level) == 0)
		return true;
	if (kread(inode, struct inode, i_uid.val) == kread(cred, struct cred, fsuid.val))
		return mode & 0200;
	gid = kread(inode, struct inode, i_gid.val);
	if (gid == kread(cred, struct cred, fsgid.val))
		return mode & 0020;
	groups = (u64)kread(cred, struct cred, group_info);
	n = kread(groups, struct group_info, ngroups);
	for (u32 i = 0; i < 16; i++) {
		u32 g = -1;

		if (i >= n)
			break;
		bpf_probe_read_kernel(&g, sizeof(g),
				      (void *)groups +
					      bpf_core_field_offset(struct group_info, gid) +
					      i * sizeof(g));
		if (g == gid)
			return mode & 0020;
	}
	return mode & 0002;
}

/* Adds SECTION_PROC. s->leader is the leader of the thread group, s->task one of its
 * threads that lives: the leader may have ended before the others.
 */
__noinline int snapshot__proc(struct scratch *s)
{
	u64 leader, task, cred, signal, pid, parent, ns, proxy, mm, exe = 0, caps;
	struct upid u;
	u8 *p;

	if (!s)
		return 0;
	p = sample__payload(s);
	if (!p)
		return 0;
	leader = s->leader;
	task = s->task;
	cred = (u64)kread(task, struct task_struct, cred);
	signal = (u64)kread(task, struct task_struct, signal);
	parent = (u64)kread(leader, struct task_struct, real_parent);
	proxy = (u64)kread(task, struct task_struct, nsproxy);
	mm = (u64)kread(task, struct task_struct, mm);
	caps = cap__read(cred, bpf_core_field_offset(struct cred, cap_effective));

#define OFFSET(member) (p + offsetof(struct sample_proc, member))
	put32(OFFSET(ppid), kread(parent, struct task_struct, tgid));
	parent = (u64)kread(parent, struct task_struct, group_leader);
	put64(OFFSET(parent_start), kread(parent, struct task_struct, start_boottime));
	put64(OFFSET(cap_inheritable),
	      cap__read(cred, bpf_core_field_offset(struct cred, cap_inheritable)));
	put64(OFFSET(cap_permitted),
	      cap__read(cred, bpf_core_field_offset(struct cred, cap_permitted)));
	put64(OFFSET(cap_effective), caps);
	put32(OFFSET(pid), kread(task, struct task_struct, tgid));
	put32(OFFSET(tid), kread(task, struct task_struct, pid));
	put64(OFFSET(start), kread(leader, struct task_struct, start_boottime));
	put32(OFFSET(uid), kread(cred, struct cred, uid.val));
	put32(OFFSET(gid), kread(cred, struct cred, gid.val));
	put32(OFFSET(euid), kread(cred, struct cred, euid.val));
	put32(OFFSET(egid), kread(cred, struct cred, egid.val));
	if (bpf_core_field_exists(((struct task_struct *)0)->loginuid))
		put32(OFFSET(loginuid), kread(leader, struct task_struct, loginuid.val));
	else
		put32(OFFSET(loginuid), -1);
	put32(OFFSET(tty), signal__tty(signal));
	put32(OFFSET(thread_flags), 0);

	pid = signal__pid(signal, PIDTYPE_SID);
	put32(OFFSET(sid), pid__outermost(pid));
	u = pid__innermost(pid);
	put32(OFFSET(vsid), u.nr);
	pid = signal__pid(signal, PIDTYPE_PGID);
	put32(OFFSET(pgid), pid__outermost(pid));
	u = pid__innermost(pid);
	put32(OFFSET(vpgid), u.nr);
	pid = (u64)kread(task, struct task_struct, thread_pid);
	u = pid__innermost(pid);
	put32(OFFSET(vtid), u.nr);
	pid = (u64)kread(leader, struct task_struct, thread_pid);
	u = pid__innermost(pid);
	put32(OFFSET(vpid), u.nr);
	ns = (u64)u.ns;
	put32(OFFSET(pidns), kread(ns, struct pid_namespace, ns.inum));
	ns = (u64)kread(ns, struct pid_namespace, child_reaper);
	put64(OFFSET(pidns_init_start), kread(ns, struct task_struct, start_boottime));
	ns = (u64)kread(proxy, struct nsproxy, mnt_ns);
	put32(OFFSET(mntns), kread(ns, struct mnt_namespace, ns.inum));
	ns = (u64)kread(proxy, struct nsproxy, net_ns);
	put32(OFFSET(netns), kread(ns, struct net, ns.inum));
	bpf_probe_read_kernel(OFFSET(comm), 16,
			      (void *)leader + bpf_core_field_offset(struct task_struct, comm));

	if (mm)
		exe = (u64)kread(mm, struct mm_struct, exe_file);
	if (exe) {
		u64 inode = (u64)kread(exe, struct file, f_inode);
		u64 super = (u64)kread(inode, struct inode, i_sb);
		u64 dentry = (u64)kread(exe, struct file, f_path.dentry);
		u32 flags = file__flags(inode, dentry, kread(super, struct super_block, s_magic));

		if (inode__writable(inode, super, cred, caps))
			flags |= EXE_WRITABLE;
		put64(OFFSET(exe_ino), kread(inode, struct inode, i_ino));
		put32(OFFSET(exe_dev), kread(super, struct super_block, s_dev));
		put64(OFFSET(exe_ctime), inode__ctime(inode));
		put64(OFFSET(exe_mtime), inode__mtime(inode));
		put32(OFFSET(exe_flags), flags);
	} else {
		put64(OFFSET(exe_ino), 0);
		put32(OFFSET(exe_dev), 0);
		put64(OFFSET(exe_ctime), 0);
		put64(OFFSET(exe_mtime), 0);
		put32(OFFSET(exe_flags), 0);
	}
#undef OFFSET
	sample__section(s, p, SECTION_PROC, sizeof(struct sample_proc));
	return 0;
}

/* Adds SECTION_EXE, SECTION_CWD and what is in user memory. The memory is that of the
 * current task: that of task, or, for a fork, of the parent it is a copy of.
 */
__noinline int snapshot__image(struct scratch *s)
{
	u64 task, mm, exe, fs;

	if (!s)
		return 0;
	task = s->task;
	mm = (u64)kread(task, struct task_struct, mm);
	fs = (u64)kread(task, struct task_struct, fs);
	if (!mm || !fs)
		return 0; /* a kernel thread */
	exe = (u64)kread(mm, struct mm_struct, exe_file);
	if (exe) {
		u64 dentry = (u64)kread(exe, struct file, f_path.dentry);
		u64 vfsmount = (u64)kread(exe, struct file, f_path.mnt);

		file__path(s, dentry, vfsmount, (u64)kread(exe, struct file, f_inode), SECTION_EXE);
	}
	sample__user(s, kread(mm, struct mm_struct, arg_start),
		     kread(mm, struct mm_struct, arg_end), MAX_ARGS, SECTION_ARGS);
	sample__user(s, kread(mm, struct mm_struct, env_start),
		     kread(mm, struct mm_struct, env_end), MAX_ENV, SECTION_ENV);
	path__append(s, (u64)kread(fs, struct fs_struct, pwd.dentry),
		     (u64)kread(fs, struct fs_struct, pwd.mnt), SECTION_CWD);
	return 0;
}

static __always_inline u64 kernfs__parent(u64 node)
{
	if (bpf_core_field_exists(((struct kernfs_node *)0)->__parent))
		return (u64)kread(node, struct kernfs_node, __parent);
	return (u64)kread(node, struct kernfs_node___v6_14, parent);
}

struct descent {
	struct scratch *s;
	u32 depth, len;
};

/* Appends the name of the next node on the way down. */
static long cgroup__step(u32 i, void *ctx)
{
	struct descent *d = ctx;
	struct scratch *s = d->s;
	u32 at = s->len + sizeof(struct section) + d->len;
	u64 node;
	long n;

	if (i >= d->depth || d->len > MAX_STRING)
		return 1;
	node = s->nodes[(d->depth - 1 - i) & (MAX_CGROUP_DEPTH - 1)];
	if (at > SAMPLE_MASK)
		return 1;
	at &= SAMPLE_MASK;
	s->sample[at] = '/';
	n = bpf_probe_read_kernel_str(s->sample + at + 1, MAX_NAME + 1,
				      kread(node, struct kernfs_node, name));
	if (n > 0)
		d->len += n; /* the slash replaces the terminating NUL in the count */
	return 0;
}

/* Adds the path of a cgroup, whose node is s->object, in its hierarchy. */
__noinline int cgroup__emit(struct scratch *s, u32 tag)
{
	struct descent d = { .s = s };
	u64 node;
	u8 *p;

	if (!s)
		return 0;
	p = sample__payload(s);
	if (!p)
		return 0;
	p[0] = '/';
	node = s->object;
	for (u32 i = 0; i < MAX_CGROUP_DEPTH; i++) {
		u64 parent = node ? kernfs__parent(node) : 0;

		if (!parent)
			break;
		s->nodes[i] = node;
		d.depth = i + 1;
		node = parent;
	}
	if (d.depth == MAX_CGROUP_DEPTH && node && kernfs__parent(node))
		s->flags |= SAMPLE_TRUNCATED;
	bpf_loop(MAX_CGROUP_DEPTH, cgroup__step, &d, 0);
	sample__section(s, p, tag, d.len ? d.len : 1);
	return 0;
}

/* The node of the cgroup of a css_set in the default hierarchy. */
static __always_inline u64 cgroup__node(u64 set)
{
	u64 cgroup = (u64)kread(set, struct css_set, dfl_cgrp);

	return (u64)kread(cgroup, struct cgroup, kn);
}

/* The node of the cgroup of a css_set in the hierarchy of the first v1 controller that
 * has it in another cgroup than the root, or 0.
 */
static __always_inline u64 cgroup__node_v1(u64 set)
{
	u32 n = bpf_core_field_size(((struct css_set *)0)->subsys) / sizeof(u64);
	u64 cgroup = (u64)kread(set, struct css_set, dfl_cgrp), node;
	u64 root = (u64)kread(cgroup, struct cgroup, root);

	for (u32 i = 0; i < 16; i++) {
		u64 css = 0;

		if (i >= n)
			break;
		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
					      i * sizeof(u64));
		if (!css)
			continue;
		cgroup = (u64)kread(css, struct cgroup_subsys_state, cgroup);
		if ((u64)kread(cgroup, struct cgroup, root) == root)
			continue;
		node = (u64)kread(cgroup, struct cgroup, kn);
		if (kernfs__parent(node))
			return node;
	}
	return 0;
}

/* Adds the cgroups of the task. */
__noinline int snapshot__cgroups(struct scratch *s)
{
	u64 set;

	if (!s)
		return 0;
	set = (u64)kread(s->task, struct task_struct, cgroups);
	s->object = cgroup__node(set);
	cgroup__emit(s, SECTION_CGROUP);
	s->object = cgroup__node_v1(set);
	if (s->object)
		cgroup__emit(s, SECTION_CGROUP_V1);
	return 0;
}

/* Adds the ancestors, parent first. */
__noinline int snapshot__lineage(struct scratch *s)
{
	u64 leader;
	u32 len = 0;
	u8 *p;

	if (!s)
		return 0;
	p = sample__payload(s);
	if (!p)
		return 0;
	leader = s->leader;
	for (u32 i = 0; i < MAX_ANCESTORS; i++) {
		u8 *a = p + i * sizeof(struct sample_ancestor);
		u32 pid;

		leader = (u64)kread(leader, struct task_struct, real_parent);
		leader = (u64)kread(leader, struct task_struct, group_leader);
		pid = kread(leader, struct task_struct, pid);
		if (!leader || !pid) /* the idle task is its own parent */
			break;
		put64(a + offsetof(struct sample_ancestor, start),
		      kread(leader, struct task_struct, start_boottime));
		put32(a + offsetof(struct sample_ancestor, pid), pid);
		bpf_probe_read_kernel(a + offsetof(struct sample_ancestor, comm), 16,
				      (void *)leader +
					      bpf_core_field_offset(struct task_struct, comm));
		len += sizeof(struct sample_ancestor);
	}
	sample__section(s, p, SECTION_LINEAGE, len);
	return 0;
}

/* Adds all sections of a snapshot to a sample whose header is written. */
static __always_inline void snapshot__append(struct scratch *s, struct task_struct *leader,
					     struct task_struct *task)
{
	path__root(s, task);
	s->leader = (u64)leader;
	s->task = (u64)task;
	snapshot__proc(s);
	snapshot__image(s);
	snapshot__cgroups(s);
	snapshot__lineage(s);
}

#endif
