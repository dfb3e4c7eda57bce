package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/windhover/windhover/internal/instance"
)

// offsets keeps how far files were read, in a storage extension. An offset is written
// once the alerts of all events before it left the queue: after a crash an event can be
// seen twice, but not be missed.
type offsets struct {
	client  storage.Client
	known   []kept
	waiting []byte // not written yet …
	alerts  uint64 // … until so many alerts are answered
	written []byte
}

// kept is how far one file was read. A file is known by how it begins.
type kept struct {
	Path   string `json:"path"`
	Head   []byte `json:"head"`
	Offset int64  `json:"offset"`
}

const offsetsKey = "offsets"

func openOffsets(ctx context.Context, id component.ID, in *instance.Instance) (*offsets, error) {
	ext, ok := in.Host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("find extension %s: there is none; add it to extensions, in a collector also to service::extensions, or remove files::storage", id)
	}
	st, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("use extension %s: it stores nothing; use one such as file_storage", id)
	}
	client, err := st.GetClient(ctx, component.KindReceiver, in.Receiver.ID, "files")
	if err != nil {
		return nil, fmt.Errorf("open storage %s: %w", id, err)
	}
	o := &offsets{client: client}
	text, err := client.Get(ctx, offsetsKey)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &o.known)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read storage %s: %w", id, err), client.Close(ctx))
	}
	return o, nil
}

// restore sets the offset of a file that was read before.
func (o *offsets) restore(f *file) bool {
	for _, k := range o.known {
		if len(k.Head) > 0 && bytes.HasPrefix(f.head, k.Head) && (k.Offset <= f.info.Size() || f.inflater() != nil) {
			f.offset = k.Offset
			return true
		}
	}
	return false
}

// keep writes the offsets of files, as soon as that may be.
func (o *offsets) keep(open []*file, in *instance.Instance) error {
	if o.waiting == nil {
		text, err := encode(open)
		if err != nil || bytes.Equal(text, o.written) {
			return err
		}
		o.waiting, o.alerts = text, in.Alerts.Stats().Accepted
	}
	if in.Answered() < o.alerts {
		return nil
	}
	if err := o.client.Set(context.Background(), offsetsKey, o.waiting); err != nil {
		return err
	}
	o.written, o.waiting = o.waiting, nil
	return nil
}

// settleTime bounds how long close waits for alerts to be answered.
const settleTime = time.Second

// close writes the last offsets, if the alerts before them are answered in time.
func (o *offsets) close(open []*file, in *instance.Instance) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	last, err := encode(open)
	for err == nil && !bytes.Equal(o.written, last) {
		if err = o.keep(open, in); err != nil || bytes.Equal(o.written, last) {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			err = fmt.Errorf("wait for alerts: %w", ctx.Err())
		}
	}
	return errors.Join(err, o.client.Close(context.Background()))
}

func encode(open []*file) ([]byte, error) {
	list := make([]kept, 0, len(open))
	for _, f := range open {
		list = append(list, kept{f.path, f.head, f.offset})
	}
	return json.Marshal(list)
}
