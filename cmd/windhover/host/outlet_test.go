package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/windhover/windhover/config"
	"github.com/windhover/windhover/internal/ledger"
)

// words is what the outlets of these tests carry: each word is an item, its length its size.
type words []string

func measureWords(ws words) (items int, bytes int64) {
	for _, w := range ws {
		bytes += int64(len(w))
	}
	return len(ws), bytes
}

func outletOf(limit config.QueueConfig, consume func(context.Context, words) error) *outlet[words] {
	return newOutlet("test", limit, zap.NewNop(), consume, measureWords)
}

func same(ws words) func(int) words { return func(int) words { return ws } }

var roomy = config.QueueConfig{Items: 100, Bytes: 1000}

func TestSendReturnsWhatExportersAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errFull := errors.New("full")
		good := outletOf(roomy, func(context.Context, words) error { return nil })
		bad := outletOf(roomy, func(context.Context, words) error { return errFull })
		outlets := []*outlet[words]{good, bad}
		for _, o := range outlets {
			go o.run(t.Context())
		}
		if err := send(outlets, same(words{"a", "b"})); !errors.Is(err, errFull) {
			t.Errorf("send = %v, want %v", err, errFull)
		}
		want := []ledger.OutletStats{{Exporter: "test", Signal: "logs", Taken: 2}, {Exporter: "test", Signal: "logs", Failed: 2}}
		got := []ledger.OutletStats{good.stats("logs"), bad.stats("logs")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
		for _, o := range outlets {
			o.close()
		}
	})
}

func TestExporterThatBlocksHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var taken []words
		blocked := outletOf(config.QueueConfig{Items: 3, Bytes: 1000}, func(_ context.Context, ws words) error {
			<-release
			taken = append(taken, ws)
			return nil
		})
		others := 0
		free := outletOf(roomy, func(context.Context, words) error { others++; return nil })
		outlets := []*outlet[words]{blocked, free}
		for _, o := range outlets {
			go o.run(t.Context())
		}

		start := time.Now()
		var refused int
		for range 10 {
			if err := send(outlets, same(words{"x"})); err != nil {
				if !errors.Is(err, errOutletFull) {
					t.Errorf("send = %v, want %v", err, errOutletFull)
				}
				refused++
			}
		}
		// Only the first batch is waited for.
		if got := time.Since(start); got != patience {
			t.Errorf("ten batches took %v, want %v", got, patience)
		}
		synctest.Wait()
		if others != 10 {
			t.Errorf("the other exporter got %d batches, want 10", others)
		}
		want := ledger.OutletStats{Exporter: "test", Signal: "logs", Items: 3, Bytes: 3, Refused: 7}
		if diff := cmp.Diff(want, blocked.stats("logs")); diff != "" || refused != 7 {
			t.Errorf("stats of the one that blocks, %d refused (-want +got):\n%s", refused, diff)
		}

		close(release)
		synctest.Wait()
		if len(taken) != 3 {
			t.Errorf("released, it took %d batches, want the 3 that waited", len(taken))
		}
		// It is waited for again.
		if err := send(outlets, same(words{"y"})); err != nil || len(taken) != 4 {
			t.Errorf("after it recovered: send = %v and it took %d batches, want nil and 4", err, len(taken))
		}
		for _, o := range outlets {
			o.close()
		}
	})
}

func TestOutletIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	o := outletOf(config.QueueConfig{Items: 100, Bytes: 10}, nil)
	for i, tt := range []struct {
		batch words
		want  error
	}{
		{words{"longer than all that may wait"}, nil}, // alone it is taken
		{words{"x"}, errOutletFull},
	} {
		if _, err := o.offer(tt.batch); !errors.Is(err, tt.want) {
			t.Errorf("offer %d: %v, want %v", i, err, tt.want)
		}
	}
}

func TestOutletGivesUpWhatItCannotDeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := outletOf(roomy, func(ctx context.Context, _ words) error {
			<-ctx.Done()
			return ctx.Err()
		})
		left := make(chan int)
		go func() { left <- o.run(ctx) }()
		for range 3 {
			if err := send([]*outlet[words]{o}, same(words{"a", "b"})); err != nil {
				t.Fatal(err)
			}
		}
		o.close()
		cancel()
		if got := <-left; got != 4 {
			t.Errorf("left %d, want the 4 that waited behind the one that was cancelled", got)
		}
		if got := o.stats("logs"); got.Failed != 6 || got.Items != 0 {
			t.Errorf("stats = %+v, want 6 failed and none waiting", got)
		}
		if _, err := o.offer(words{"late"}); !errors.Is(err, errOutletClosed) {
			t.Errorf("offer after the end = %v, want %v", err, errOutletClosed)
		}
	})
}
