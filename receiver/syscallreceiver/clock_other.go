//go:build !linux

package syscallreceiver

// bootOffset is not used without a kernel side: replayed samples bring their own.
func bootOffset() int64 { return 0 }
