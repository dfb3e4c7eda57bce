package consoleexporter

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// AppendText appends a line for each record, as the exporter writes text, without
// colours and with times in UTC as layout says.
func AppendText(dst []byte, ld plog.Logs, layout string) []byte {
	return textFormat{location: time.UTC, layout: layout}.append(dst, ld)
}
