package kernel

import (
	"os/exec"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

func TestExec(t *testing.T) {
	p := start(t, self, event.Execve)
	cmd := exec.Command("/bin/true", "one", "two words")
	cmd.Env = []string{"WINDHOVER=1"}
	cmd.Dir = "/usr"
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	s := p.await("execve", func(s *sample) bool { return s.Type == event.Execve && s.Ret == 0 && s.PID == int32(cmd.Process.Pid) })
	t.Log(s)
}
