/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Sockets: both ends, from the kernel's own structures. */
#ifndef WINDHOVER_LIB_SOCKET_H
#define WINDHOVER_LIB_SOCKET_H

#include "collect.h"

/* internal/event.Role */
enum role { ROLE_NONE = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };

#define MAX_SOCKADDR 128 /* sizeof(struct sockaddr_storage) */
#define SUN_PATH     2 /* offset of sun_path in struct sockaddr_un */

/* Adds the name of unix socket s->object: the resolved path of its file, or its
 * abstract name.
 */
__noinline int unix__emit(struct scratch *s, u32 tag)
{
	u64 sk, dentry, addr;
	u32 len;
	u8 *p;

	if (!s || !s->object)
		return 0;
	sk = s->object;
	dentry = (u64)kread(sk, struct unix_sock, path.dentry);
	if (dentry) {
		path__append(s, dentry, (u64)kread(sk, struct unix_sock, path.mnt), tag);
		return 0;
	}
	addr = (u64)kread(sk, struct unix_sock, addr);
	if (!addr)
		return 0;
	len = kread(addr, struct unix_address, len) - SUN_PATH;
	p = sample__payload(s);
	if (!p || !len || len > sizeof(((struct sockaddr_un *)0)->sun_path))
		return 0;
	barrier_var(len);
	len &= 127; /* for verifiers that do not see through the checks */
	if (bpf_probe_read_kernel(p, len,
				  (void *)addr + bpf_core_field_offset(struct unix_address, name) +
					  SUN_PATH))
		return 0;
	sample__section(s, p, tag, len);
	return 0;
}

static __always_inline void address__read(u8 *to, u64 sk, u32 offset, u32 len)
{
	put64(to, 0);
	put64(to + 8, 0);
	bpf_probe_read_kernel(to, len, (void *)sk + offset);
}

/* Adds struct sample_sock of the open file s->object and, for a unix socket, the names
 * of its ends.
 */
__noinline int socket__emit(struct scratch *s, u32 role)
{
	u64 file, sock, sk, inode;
	u16 family, port;
	u8 *p;

	if (!s)
		return 0;
	file = s->object;
	sock = (u64)kread(file, struct file, private_data);
	sk = (u64)kread(sock, struct socket, sk);
	p = sample__payload(s);
	if (!p || !sk)
		return 0;
	family = kread(sk, struct sock, __sk_common.skc_family);
#define OFFSET(member) (p + offsetof(struct sample_sock, member))
	inode = (u64)kread(file, struct file, f_inode);
	put64(OFFSET(ino), kread(inode, struct inode, i_ino));
	put16(OFFSET(family), family);
	put16(OFFSET(type), kread(sk, struct sock, sk_type));
	put16(OFFSET(proto), kread(sk, struct sock, sk_protocol));
	*OFFSET(state) = kread(sk, struct sock, __sk_common.skc_state);
	*OFFSET(role) = role;
	put16(OFFSET(local_port), 0);
	put16(OFFSET(remote_port), 0);
	if (family == AF_INET || family == AF_INET6) {
		/* skc_num is 0 for raw sockets and after a disconnect, inet_sport is not. */
		port = kread(sk, struct inet_sock, inet_sport);
		put16(OFFSET(local_port), __builtin_bswap16(port));
		port = kread(sk, struct sock, __sk_common.skc_dport);
		put16(OFFSET(remote_port), __builtin_bswap16(port));
	}
	if (family == AF_INET6) {
		address__read(OFFSET(local_ip), sk,
			      bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr), 16);
		address__read(OFFSET(remote_ip), sk,
			      bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr), 16);
	} else if (family == AF_INET) {
		address__read(OFFSET(local_ip), sk,
			      bpf_core_field_offset(struct inet_sock, inet_saddr), 4);
		address__read(OFFSET(remote_ip), sk,
			      bpf_core_field_offset(struct sock, __sk_common.skc_daddr), 4);
	} else {
		address__read(OFFSET(local_ip), sk, 0, 0);
		address__read(OFFSET(remote_ip), sk, 0, 0);
	}
#undef OFFSET
	sample__section(s, p, SECTION_SOCK, sizeof(struct sample_sock));
	if (family == AF_UNIX) {
		s->object = sk;
		unix__emit(s, SECTION_LOCAL_PATH);
		s->object = (u64)kread(sk, struct unix_sock, peer);
		unix__emit(s, SECTION_REMOTE_PATH);
	}
	return 0;
}

/* Adds what a descriptor refers to. */
static __always_inline void object__append(struct scratch *s, u64 file, u32 role)
{
	u64 inode = (u64)kread(file, struct file, f_inode);

	if ((kread(inode, struct inode, i_mode) & S_IFMT) == S_IFSOCK) {
		s->object = file;
		socket__emit(s, role);
	} else {
		file__append(s, (u64)kread(file, struct file, f_path.dentry),
			     (u64)kread(file, struct file, f_path.mnt), inode);
	}
}

#endif
