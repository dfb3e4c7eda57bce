/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What of the kernel the programs touch: types, constants and structures.
 *
 * Every structure holds only the members that are read and is relocated (CO-RE) to
 * the layout of the running kernel. A name after ___ is a flavour: how another
 * kernel version calls the same thing.
 */
#ifndef WINDHOVER_KERNEL_H
#define WINDHOVER_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true  1
#define false 0
#define NULL  ((void *)0)

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,

	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define AT_FDCWD          (-100)
#define AF_UNIX           1
#define AF_INET           2
#define AF_INET6          10
#define S_IFMT            0170000
#define S_IFSOCK          0140000
#define S_IFIFO           0010000
#define SB_RDONLY         1
#define PR_SET_NAME       15
#define TMPFS_MAGIC       0x01021994
#define OVERLAYFS_MAGIC   0x794c7630
#define ANON_INODE_MAGIC  0x09041934
#define PIPEFS_MAGIC      0x50495045
#define NSFS_MAGIC        0x6e736673
#define FMODE_CREATED     0x100000
#define PIDTYPE_PGID      2
#define PIDTYPE_SID       3
#define SIGNAL_GROUP_EXIT 0x00000004
#define CAP_DAC_OVERRIDE  1
/* i_ctime_nsec carries a mark in its top bit since Linux 6.13 (multigrain timestamps). */
#define CTIME_NSEC_MASK   0x7fffffff

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bp, bx, r10, r9, r8, cx, dx, si, di, ax, orig_ax;
};
struct thread_info {
	u32 status;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 pstate;
	u64 orig_x0;
	s32 syscallno;
};
#else
#error "unknown architecture"
#endif

struct super_block {
	u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
};

typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	u32 val;
} kgid_t;

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode {
	u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
	void *i_private;
	s64 i_mtime_sec, i_ctime_sec;
	u32 i_mtime_nsec, i_ctime_nsec;
};
struct inode___v6_7 {
	struct timespec64 __i_mtime;
};
struct inode___v6_6 {
	struct timespec64 __i_ctime;
};
struct inode___v5 {
	struct timespec64 i_mtime, i_ctime;
};

union shortname_store {
	unsigned long words[4];
};

struct qstr {
	u32 len;
	const u8 *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	union shortname_store d_shortname;
};
struct dentry___v6_13 {
	u8 d_iname[32];
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mnt_namespace;
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	u32 f_mode;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root, pwd;
};

struct proc_ns_operations {
	const char *name;
};

struct ns_common {
	const struct proc_ns_operations *ops;
	u32 inum;
};

struct task_struct;
struct pid_namespace {
	struct task_struct *child_reaper;
	struct ns_common ns;
};

struct upid {
	s32 nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct mnt_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct group_info {
	s32 ngroups;
	kgid_t gid[1];
};

/* One 64-bit number since Linux 6.3, two 32-bit words before: the same bytes. */
typedef struct {
	u64 val;
} kernel_cap_t;

struct user_namespace {
	s32 level;
};

struct cred {
	kuid_t uid, euid, fsuid;
	kgid_t gid, egid, fsgid;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective;
	struct group_info *group_info;
	struct user_namespace *user_ns;
};

struct tty_driver {
	s32 major, minor_start;
};

struct tty_struct {
	s32 index;
	struct tty_driver *driver;
};

typedef struct {
	s32 counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	s32 group_exit_code;
	u32 flags;
	struct pid *pids[4];
	struct tty_struct *tty;
};

struct mm_struct {
	struct file *exe_file;
	unsigned long arg_start, arg_end, env_start, env_end;
};

struct kernfs_node {
	struct kernfs_node *__parent;
	const char *name;
	u64 id;
};
struct kernfs_node___v6_14 {
	struct kernfs_node *parent;
};

struct cgroup_root;
struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct task_struct;
struct rq {
	struct task_struct *curr;
	s32 cpu;
};

/* These members are there with CONFIG_FAIR_GROUP_SCHED. */
struct cfs_rq {
	struct rq *rq;
};
struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct task_struct {
	struct sched_entity se;
#if defined(__TARGET_ARCH_x86)
	struct thread_info thread_info;
#endif
	s32 pid, tgid;
	s32 exit_code;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	const struct cred *cred, *real_cred;
	char comm[16];
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	kuid_t loginuid;
};

struct linux_binprm {
	const char *filename, *fdpath;
};

struct in6_addr {
	u8 in6_u[16];
};

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type, sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct inet_sock {
	__be32 inet_saddr;
	__be16 inet_sport;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	s32 len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
};

#pragma clang attribute pop

/* include/uapi: arguments in user memory, which no kernel version moves. */
struct open_how {
	u64 flags, mode, resolve;
};

/* Reads of kernel structures. With the cast (Linux 6.2) a read is one load; without
 * it, a call of bpf_probe_read_kernel. has_cast is set when the programs are loaded,
 * and the verifier removes the other half. Weak, so that the compiler does not take the
 * value for granted, yet loads it once per function.
 */
extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym __weak;
__weak const bool has_cast = true;

#define kread(object, type, member)                                                                \
	({                                                                                         \
		typeof(((type *)0)->member) value_;                                                \
		const void *object_ = (const void *)(object);                                      \
		if (has_cast)                                                                      \
			value_ = ((type *)bpf_rdonly_cast(object_, bpf_core_type_id_kernel(type))) \
					 ->member;                                                 \
		else                                                                               \
			bpf_core_read(&value_, sizeof(value_), &((type *)object_)->member);        \
		value_;                                                                            \
	})

/* The word at a kernel address: any type that begins with one will do. */
#define load64(address) ((u64)kread(address, struct timespec64, tv_sec))

#endif
