/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps and constants that programs and user space share. Layouts are mirrored in
 * probe.go; a test compares them.
 */
#ifndef WINDHOVER_MAPS_H
#define WINDHOVER_MAPS_H

#include "kernel.h"
#include "event.h"

/* Slots of system calls: ABI * 512 + number; see syscalls.go. */
#define NUM_SLOTS  2048
#define OTHER_SLOT (NUM_SLOTS - 1)
enum abi { ABI_64 = 0, ABI_32 = 1, ABI_X32 = 2 };

/* A word per slot: the event type, and what is to be done when the call returns. */
#define SLOT_TYPE     0x01ff
#define SLOT_IDENTITY 0x4000 /* success changes what a snapshot holds */
#define SLOT_WANTED   0x8000 /* report it */
u16 slots[NUM_SLOTS];

/* The same for the calls of i386's socketcall(2), by their number. */
u16 socketcalls[32];

/* How a type is collected: its row of the event table. */
struct descriptor {
	u8 nargs;
	u8 lane;
	u8 strings; /* bit i: argument i is a string */
	u8 object; /* descriptor of the object: 1 + argument, OBJECT_RET or 0 */
	u8 addr; /* 1 + argument that points to a sockaddr, or 0 */
	u8 path[2]; /* 1 + argument that is a path relative to dir, or 0 */
	u8 dir[2]; /* 1 + argument, or 0 for the working directory */
	u8 traits; /* enum trait */
};
#define OBJECT_RET 7
enum trait {
	TRAIT_ONLY_FAILED = 1 << 0, /* success is reported by a hook of the scheduler */
	TRAIT_PRCTL = 1 << 1, /* argument 1 is a string for PR_SET_NAME only */
	TRAIT_CHDIR = 1 << 2, /* report the new working directory */
	TRAIT_CHROOT = 1 << 3, /* report the new root */
	TRAIT_OPEN_HOW = 1 << 4, /* argument 2 points to struct open_how */
	TRAIT_CLIENT = 1 << 5, /* the caller is the client of the connection */
	TRAIT_SERVER = 1 << 6, /* the caller is the server of the connection */
	TRAIT_CLONE_ARGS = 1 << 7, /* argument 0 points to struct clone_args */
};
const volatile struct descriptor descriptors[MAX_TYPES];

/* Where user space wants to be woken; see ring__send. */
const volatile u32 num_shards = 1;
const volatile u32 wake_bytes = 65536;

#define MAX_SHARDS 64

/* Programs by event type, tail-called by dispatch. */
#define PROGRAM_ANNOUNCE 0
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, MAX_TYPES);
	__type(key, u32);
	__type(value, u32);
} programs SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
};

/* By shard * NUM_LANES + lane; filled when the programs are loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SHARDS *NUM_LANES);
	__type(key, u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* What the bulk lane of a shard and its reader know of each other. */
struct reader {
	u64 asleep; /* not 0 while it waits without looking at the bulk ring */
	u64 unseen; /* bytes sent since it was last woken, about */
	u64 reserved[6];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_SHARDS);
	__type(key, u32);
	__type(value, struct reader);
} readers SEC(".maps");

/* By CPU, in memory that user space maps: reading counters takes no system call. */
struct counters {
	u64 syscalls[NUM_SLOTS];
	u64 produced[MAX_TYPES]; /* wanted events, sent or dropped */
	u64 dropped[MAX_TYPES][NUM_LANES][NUM_DROP_REASONS];
	u64 own; /* discarded: caused by the process that reads the rings */
	u64 current_task; /* where this CPU's current task is; see task__current */
	u64 unattributed; /* dropped, and counted in no entry of losers */
	u64 reserved[5];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set to the number of CPUs */
	__type(key, u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* Who lost events, by cgroup. An entry is made by the first loss, which looks up the
 * paths of the cgroup: when somebody reads them it may be gone.
 */
#define MAX_LOSERS 512
struct loser {
	u64 dropped;
	u32 len; /* of the sections; more than there is room for: they are cut */
	u32 reserved;
	u8 sections[496]; /* SECTION_CGROUP and SECTION_CGROUP_V1 as in a sample */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOSERS);
	__type(key, u64); /* see losers__key */
	__type(value, struct loser);
} losers SEC(".maps");

/* Which trace a thread works for: a map of OpenTelemetry eBPF instrumentation, pinned
 * in the file system of BPF as otel/traces_ctx_v1. The key is thread group << 32 |
 * thread, in the initial PID namespace. User space puts it here when it appears.
 */
struct traces {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16); /* the real one may have any number */
	__uint(key_size, sizeof(u64));
	__uint(value_size, sizeof(struct sample_trace));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct traces);
} trace_slot SEC(".maps");

/* Whether trace_slot may ever be filled; if not, the verifier removes the look-up. */
const volatile bool trace_context = false;

/* What is known of a thread group, in the storage of its leader. */
struct mark {
	/* A snapshot is current while announced == changed + 1. Two words, so that a
	 * change while a snapshot is on its way is not lost.
	 */
	u32 changed, announced;
	u32 exited; /* its end was reported */
	u32 own; /* the process that reads the rings: not reported */
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct mark);
} marks SEC(".maps");

#endif
