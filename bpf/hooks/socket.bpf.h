/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* connect, accept, bind, listen: both ends of the socket and the address argument. */
#ifndef WINDHOVER_HOOKS_SOCKET_H
#define WINDHOVER_HOOKS_SOCKET_H

#include "../lib/socket.h"

/* Adds the sockaddr at user address from. */
static __always_inline void socket__address(struct scratch *s, u64 from, s32 size)
{
	u32 len = size;
	u8 *p = sample__payload(s);

	if (!p || !from || size <= 0)
		return;
	if (len > MAX_SOCKADDR) {
		len = MAX_SOCKADDR;
		s->flags |= SAMPLE_TRUNCATED;
	}
	barrier_var(len);
	if (len > MAX_SOCKADDR)
		return;
	if (bpf_probe_read_user(p, len, (const void *)from)) {
		s->flags |= SAMPLE_FAULTED;
		return;
	}
	sample__section(s, p, SECTION_ADDR, len);
}

/* Adds the sections of a socket event, whose arguments are in the sample, and sends it. */
static __always_inline void socket__report(struct scratch *s, struct task_struct *task, u32 type,
					   s64 ret)
{
	const volatile struct descriptor *d = &descriptors[type];
	u32 traits = d->traits, role = ROLE_NONE;
	u64 *args = sample__args(s), file;

	if (d->addr)
		socket__address(s, args[1], args[2]);
	if (traits & TRAIT_CLIENT)
		role = ROLE_CLIENT;
	else if (traits & TRAIT_SERVER)
		role = ROLE_SERVER;
	file = task__file(task, d->object == OBJECT_RET ? ret : args[0]);
	if (file)
		object__append(s, file, role);
	sample__send(s, type, LANE_BULK);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(socket, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 type = slots[task__slot(task, regs) & (NUM_SLOTS - 1)] & SLOT_TYPE;
	struct scratch *s =
		collect__begin(task, regs, type, LANE_BULK, descriptors[type].nargs & 7, ret);

	if (s)
		socket__report(s, task, type, ret);
	return 0;
}

/* The way in which i386 had all socket calls before Linux 4.3: a number, and a pointer
 * to the arguments.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(socketcall, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 args[6];
	u32 words[4] = {}, slot, type, n;
	struct scratch *s;

	task__args(args, regs, task__abi(task, regs));
	slot = socketcalls[args[0] & 31];
	if (args[0] > 31 || !(slot & SLOT_WANTED))
		return 0;
	type = slot & SLOT_TYPE;
	n = descriptors[type].nargs & 7;
	s = collect__begin(task, regs, type, LANE_BULK, n, ret);
	if (!s)
		return 0;
	if (bpf_probe_read_user(words, n <= 4 ? n * sizeof(u32) : sizeof(words),
				(const void *)args[1]))
		s->flags |= SAMPLE_FAULTED;
	for (u32 i = 0; i < 4; i++)
		sample__args(s)[i] = words[i];
	socket__report(s, task, type, ret);
	return 0;
}

#endif
