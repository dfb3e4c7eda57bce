package falcojsonexporter

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// file appends lines to a file.
type file struct {
	config *FileConfig
	f      *os.File
	size   int64
}

func openFile(c *FileConfig) (output, error) {
	o := &file{config: c}
	return o, o.reopen()
}

func (o *file) reopen() error {
	f, err := os.OpenFile(o.config.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := o.close(); err != nil {
		f.Close()
		return err
	}
	o.f, o.size = f, fi.Size()
	return nil
}

// send writes the alerts in one write, or in several around a rotation. A line that
// could be written in part only, as on a full disk, is taken back.
func (o *file) send(_ context.Context, alerts []outgoing) (int, error) {
	if err := o.follow(); err != nil {
		return 0, err
	}
	sent := 0
	for sent < len(alerts) {
		n := o.fitting(alerts[sent:])
		if n == 0 {
			if err := o.rotate(); err != nil {
				return sent, err
			}
			continue
		}
		batch := alerts[sent : sent+n]
		b := lines(batch)
		written, err := o.f.Write(b)
		if err != nil {
			n = whole(batch, written)
			o.size += int64(len(lines(batch[:n])))
			if terr := o.f.Truncate(o.size); terr != nil {
				return sent + n, fmt.Errorf("%w; take back a part of a line: %w", err, terr)
			}
			return sent + n, err
		}
		o.size += int64(written)
		sent += n
	}
	return sent, nil
}

// fitting returns how many alerts may be written before the next rotation. A file that
// is empty takes one of any size.
func (o *file) fitting(alerts []outgoing) int {
	if o.config.MaxBytes == 0 {
		return len(alerts)
	}
	size := o.size
	for i := range alerts {
		if size += int64(len(alerts[i].line) + 1); size > o.config.MaxBytes && (i > 0 || o.size > 0) {
			return i
		}
	}
	return len(alerts)
}

// follow opens the file again if it was renamed or removed: not every rotation signals.
func (o *file) follow() error {
	if o.f == nil {
		return o.reopen()
	}
	at, err := os.Stat(o.config.Path)
	if err == nil {
		var own os.FileInfo
		if own, err = o.f.Stat(); err == nil && os.SameFile(at, own) {
			o.size = own.Size()
			return nil
		}
	}
	return o.reopen()
}

// rotate renames the file to path.1, path.1 to path.2 and so on, and begins another.
func (o *file) rotate() error {
	if err := o.close(); err != nil {
		return err
	}
	path := func(i int) string { return o.config.Path + "." + strconv.Itoa(i) }
	for i := o.config.Backups - 1; i >= 1; i-- {
		if err := os.Rename(path(i), path(i+1)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.Rename(o.config.Path, path(1)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return o.reopen()
}

func (o *file) close() error {
	if o.f == nil {
		return nil
	}
	f := o.f
	o.f = nil
	return f.Close()
}
