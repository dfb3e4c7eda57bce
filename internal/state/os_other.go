//go:build !linux

package state

import (
	"errors"
	"os"

	"github.com/windhover/windhover/internal/event"
)

const nonblock = 0

func remote(*os.Root) bool { return true }

func namespace(string, string) (uint32, error) {
	return 0, errors.New("read namespace: only Linux has procfs")
}

func setExe(*event.Image, string) {}
