/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The current task, its system call and what is known of its thread group. */
#ifndef WINDHOVER_LIB_TASK_H
#define WINDHOVER_LIB_TASK_H

#include "counters.h"

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT       0x0002
#define X32_SYSCALL_BIT 0x40000000
#elif defined(__TARGET_ARCH_arm64)
#define PSR_MODE32_BIT 0x10
#endif

/* Finds where the run queue of this CPU has its current task, or 0. */
static __always_inline u64 task__find_current(struct task_struct *task)
{
	struct rq *rq;

	if (!bpf_core_field_exists(((struct sched_entity *)0)->cfs_rq) ||
	    !bpf_core_field_exists(((struct cfs_rq *)0)->rq))
		return 0;
	rq = task->se.cfs_rq->rq;
	if ((u64)rq->curr != (u64)task || (u32)rq->cpu != bpf_get_smp_processor_id())
		return 0;
	return (u64)rq + bpf_core_field_offset(struct rq, curr);
}

/* The current task, to read from only. A helper call costs more than all else that is
 * done for a call that nobody wants (return thunks), so the pointer is loaded from the
 * run queue once that is known.
 */
static __always_inline struct task_struct *task__current(struct counters *c)
{
	struct task_struct *task;

	if (has_cast && c && c->current_task)
		return bpf_rdonly_cast((void *)load64(c->current_task),
				       bpf_core_type_id_kernel(struct task_struct));
	task = bpf_get_current_task_btf();
	if (has_cast && c)
		c->current_task = task__find_current(task);
	return task;
}

/* The table that the current system call was made through, as sample flags. The code
 * segment does not tell: 64-bit code may use the 32-bit table by int 0x80.
 */
static __always_inline u32 task__abi(struct task_struct *task, struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & TS_COMPAT)
		return SAMPLE_COMPAT32;
	if (regs->orig_ax & X32_SYSCALL_BIT)
		return SAMPLE_X32;
#else
	if (regs->pstate & PSR_MODE32_BIT)
		return SAMPLE_COMPAT32;
#endif
	return 0;
}

/* The slot of the current system call. Its number survives until the call returns,
 * an exec included: the kernel sets it to that of execve in the new program's table.
 */
static __always_inline u32 task__slot(struct task_struct *task, struct pt_regs *regs)
{
	u32 abi = task__abi(task, regs);
#if defined(__TARGET_ARCH_x86)
	u32 nr = regs->orig_ax;

	if (abi == SAMPLE_X32) {
		nr = 2 * 512 + (nr & ~X32_SYSCALL_BIT);
		return nr < OTHER_SLOT ? nr : OTHER_SLOT;
	}
#else
	u32 nr = regs->syscallno;
#endif
	if (nr >= 512)
		return OTHER_SLOT;
	return abi ? 512 + nr : nr;
}

/* Sets args to the arguments of the current system call. */
static __always_inline void task__args(u64 *args, struct pt_regs *regs, u32 abi)
{
#if defined(__TARGET_ARCH_x86)
	if (abi == SAMPLE_COMPAT32) {
		args[0] = (u32)regs->bx;
		args[1] = (u32)regs->cx;
		args[2] = (u32)regs->dx;
		args[3] = (u32)regs->si;
		args[4] = (u32)regs->di;
		args[5] = (u32)regs->bp;
		return;
	}
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
#else
	args[0] = regs->orig_x0; /* x0 holds the return value by now */
	args[1] = regs->regs[1];
	args[2] = regs->regs[2];
	args[3] = regs->regs[3];
	args[4] = regs->regs[4];
	args[5] = regs->regs[5];
#endif
}

/* The open file behind descriptor fd of the current task, or 0. */
static __always_inline u64 task__file(struct task_struct *task, s32 fd)
{
	struct fdtable *table = task->files->fdt;

	if (fd < 0 || (u32)fd >= table->max_fds)
		return 0;
	return load64((u64 *)table->fd + fd);
}

static __always_inline bool mark__announced(const struct mark *m)
{
	return m && m->announced == m->changed + 1;
}

static __always_inline bool mark__own(const struct mark *m)
{
	return m && m->own;
}

#endif
