//go:build unix

package falcojsonexporter

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onSignal calls f on every SIGUSR1 until stop returns.
func onSignal(f func()) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-signals:
				f()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
	}
}
