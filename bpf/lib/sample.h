/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Builds a sample in scratch memory and sends it: begin, header, sections, send.
 *
 * Whoever has begun must end with sample__send or sample__abandon on every path.
 * Functions that are not inlined are verified once, on their own.
 */
#ifndef WINDHOVER_LIB_SAMPLE_H
#define WINDHOVER_LIB_SAMPLE_H

#include "counters.h"
#include "task.h"

#define MAX_STRING       4096 /* strings and paths */
#define MAX_ARGS         8192 /* argument vector */
#define MAX_ENV          4096 /* environment */
#define MAX_NAME         255 /* one name of a path */
#define MAX_CGROUP_DEPTH 32

/* A section starts at most here and is at most MAX_ARGS long, which is what lets the
 * verifier see that it stays inside.
 */
#define SAMPLE_MASK 0x7fff
#define SAMPLE_SIZE (SAMPLE_MASK + 1 + MAX_ARGS + 64)

struct scratch {
	u32 busy;
	u32 len; /* of the sample so far */
	u32 flags; /* enum sample_flag */
	u32 path_at; /* where the path that is being built backwards starts, or its length */
	u32 depth; /* of a path */
	u32 home; /* the thread group whose shard the sample goes to */
	u64 root_dentry, root_mnt; /* where a path ends */
	/* Arguments of functions that are verified on their own: only memory turns what
	 * the verifier knows as a pointer into the number that such a function may take.
	 */
	u64 dentry, vfsmount, inode, object, leader, task, mount, mount_root;
	u64 nodes[MAX_CGROUP_DEPTH];
	u8 path[MAX_STRING + MAX_NAME + 1];
	u8 sample[SAMPLE_SIZE];
};

/* By CPU: the value is larger than a per-CPU array may hold. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set to the number of CPUs */
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Counts a drop for the cgroup of the current task; see losers.h. The sample in s, if
 * there is one, is overwritten.
 */
int losers__count(struct scratch *s);

/* Samples have no alignment that the compiler could know, but every architecture
 * here stores unaligned words at once.
 */
static __always_inline void put16(void *p, u16 v)
{
	*(u16 *)p = v;
}
static __always_inline void put32(void *p, u32 v)
{
	*(u32 *)p = v;
}
static __always_inline void put64(void *p, u64 v)
{
	*(u64 *)p = v;
}

static __always_inline u32 get32(const void *p)
{
	return *(const u32 *)p;
}

/* Returns scratch memory for a sample of type, or NULL, counted as a drop. */
static __always_inline struct scratch *sample__begin(u32 type, u32 lane)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);

	if (!s || s->busy) {
		losers__count(NULL);
		counters__produced(type);
		counters__dropped(type, lane, DROP_NO_SCRATCH);
		return NULL;
	}
	s->busy = 1;
	s->flags = 0;
	return s;
}

static __always_inline void sample__abandon(struct scratch *s)
{
	s->busy = 0;
}

/* Writes the header. The sample goes on after it and nargs arguments, which the
 * caller writes to sample__args.
 */
static __always_inline void sample__header(struct scratch *s, struct task_struct *task, u32 type,
					   s64 ret, u32 nargs)
{
	u8 *h = s->sample;
	const struct cred *cred = task->cred;

	put64(h + offsetof(struct sample, time), bpf_ktime_get_boot_ns());
	put64(h + offsetof(struct sample, start), task->group_leader->start_boottime);
	put64(h + offsetof(struct sample, ret), ret);
	put32(h + offsetof(struct sample, pid), task->tgid);
	put32(h + offsetof(struct sample, tid), task->pid);
	put32(h + offsetof(struct sample, uid), cred->euid.val);
	put32(h + offsetof(struct sample, gid), cred->egid.val);
	put16(h + offsetof(struct sample, type), type);
	put16(h + offsetof(struct sample, cpu), bpf_get_smp_processor_id());
	put16(h + offsetof(struct sample, nargs), nargs);
	s->home = task->tgid;
	s->len = sizeof(struct sample) + nargs * sizeof(u64);
}

static __always_inline u64 *sample__args(struct scratch *s)
{
	return (u64 *)(s->sample + sizeof(struct sample));
}

/* Returns where the payload of the next section goes, at most MAX_ARGS bytes, or NULL
 * if the sample is full. sample__section then makes the section.
 */
static __always_inline u8 *sample__payload(struct scratch *s)
{
	u32 at = s->len;

	if (at > SAMPLE_MASK) {
		s->flags |= SAMPLE_TRUNCATED;
		return NULL;
	}
	at &= SAMPLE_MASK;
	barrier_var(at);
	return s->sample + at + sizeof(struct section);
}

static __always_inline void sample__section(struct scratch *s, u8 *payload, u32 tag, u32 len)
{
	put32(payload - sizeof(struct section), tag | len << 16);
	s->len += sizeof(struct section) + len;
}

/* Adds the string at user address from. An address of 0 is no string. */
static __always_inline void sample__string_here(struct scratch *s, u64 from, u32 tag)
{
	u8 *p = sample__payload(s);
	long n;

	if (!p || !from)
		return;
	n = bpf_probe_read_user_str(p, MAX_STRING + 1, (const void *)from);
	if (n <= 0) {
		s->flags |= SAMPLE_FAULTED;
		return;
	}
	if (n > MAX_STRING)
		s->flags |= SAMPLE_TRUNCATED;
	sample__section(s, p, tag, n - 1);
}

__noinline int sample__string(struct scratch *s, u64 from, u32 tag)
{
	if (s)
		sample__string_here(s, from, tag);
	return 0;
}

/* Adds the string at kernel address from. */
static __always_inline void sample__kernel_string(struct scratch *s, const char *from, u32 tag)
{
	u8 *p = sample__payload(s);
	long n;

	if (!p)
		return;
	n = bpf_probe_read_kernel_str(p, MAX_STRING + 1, from);
	if (n <= 0)
		return;
	if (n > MAX_STRING)
		s->flags |= SAMPLE_TRUNCATED;
	sample__section(s, p, tag, n - 1);
}

/* Adds the bytes from start to end of user memory, at most limit. */
static __always_inline void sample__user(struct scratch *s, u64 start, u64 end, u32 limit, u32 tag)
{
	u64 len = end - start;
	u8 *p;

	if (!start || end <= start)
		return;
	p = sample__payload(s);
	if (!p)
		return;
	if (len > limit) {
		len = limit;
		s->flags |= SAMPLE_TRUNCATED;
	}
	barrier_var(len);
	if (len > limit)
		return;
	if (bpf_probe_read_user(p, len, (const void *)start)) {
		/* A page is not in memory: what is before it may be. */
		s->flags |= SAMPLE_FAULTED;
		len = 4096 - (start & 4095);
		barrier_var(len);
		if (len > limit || start + len >= end ||
		    bpf_probe_read_user(p, len, (const void *)start))
			return;
	}
	/* A vector is separated by NUL, not ended by it. */
	if (p[(len - 1) & (MAX_ARGS - 1)] == 0)
		len--;
	sample__section(s, p, tag, len);
}

/* Whether the section that was just made at payload is an absolute path. */
static __always_inline bool sample__starts_with_slash(struct scratch *s, u32 at)
{
	return s->sample[(at & SAMPLE_MASK) + sizeof(struct section)] == '/';
}

/* Adds the trace that the thread of the sample works for at this moment, if one is known. */
static __always_inline void sample__trace(struct scratch *s)
{
	u64 thread = (u64)get32(s->sample + offsetof(struct sample, pid)) << 32 |
		     get32(s->sample + offsetof(struct sample, tid));
	u32 first = 0;
	void *traces, *known;
	u8 *p;

	traces = bpf_map_lookup_elem(&trace_slot, &first);
	if (!traces)
		return;
	known = bpf_map_lookup_elem(traces, &thread);
	if (!known)
		return;
	p = sample__payload(s);
	if (!p)
		return;
	__builtin_memcpy(p, known, sizeof(struct sample_trace));
	sample__section(s, p, SECTION_TRACE, sizeof(struct sample_trace));
}

/* Sends the sample to its ring and returns whether it got there. A loss is counted.
 *
 * The reserved lane wakes its reader when that has caught up. The bulk lane wakes it
 * only after so many bytes: a wake-up costs the traced program several times what the
 * rest of an event does. The reader looks every few milliseconds; while it finds
 * nothing it says so in asleep and the next sample wakes it. CPUs that send to one
 * shard may lose what the other added to unseen: the reader looks in time anyway.
 */
static __always_inline bool sample__send(struct scratch *s, u32 type, u32 lane)
{
	/* User space computes the same: shardOf in receiver/syscallreceiver. */
	u32 shard = (u64)(s->home * 2654435761u) * num_shards >> 32;
	u32 key = shard * NUM_LANES + lane, len;
	struct reader *reader;
	u64 wakeup = 0;
	void *ring;
	bool sent = false;
	enum drop_reason reason = DROP_RING_FULL;

	if (trace_context)
		sample__trace(s);
	len = s->len;
	put16(s->sample + offsetof(struct sample, flags), s->flags);
	counters__produced(type);
	if (len > sizeof(s->sample)) {
		reason = DROP_TOO_LARGE;
		goto lost;
	}
	ring = bpf_map_lookup_elem(&rings, &key);
	if (!ring)
		goto lost;
	if (lane == LANE_BULK) {
		wakeup = BPF_RB_NO_WAKEUP;
		reader = bpf_map_lookup_elem(&readers, &shard);
		if (reader && ((reader->unseen += len) >= wake_bytes || reader->asleep)) {
			reader->unseen = 0;
			wakeup = BPF_RB_FORCE_WAKEUP;
		}
	}
	if (bpf_ringbuf_output(ring, s->sample, len, wakeup) == 0) {
		sent = true;
		goto done;
	}
lost:
	/* Whoever reads the counter first, then who lost, misses nobody. */
	losers__count(s);
	counters__dropped(type, lane, reason);
done:
	s->busy = 0;
	return sent;
}

#endif
