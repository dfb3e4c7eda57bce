// Package bpf is the kernel side of the system call source: BPF programs that report
// what a host does, and the code that loads them and reads their rings.
//
// include/event.h is the contract: what a sample is. On the Go side start with Load;
// the steps are Load, SetWanted, Attach, then Shard.Run on one goroutine per shard,
// Detach and Close. The programs are C, compiled to one committed object per
// architecture; main.bpf.c is their table of contents.
//
// The programs take Linux 5.17 (on arm64 6.0) with BTF, CAP_BPF and CAP_PERFMON. Every
// test in test/kernel passes on 6.1, 6.12 and 6.18 for amd64; the object for arm64 is
// built but was not run.
//
// On other systems than Linux the package builds and Load returns a typed error.
package bpf
