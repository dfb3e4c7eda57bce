package falcojsonexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// maxAnswer is how much of an answer is read, so that the connection can be used again.
const maxAnswer = 64 << 10

// maxThrottle bounds how long a server can put off alerts with Retry-After.
const maxThrottle = 5 * time.Minute

// poster sends a request for each alert, as Falco does.
type poster struct {
	client *http.Client
	url    string
}

func openHTTP(ctx context.Context, c *confighttp.ClientConfig, host component.Host, set component.TelemetrySettings) (output, error) {
	client, err := c.ToClient(ctx, host.GetExtensions(), set)
	if err != nil {
		return nil, err
	}
	return &poster{client: client, url: c.Endpoint}, nil
}

func (o *poster) send(ctx context.Context, alerts []outgoing) (int, error) {
	var refused error
	for i := range alerts {
		again, err := o.post(ctx, alerts[i].line)
		switch {
		case err == nil:
		case again:
			return i, errors.Join(refused, err)
		default:
			refused = errors.Join(refused, err) // the others are not to suffer for it
		}
	}
	if refused != nil {
		return len(alerts), consumererror.NewPermanent(refused)
	}
	return len(alerts), nil
}

// post sends one alert. If that fails, it says whether to try it again.
func (o *poster) post(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := o.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return false, nil
	}
	err = fmt.Errorf("post to %s: %s", o.url, resp.Status)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		if s, aerr := strconv.Atoi(resp.Header.Get("Retry-After")); aerr == nil && s > 0 {
			return true, exporterhelper.NewThrottleRetry(err, min(time.Duration(s)*time.Second, maxThrottle))
		}
		return true, err
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		return true, err
	}
	return false, err
}

func (o *poster) reopen() error {
	o.client.CloseIdleConnections()
	return nil
}

func (o *poster) close() error { return o.reopen() }
