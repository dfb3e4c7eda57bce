package falcojsonexporter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// syslog sends a message for each alert.
type syslog struct {
	config *SyslogConfig
	tls    *tls.Config // nil: not encrypted
	pid    string
	conn   net.Conn
	// gone is closed when the other end closed the connection: the first write after
	// that seems to work and is lost.
	gone chan struct{}
}

func openSyslog(ctx context.Context, c *SyslogConfig) (output, error) {
	o := &syslog{config: c, pid: strconv.Itoa(os.Getpid())}
	if c.TLS.HasValue() {
		t, err := c.TLS.Get().LoadTLSConfig(ctx)
		if err != nil {
			return nil, err
		}
		o.tls = t
	}
	return o, nil
}

func (o *syslog) stream() bool {
	return o.config.Network == networkTCP || o.config.Network == networkUnix
}

func (o *syslog) connect(ctx context.Context) error {
	if o.conn != nil {
		select {
		case <-o.gone:
			o.disconnect()
		default:
			return nil
		}
	}
	var (
		conn net.Conn
		err  error
	)
	if o.tls != nil {
		conn, err = (&tls.Dialer{Config: o.tls}).DialContext(ctx, o.config.Network, o.config.Address)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, o.config.Network, o.config.Address)
	}
	if err != nil {
		return fmt.Errorf("connect to syslog: %w", err)
	}
	o.conn, o.gone = conn, make(chan struct{})
	if o.stream() {
		go func(gone chan struct{}) {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}(o.gone)
	} else {
		o.gone = nil
	}
	return nil
}

func (o *syslog) disconnect() {
	if o.conn == nil {
		return
	}
	o.conn.Close()
	if o.gone != nil {
		<-o.gone
	}
	o.conn = nil
}

func (o *syslog) send(ctx context.Context, alerts []outgoing) (int, error) {
	if err := o.connect(ctx); err != nil {
		return 0, err
	}
	deadline, _ := ctx.Deadline() // none is the zero time, which is none here too
	if err := o.conn.SetWriteDeadline(deadline); err != nil {
		return 0, fmt.Errorf("send to syslog: %w", err)
	}
	var tooLarge error
	var b []byte
	for i := range alerts {
		b = o.appendMessage(b[:0], &alerts[i])
		if _, err := o.conn.Write(b); err != nil {
			if !o.stream() && errors.Is(err, syscall.EMSGSIZE) {
				tooLarge = errors.Join(tooLarge, fmt.Errorf("send to syslog: an alert of %d bytes is larger than a datagram", len(b)))
				continue
			}
			o.disconnect()
			return i, errors.Join(tooLarge, fmt.Errorf("send to syslog: %w", err))
		}
	}
	if tooLarge != nil {
		return len(alerts), consumererror.NewPermanent(tooLarge)
	}
	return len(alerts), nil
}

// Layouts of times in messages.
const (
	layoutRFC3164 = "Jan _2 15:04:05"
	layoutRFC5424 = "2006-01-02T15:04:05.000000Z07:00"
)

// appendMessage appends the message of a. On a stream one of RFC 5424 has its length
// before it, one of RFC 3164 a line feed behind it (RFC 6587).
func (o *syslog) appendMessage(dst []byte, a *outgoing) []byte {
	from := len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(o.config.Facility*8+a.severity), 10)
	dst = append(dst, '>')
	if o.config.Format == formatRFC5424 {
		dst = append(dst, "1 "...)
		dst = a.time.UTC().AppendFormat(dst, layoutRFC5424)
		dst = append(dst, ' ')
		dst = append(dst, hostOf(a.host)...)
		dst = append(dst, ' ')
		dst = append(dst, o.config.AppName...)
		dst = append(dst, ' ')
		dst = append(dst, o.pid...)
		dst = append(dst, " alert - "...)
		dst = append(dst, a.line...)
		if o.stream() {
			length := strconv.Itoa(len(dst)-from) + " "
			dst = append(dst[:from], length+string(dst[from:])...)
		}
		return dst
	}
	dst = a.time.Local().AppendFormat(dst, layoutRFC3164)
	dst = append(dst, ' ')
	// The local daemon knows the host and takes a name there for the program.
	if o.config.Network == networkUDP || o.config.Network == networkTCP {
		dst = append(dst, hostOf(a.host)...)
		dst = append(dst, ' ')
	}
	dst = append(dst, o.config.AppName...)
	dst = append(dst, '[')
	dst = append(dst, o.pid...)
	dst = append(dst, "]: "...)
	dst = append(dst, a.line...)
	if o.stream() {
		dst = append(dst, '\n')
	}
	return dst
}

// hostOf returns the name of a host as a header can have it.
func hostOf(name string) string {
	name = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return "-"
	}
	return name[:min(len(name), 255)]
}

func (o *syslog) reopen() error {
	o.disconnect()
	return nil
}

func (o *syslog) close() error { return o.reopen() }
