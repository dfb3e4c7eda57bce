package falcojsonexporter

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"time"

	"go.uber.org/zap"
)

// program writes lines to the standard input of a program.
type program struct {
	config *ProgramConfig
	logger *zap.Logger
	stdin  *os.File // nil: it is not running
	cmd    *exec.Cmd
	ended  chan struct{}
	closed bool
}

func startProgram(c *ProgramConfig, logger *zap.Logger) (output, error) {
	o := &program{config: c, logger: logger}
	return o, o.start()
}

func (o *program) start() error {
	stdin, w, err := os.Pipe()
	if err != nil {
		return err
	}
	// The program gets nothing of what this process inherited but the search path: its
	// environment may hold credentials.
	cmd := exec.Command(o.config.Command[0], o.config.Command[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, k := range slices.Sorted(maps.Keys(o.config.Env)) {
		cmd.Env = append(cmd.Env, k+"="+o.config.Env[k])
	}
	cmd.Stdin = stdin
	err = cmd.Start()
	stdin.Close()
	if err != nil {
		w.Close()
		return fmt.Errorf("start %s: %w", o.config.Command[0], err)
	}
	o.cmd, o.stdin, o.ended = cmd, w, make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		err := cmd.Wait()
		o.logger.Info("program ended", zap.String("program", o.config.Command[0]), zap.Error(err))
	}(o.ended)
	return nil
}

// send writes the alerts. A program that ended is started again; one that does not read
// in time is killed, since it may have got a part of a line.
func (o *program) send(ctx context.Context, alerts []outgoing) (int, error) {
	if o.closed {
		return 0, errClosed(o.config.Command[0])
	}
	select {
	case <-o.ended:
		o.end(0)
	default:
	}
	if o.stdin == nil {
		if err := o.start(); err != nil {
			return 0, err
		}
	}
	deadline, _ := ctx.Deadline() // none is the zero time, which is none here too
	if err := o.stdin.SetWriteDeadline(deadline); err != nil {
		return 0, fmt.Errorf("write to %s: %w", o.config.Command[0], err)
	}
	if _, err := o.stdin.Write(lines(alerts)); err != nil {
		// What lies in the pipe was not read, perhaps: rather twice than never.
		o.end(0)
		return 0, fmt.Errorf("write to %s: %w", o.config.Command[0], err)
	}
	return len(alerts), nil
}

// end closes the input of the program, and kills it if it has not ended after a while.
func (o *program) end(patience time.Duration) {
	if o.stdin == nil {
		return
	}
	o.stdin.Close()
	o.stdin = nil
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-o.ended:
		case <-timer.C:
		}
	}
	_ = o.cmd.Process.Kill() // does nothing if it ended
	<-o.ended
}

func (o *program) reopen() error {
	o.end(grace)
	return o.start()
}

func (o *program) close() error {
	o.closed = true
	o.end(grace)
	return nil
}
