package k8sauditreceiver

import "testing"

func makePipe(tb testing.TB, _ string) {
	tb.Helper()
	tb.Skip("no named pipes in the file system")
}
