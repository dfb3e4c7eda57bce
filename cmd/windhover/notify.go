package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/windhover/windhover/cmd/windhover/host"
)

// notifier tells the service manager that started the process what it does, by the
// protocol of sd_notify(3). A nil one tells nobody. It is not safe for concurrent use.
type notifier struct {
	conn net.Conn
	// watchdog is how long the manager waits for a sign of life; 0: it does not.
	watchdog time.Duration
	alive    time.Time // the last one
	told     string    // the last text
	ready    bool
}

// newNotifier returns the notifier that the environment asks for, or nil.
func newNotifier(env []string, pid int) (*notifier, error) {
	var socket, usec, watched string
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "NOTIFY_SOCKET":
			socket = value
		case "WATCHDOG_USEC":
			usec = value
		case "WATCHDOG_PID":
			watched = value
		}
	}
	if socket == "" {
		return nil, nil
	}
	// An @ stands for the zero byte of an abstract address, here and in package net.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notify service manager: %w", err)
	}
	n := &notifier{conn: conn}
	if watched == "" || watched == strconv.Itoa(pid) {
		// What is no number asks for no watchdog.
		if us, err := strconv.ParseUint(usec, 10, 32); err == nil {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return n, nil
}

// maxText bounds the text that is sent: it goes into one datagram.
const maxText = 1024

// tell sends what has changed since the last time, and a sign of life in time.
func (n *notifier) tell(o host.Outlook, now time.Time) error {
	if n == nil {
		return nil
	}
	var lines []string
	if o.Settled && !n.ready {
		n.ready = true
		lines = append(lines, "READY=1")
	}
	if o.Stopping {
		lines = append(lines, "STOPPING=1")
	}
	if o.Text != n.told {
		n.told = o.Text
		text := strings.ReplaceAll(o.Text[:min(len(o.Text), maxText)], "\n", " ")
		lines = append(lines, "STATUS="+strings.ToValidUTF8(text, ""))
	}
	// A third of the time, so that one sign may come late.
	if n.watchdog > 0 && now.Sub(n.alive) >= n.watchdog/3 {
		n.alive = now
		lines = append(lines, "WATCHDOG=1")
	}
	if len(lines) == 0 {
		return nil
	}
	if _, err := n.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

func (n *notifier) close() {
	if n != nil {
		n.conn.Close()
	}
}
