package consoleexporter

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/falcojson"
)

// appendJSON appends one object and a line feed for each record.
func appendJSON(dst []byte, ld plog.Logs) []byte {
	return falcojson.Append(dst, ld, &falcojson.Settings{})
}
