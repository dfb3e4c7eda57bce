/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* THE CONTRACT between the kernel side and user space: what a sample looks like.
 *
 * A sample is one record of a ring buffer: struct sample, then nargs raw system
 * call arguments of 8 bytes, then sections until the end of the record. A section
 * is struct section and len bytes of payload; nothing is aligned or padded, numbers
 * are in the byte order of the host. Strings carry no terminating NUL.
 *
 * The Go side is receiver/syscallreceiver/decode.go; event_types.h is generated
 * from the event table (internal/event/table.go).
 */
#ifndef WINDHOVER_EVENT_H
#define WINDHOVER_EVENT_H

#include "event_types.h"

/* What is special about some types, beyond their rows in the event table:
 *
 * procinfo: a process announces itself, before its first event and again before the
 *   next one after it changed. Also a fork by the kernel itself; the snapshot then is
 *   that of the new process.
 * execve, execveat: a successful exec has no arguments; SECTION_STR0 or STR1 is the
 *   file name as the kernel resolved the descriptor (/dev/fd/3/name). Always sent, with a
 *   snapshot. A failed one is sent only if wanted, as any other call. On x86 an execveat
 *   with an absolute path or AT_FDCWD shows as execve when it succeeds.
 * clone, clone3, fork, vfork: header and arguments are the caller's, ret is the ID of the
 *   new process or thread in the initial PID namespace, the snapshot is that of the new
 *   process. It goes to the shard of the new process, so that it precedes its events. A
 *   new thread has no snapshot and is sent only if wanted. Argument 0 of
 *   clone3 is the flags, not the pointer to struct clone_args.
 * openat2: arguments 2, 3, 4 are flags, mode and resolve of struct open_how.
 * chdir, chroot: after success SECTION_FILE and SECTION_PATH are the new directory; a
 *   new root's path is as seen from the root of the mount namespace. There is no
 *   SECTION_BASE then: the directory before is not known any more.
 * connect, bind, listen, accept through socketcall(2): as if called directly.
 */

/* Samples travel in two lanes, each with rings of its own, so that a flood in the
 * bulk lane cannot push out what is in the reserved one.
 */
enum lane { LANE_BULK = 0, LANE_RESERVED = 1, NUM_LANES = 2 };

/* Why a wanted event was lost in the kernel. */
enum drop_reason {
	DROP_RING_FULL = 0, /* the ring of its shard and lane had no room */
	DROP_TOO_LARGE = 1, /* the sample did not fit the scratch memory */
	DROP_NO_SCRATCH = 2, /* scratch memory in use by the program that was interrupted */
	NUM_DROP_REASONS = 3
};

enum sample_flag {
	SAMPLE_TRUNCATED = 1 << 0, /* a string, path or vector exceeded its limit */
	SAMPLE_FAULTED = 1 << 1, /* some user memory could not be read */
	SAMPLE_COMPAT32 = 1 << 2, /* 32-bit system call table */
	SAMPLE_X32 = 1 << 3, /* x32 system call number */
	SAMPLE_URING = 1 << 4, /* through io_uring */
	SAMPLE_INCOMPLETE = 1 << 5, /* a path walk stopped before the root */
};

struct sample {
	__u64 time; /* ns since boot (CLOCK_BOOTTIME) */
	__u64 start; /* start of the thread group leader, ns since boot: identity with pid */
	__s64 ret; /* return value of the call; exit code (as wait status) for EVENT_PROCEXIT */
	__u32 pid, tid; /* thread group and thread, in the initial PID namespace */
	__u32 uid, gid; /* effective, in the initial user namespace */
	__u16 type; /* enum event_type */
	__u16 flags; /* enum sample_flag */
	__u16 cpu;
	__u8 nargs;
	__u8 reserved;
} __attribute__((packed));

struct section {
	__u8 tag; /* enum section_tag */
	__u8 reserved;
	__u16 len; /* bytes of payload that follow */
} __attribute__((packed));

enum section_tag {
	/* 0..5: the user string that argument 0..5 points to */
	SECTION_STR0 = 0,
	/* absolute directory that the first, second path argument is relative to;
	 * absent if that argument is absolute */
	SECTION_BASE = 8,
	SECTION_BASE2 = 9,
	SECTION_FILE = 10, /* struct sample_file */
	SECTION_PATH = 11, /* absolute resolved path of that file */
	SECTION_SOCK = 12, /* struct sample_sock */
	SECTION_LOCAL_PATH = 13, /* unix socket: name of this end; abstract: leading NUL */
	SECTION_REMOTE_PATH = 14, /* unix socket: name of the other end */
	SECTION_ADDR = 15, /* struct sockaddr argument as the caller passed it, cut to its length */
	SECTION_DATA = 16, /* other bytes: see the event's row in the table */
	SECTION_TRACE = 17, /* struct sample_trace: what the thread worked for, if that is known */

	/* snapshot of a process, in EVENT_PROCINFO, exec and fork samples */
	SECTION_PROC = 32, /* struct sample_proc */
	SECTION_EXE = 33, /* absolute path of the executable */
	SECTION_ARGS = 34, /* argument vector, NUL separated, argv[0] first */
	SECTION_ENV = 35, /* environment, NUL separated */
	SECTION_CWD = 36, /* absolute path of the working directory */
	SECTION_CGROUP = 37, /* path of the cgroup in the default (v2) hierarchy */
	SECTION_CGROUP_V1 =
		38, /* path in the hierarchy of the first v1 controller, if it is not "/" */
	SECTION_LINEAGE = 39, /* struct sample_ancestor[], parent first */
};

struct sample_file {
	__u64 ino;
	__u32 dev; /* s_dev: major << 20 | minor */
	__u32 mode; /* i_mode */
	__u32 flags; /* enum file_flag */
} __attribute__((packed));

/* internal/event.FileFlags */
enum file_flag {
	FILE_UPPER = 1 << 0,
	FILE_LOWER = 1 << 1,
	FILE_CREATED = 1 << 2,
	FILE_MEMFD = 1 << 3,
	FILE_DELETED = 1 << 4,
};

struct sample_sock {
	__u64 ino;
	__u16 family, type, proto; /* AF_*, SOCK_*, IPPROTO_* */
	__u8 state; /* TCP state */
	__u8 role; /* internal/event.Role */
	__u16 local_port, remote_port; /* host byte order */
	__u8 local_ip[16], remote_ip[16]; /* AF_INET: the first 4 bytes */
} __attribute__((packed));

/* A member of all zeros is not known. The layout is that of the map that programs for
 * tracing share; see struct traces.
 */
struct sample_trace {
	__u8 trace_id[16], span_id[8];
} __attribute__((packed));

struct sample_proc {
	__u64 parent_start; /* identity of the parent with ppid */
	__u64 cap_inheritable, cap_permitted, cap_effective;
	__u64 exe_ino, exe_ctime, exe_mtime; /* times: ns since the Unix epoch */
	__u64 pidns_init_start; /* ns since boot */
	__u32 exe_dev, exe_flags; /* enum file_flag | EXE_WRITABLE */
	__u32 pid, tid; /* of the process described: not the current one for a fork */
	__u64 start;
	__s32 ppid, sid, pgid;
	__s32 vpid, vtid, vpgid, vsid; /* in the PID namespace of the process */
	__u32 uid, gid, euid, egid, loginuid;
	__u32 tty; /* device number as in /proc/PID/stat */
	__u32 pidns, mntns, netns; /* inode numbers */
	__u32 thread_flags; /* reserved */
	__u8 comm[16];
} __attribute__((packed));

#define EXE_WRITABLE (1U << 16) /* in exe_flags: the process may write to its executable */

struct sample_ancestor {
	__u64 start;
	__u32 pid;
	__u8 comm[16];
} __attribute__((packed));

#endif
