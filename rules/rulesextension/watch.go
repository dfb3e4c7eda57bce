package rulesextension

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/windhover/windhover/rules"
)

// quiet is how long nothing must change before the rules are read: editors and
// Kubernetes write a file in several steps.
const quiet = 200 * time.Millisecond

// watch calls changed after a change of the files or of what is in directories among
// paths, once it is quiet, on a goroutine of its own, and failed when changes may have
// been missed. stop returns when neither runs any more.
func watch(paths []string, changed func(), failed func(error)) (stop func(), err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	// The directory of a file is watched and not the file, which editors replace.
	dirs := map[string]bool{}
	for _, p := range paths {
		if p == rules.Builtin {
			continue
		}
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			p = filepath.Dir(p)
		}
		dirs[filepath.Clean(p)] = true
	}
	var errs []error
	for dir := range dirs {
		if err := w.Add(dir); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, w.Close())...)
	}

	var done sync.WaitGroup
	done.Go(func() {
		settled := time.NewTimer(quiet)
		settled.Stop()
		defer settled.Stop()
		for {
			select {
			case event, ok := <-w.Events:
				if !ok {
					return
				}
				if event.Op != fsnotify.Chmod {
					settled.Reset(quiet)
				}
			case err, ok := <-w.Errors:
				if !ok {
					return
				}
				failed(err)
				settled.Reset(quiet) // something may have changed unseen
			case <-settled.C:
				changed()
			}
		}
	})
	return func() {
		_ = w.Close()
		done.Wait()
	}, nil
}
