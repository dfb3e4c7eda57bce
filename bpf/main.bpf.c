//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Table of contents of the kernel side. Read include/event.h first: what a sample is;
 * then hooks/dispatch.bpf.h, which every system call passes.
 *
 * dispatch, exec, fork and exit are attached; dispatch tail-calls the others.
 */
#include "hooks/dispatch.bpf.h"
#include "hooks/generic.bpf.h"
#include "hooks/open.bpf.h"
#include "hooks/process.bpf.h"
#include "hooks/socket.bpf.h"
#include "lib/losers.h"

/* The verifier admits the helpers used here to programs under a GPL-compatible licence. */
char LICENSE[] SEC("license") = "GPL";
